// SPDX-License-Identifier: Apache-2.0
//
// A container's devices: what the request grants, looked up on the host as nodes to make and as what the kernel lets
// through. A path is looked at when the container starts: numbers of devices may be others after each boot.

public import Basics
public import Cgroups
internal import CLinux
public import ContainerModel
internal import Kernel
public import LaunchPlanning

/// What a container gets beside the usual devices.
public struct GrantedDevices: Sendable {
    public var nodes: [DeviceNode] = []
    /// nil: the project's own will do.
    public var policy: DevicePolicy?
}

/// - Throws: when something granted is not there, or is no device.
public func grantedDevices(of request: ContainerRequest) throws(Failure) -> GrantedDevices {
    var granted = GrantedDevices()
    let rare = request.rare ?? RareSettings()
    if rare.privileged {
        granted.policy = .everything
        granted.nodes = devices(beneath: "/dev", at: "/dev")
    }
    var rules: [DevicePolicy.Rule] = []
    for grant in rare.devices {
        let nodes = try nodes(of: grant)
        granted.nodes.removeAll { node in nodes.contains { $0.path == node.path } }
        granted.nodes += nodes
        rules += nodes.map {
            DevicePolicy.Rule(
                $0.isBlock ? .block : .character, $0.major, $0.minor, .init(grant.access))
        }
    }
    rules += rare.deviceRules.map {
        DevicePolicy.Rule(
            $0.kind == .all ? nil : $0.kind == .block ? .block : .character, $0.major, $0.minor,
            .init($0.access))
    }
    if granted.policy == nil, !rules.isEmpty || mayReplacePolicy(request) {
        var policy = DevicePolicy.dockerDefault
        for rule in rules { policy.add(rule) }
        granted.policy = policy
    }
    return granted
}

/// On v2 the project's policy yields to one of a cgroup beneath. Whoever may load programs could put one there, unless the
/// container has its own, which yields to none.
private func mayReplacePolicy(_ request: ContainerRequest) -> Bool {
    request.capAdd.contains { ["ALL", "SYS_ADMIN", "BPF"].contains($0) }
}

private func nodes(of grant: DeviceGrant) throws(Failure) -> [DeviceNode] {
    let doing = "cannot give the device \(grant.path)"
    let status: stat
    do throws(SyscallError) {
        status = try fileStatus(grant.path, follow: true)
    } catch {
        throw Failure(
            doing, error,
            advice: error.errno == .noEntry ? "see what is in /dev of this host" : nil)
    }
    if status.isDirectory {
        let found = devices(beneath: grant.path, at: grant.target)
        guard !found.isEmpty else {
            throw Failure(doing, cause: "no device is in this directory", advice: "name a device")
        }
        return found
    }
    guard var node = DeviceNode(status, at: grant.target) else {
        throw Failure(doing, cause: "it is no device", advice: "give a file or directory under `volumes`")
    }
    if let uid = grant.uid { node.uid = uid }
    if let gid = grant.gid { node.gid = gid }
    if let mode = grant.mode { node.mode = node.mode & ~0o7777 | mode & 0o7777 }
    return [node]
}

/// All devices in a directory of the host, but those that a container has of its own.
private func devices(beneath directory: String, at target: String) -> [DeviceNode] {
    let own: Set<String> = [
        "/dev/pts", "/dev/shm", "/dev/fd", "/dev/mqueue", "/dev/console", "/dev/ptmx", "/dev/tty",
        "/dev/null",
        "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/.udev",
    ]
    var found: [DeviceNode] = []
    for name in ((try? directoryEntries(directory)) ?? []).sorted() {
        let path = "\(directory)/\(name)"
        guard !own.contains(path), let status = try? fileStatus(path) else { continue }
        if status.isDirectory {
            found += devices(beneath: path, at: "\(target)/\(name)")
        } else if let node = DeviceNode(status, at: "\(target)/\(name)") {
            found.append(node)
        }
    }
    return found
}

extension DeviceNode {
    fileprivate var isBlock: Bool { mode & 0o170000 == 0o060000 }

    /// nil for what is no device.
    fileprivate init?(_ status: stat, at path: String) {
        // S_IFCHR, S_IFBLK (inode(7)).
        guard [0o020000, 0o060000].contains(status.st_mode & 0o170000) else { return nil }
        self.init(
            path: path, mode: status.st_mode, major: linux_major(UInt64(status.st_rdev)),
            minor: linux_minor(UInt64(status.st_rdev)), uid: status.st_uid, gid: status.st_gid)
    }
}

extension DevicePolicy.Access {
    fileprivate init(_ access: DeviceAccess) {
        self = []
        if access.text.contains("r") { insert(.read) }
        if access.text.contains("w") { insert(.write) }
        if access.text.contains("m") { insert(.makeNode) }
    }
}
