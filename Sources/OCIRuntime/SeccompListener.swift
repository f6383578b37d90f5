// SPDX-License-Identifier: Apache-2.0
//
// Handing the listener of a seccomp filter to the agent at `listenerPath` (config-linux.md, "The Container Process
// State").

internal import Basics
internal import CLinux
internal import JSONFormat
internal import Kernel
internal import LaunchPlanning

/// Fetches the listener out of the child, in which it is descriptor `number`, gives it to the agent and lets the child go on.
/// - Parameter status: the container's; in its making the child is its first process, later a further one.
func handOverListener(
    _ number: Int32, of child: BundleChild, _ record: ContainerRecord, _ status: ContainerStatus,
    _ manners: Manners
) throws(Failure) {
    guard let seccomp = record.config.linux.seccomp, let path = seccomp.listenerPath else { return }
    let listener = try naming("cannot fetch the seccomp listener") { () throws(SyscallError) in
        SharedFD(OwnedFD(taking: try retrying("pidfd_getfd") { linux_pidfd_getfd(child.pidfd.raw, number) }))
    }
    let state = record.state(status, pid: status == .creating ? child.pid : nil)
    let message = listenerMessage(
        child.pid, state, seccomp.listenerMetadata, version: manners.listenerVersion)
    try send(listener, message, to: path)
    try child.send(LaunchTag.listener)
}

private func listenerMessage(
    _ pid: Int32, _ state: [JSONValue.Member], _ metadata: String?, version: String
) -> [UInt8] {
    let message = JSONValue.object([
        .init("ociVersion", .string(version)), .init("fds", .array([.string("seccompFd")])),
        .init("pid", .integer(Int64(pid))), .init("metadata", .string(metadata ?? "")),
        .init("state", .object(state)),
    ])
    var bytes: [UInt8] = []
    message.write(to: &bytes)
    return bytes
}

private func send(_ listener: SharedFD, _ bytes: [UInt8], to path: String) throws(Failure) {
    let doing = "cannot hand the seccomp listener to \(path)"
    let socket: SharedFD
    do throws(SyscallError) { socket = SharedFD(try connectUnix(path)) } catch {
        throw Failure(
            doing, cause: "failed to connect with seccomp agent: \(error)", advice: "start the agent first")
    }
    try naming(doing) { () throws(SyscallError) in
        try sendMessage(socket.raw, bytes, descriptors: [listener.raw])
    }
}
