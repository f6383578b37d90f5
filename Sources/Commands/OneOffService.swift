// SPDX-License-Identifier: Apache-2.0
//
// A service as `run` wants it: a copy with the command line's settings put over the file's, and its lowered request
// made a container beside the service's own: another name, no other's aliases, address or ports, no restart policy.

internal import Basics
internal import CLinux
internal import ComposeLoader
internal import ComposeModel
internal import ContainerModel
internal import Kernel

/// What tells a one-off container from all others, and how it is called.
struct OneOffName {
    let slug: String
    let container: String

    init(_ session: Session, _ project: Project, service: String) throws(Failure) {
        var random: UInt64 = 0
        _ = linux_getrandom(&random, 6)
        let digits = String(random, radix: 16)
        slug = String(repeating: "0", count: max(0, 12 - digits.count)) + digits
        guard let name = session.arguments.last(.name) else {
            container = [project.name, service, "run", slug].joined(separator: project.nameSeparator)
            return
        }
        let isName =
            name.utf8.first.map(isLetterOrDigit) ?? false
            && name.utf8.allSatisfy { isLetterOrDigit($0) || "_.-".utf8.contains($0) }
            && name.utf8.count <= 200
        guard isName else {
            throw Failure(
                "cannot name a container \"\(name)\"",
                cause: "letters, digits, `_`, `.` and `-` make a name, the first a letter or digit")
        }
        container = name
    }
}

private func isLetterOrDigit(_ byte: UInt8) -> Bool {
    (97...122).contains(byte) || (65...90).contains(byte) || (48...57).contains(byte)
}

/// The service with the command line's settings.
func oneOffService(_ session: Session, _ service: Service, _ project: Project, slug: String, terminal: Bool)
    throws(Failure) -> Service
{
    let arguments = session.arguments
    var service = service
    let command = Array(arguments.operands.dropFirst())
    if let text = arguments.last(.entrypoint) {
        service.entrypoint = try readWords(text)
        service.command = command
    } else if !command.isEmpty {
        service.command = command
    }
    for path in arguments.all(.envFromFile) {
        let bytes = try kernel("cannot read --env-from-file \(path)") { () throws(SyscallError) in
            try readFile(session.invocation.absolute(path))
        }
        let variables = try readVariables(bytes, name: path, environment: session.invocation.environment)
        service.environment.merge(variables) { _, new in new }
    }
    for text in arguments.all(.env) {
        let (name, value) = try pair(text, .env)
        // As Docker's: a name alone passes our own value on.
        service.environment[name] = value ?? session.invocation.environment[name]
    }
    for text in arguments.all(.label) {
        let (name, value) = try pair(text, .label)
        service.labels[name] = value ?? ""
    }
    service.labels["com.docker.compose.oneoff"] = "True"
    service.labels["com.docker.compose.slug"] = slug
    if let user = arguments.last(.user) { service.user = user }
    if let directory = arguments.last(.workdir) { service.workingDirectory = directory }
    if !arguments.has(.servicePorts) { service.ports = [] }
    for text in arguments.all(.publish) { service.ports += try readPorts(text) }
    try addMounts(session, to: &service, project)
    try setCapabilities(arguments, of: &service)
    service.tty = terminal
    service.stdinOpen = false
    service.restart = .no
    service.deploy?.restartPolicy = nil
    service.replicas = 1
    service.containerName = nil
    return service
}

private func pair(_ text: String, _ flag: FlagName) throws(Failure) -> (String, String?) {
    let name = String(text.prefix { $0 != "=" })
    guard !name.isEmpty else {
        throw Failure("cannot understand --\(flag.rawValue) \(text)", cause: "it has no name before the `=`")
    }
    return (name, name == text ? nil : String(text.dropFirst(name.count + 1)))
}

private func addMounts(_ session: Session, to service: inout Service, _ project: Project) throws(Failure) {
    for text in session.arguments.all(.volume) {
        let mounts = try readMounts(
            text, directory: session.invocation.directory, home: session.invocation.environment["HOME"])
        for mount in mounts {
            if case .volume(let key) = mount.source, project.volumes[key] == nil {
                throw Failure(
                    "cannot mount the volume \"\(key)\"", cause: "it is not declared",
                    advice: nearest(to: key, among: project.volumes.keys.sorted()).map {
                        "did you mean \"\($0)\"?"
                    } ?? "declare it under the top-level `volumes`, or write \"./\(key)\" for a directory")
            }
            service.volumes.removeAll { $0.target == mount.target }
            service.volumes.append(mount)
        }
    }
}

/// What is given is not taken away by the file, and the other way round.
private func setCapabilities(_ arguments: Arguments, of service: inout Service) throws(Failure) {
    func bare(_ name: String) -> String {
        let upper = name.uppercased()
        return upper.hasPrefix("CAP_") ? String(upper.dropFirst(4)) : upper
    }
    for name in arguments.all(.capAdd) {
        service.capDrop.removeAll { bare($0) == bare(name) }
        service.capAdd.append(name)
    }
    for name in arguments.all(.capDrop) {
        service.capAdd.removeAll { bare($0) == bare(name) }
        service.capDrop.append(name)
    }
}

/// A lowered service as the request of one container beside the others.
func oneOffRequest(_ lowered: ServiceRequest, _ name: OneOffName, useAliases: Bool) -> ServiceRequest {
    var request = lowered
    // No service is called so: a colon is in no service's name.
    request.name = "run:\(name.container)"
    request.containerName = name.container
    request.replicas = 1
    for index in request.container.networks.indices {
        if !useAliases { request.container.networks[index].aliases = [] }
        request.container.networks[index].leaveAddressesToOthers()
    }
    return request
}
