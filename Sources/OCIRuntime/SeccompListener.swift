// SPDX-License-Identifier: Apache-2.0
//
// Handing the listener of a seccomp filter to the agent at `listenerPath` (config-linux.md, "The Container Process
// State").

internal import Basics
internal import JSONFormat
internal import Kernel

func sendListener(
    _ listener: SharedFD, pid: Int32, _ record: ContainerRecord, metadata: String?, to path: String
) throws(Failure) {
    let state = JSONValue.object([
        .init("ociVersion", .string(ociVersion)), .init("fds", .array([.string("seccompFd")])),
        .init("pid", .integer(Int64(pid))), .init("metadata", .string(metadata ?? "")),
        .init("state", .object(record.state(.creating, pid: pid))),
    ])
    var bytes: [UInt8] = []
    state.write(to: &bytes)
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
