// SPDX-License-Identifier: Apache-2.0
//
// Who a process in a container is, and what it may: the same for its first process, an exec and a health probe.

public import Basics
public import ContainerModel
public import LaunchPlanning
internal import Kernel
internal import SeccompCompiler

public struct ProcessContext: Sendable {
    public var identity: ProcessIdentity
    public var hostname: String
    public var environment: [String]
    public var capabilities: UInt64
    /// Empty for none.
    public var seccomp: [UInt8]
}

/// - Parameters:
///   - user: instead of the request's.
///   - hostname: of another container whose network it shares.
///   - roots: upper directory and layers, topmost first, to look the user up in.
public func processContext(
    named name: String, _ request: ContainerRequest, user: String? = nil, hostname given: String? = nil,
    terminal: Bool, roots: [String], host: HostFacts, filters: inout SeccompFilters
) throws(Failure) -> ProcessContext {
    var identity = try resolveIdentity(user ?? request.user, roots: roots)
    if let groups = request.rare?.groups, !groups.isEmpty {
        for group in try resolveGroups(groups, roots: roots) where !identity.groups.contains(group) {
            identity.groups.append(group)
        }
    }
    let rare = request.rare ?? RareSettings()
    let hostname = if let given { given } else { try containerHostname(of: request, named: name) }
    let capabilities = try resolveCapabilities(
        add: rare.privileged ? ["ALL"] : request.capAdd, drop: rare.privileged ? [] : request.capDrop,
        bounding: CapabilitySet(rawValue: host.boundingCapabilities)
    ).rawValue
    return ProcessContext(
        identity: identity, hostname: hostname,
        environment: completeEnvironment(
            request.environment, hostname: hostname, home: identity.home, terminal: terminal),
        capabilities: capabilities,
        seccomp: request.seccomp
            ? try filters.filter(capabilities: capabilities, profile: rare.seccompProfile) : [])
}

/// The host's own name where its namespace, or its network, is used.
private func containerHostname(of request: ContainerRequest, named name: String) throws(Failure) -> String {
    let shared = request.rare?.hostNamespaces ?? []
    guard shared.contains(.uts) || shared.contains(.network) && request.hostname == nil else {
        return request.hostname ?? String(name.prefix(63))
    }
    do throws(SyscallError) {
        let text = try readText("/proc/sys/kernel/hostname")
        return String(text.prefix { $0 != "\n" })
    } catch {
        throw Failure("cannot read the host's name", error)
    }
}

private func completeEnvironment(_ given: [String], hostname: String, home: String, terminal: Bool)
    -> [String]
{
    let names = Set(given.map { $0.prefix { $0 != "=" } })
    var defaults = ["PATH=\(defaultPath)", "HOSTNAME=\(hostname)", "HOME=\(home)"]
    if terminal { defaults.append("TERM=xterm") }
    return defaults.filter { !names.contains($0.prefix { $0 != "=" }) } + given
}
