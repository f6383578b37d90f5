// SPDX-License-Identifier: Apache-2.0
//
// Doing something in another process's namespace and coming back (setns(2)). Only for a process of one thread: the
// namespace is the thread's, and for mounts the kernel refuses a shared root and working directory.

internal import CLinux

/// Runs `body` in the network namespace of the process. A process that can't come back ends at once.
public func inNetworkNamespace<Result>(of pidfd: Int32, _ body: () throws(SyscallError) -> Result)
    throws(SyscallError) -> Result
{
    try inNamespace(CLONE_NEWNET, "net", of: pidfd, body)
}

/// The same in its mount namespace: paths there begin at the container's root.
public func inMountNamespace<Result>(of pidfd: Int32, _ body: () throws(SyscallError) -> Result)
    throws(SyscallError) -> Result
{
    try inNamespace(CLONE_NEWNS, "mnt", of: pidfd, body)
}

private func inNamespace<Result>(
    _ kind: Int32, _ name: String, of pidfd: Int32, _ body: () throws(SyscallError) -> Result
) throws(SyscallError) -> Result {
    let home = try openFile("/proc/self/ns/\(name)")
    try retrying("setns", name) { linux_setns(pidfd, kind) }
    defer { if linux_setns(home.raw, kind) != 0 { abort() } }
    return try body()
}
