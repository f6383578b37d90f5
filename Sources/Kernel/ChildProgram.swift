// SPDX-License-Identifier: Apache-2.0
//
// ChildProgram: a program of the host as a child of a client. Only for what the user names to be run: a provider of a service.
// Everything else is Covey's own work (docs/ARCHITECTURE.md).

internal import CLinux
internal import Glibc

/// Starts a program with these descriptors as its 0, 1 and 2, default signals and an empty signal mask
/// (posix_spawn(3)). Whoever calls it waits for it.
public func spawnProgram(
    _ path: String, _ arguments: [String], environment: [String], directory: String,
    streams: (input: Int32, output: Int32, errors: Int32)
) throws(SyscallError) -> Int32 {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    posix_spawn_file_actions_addchdir_np(&actions, directory)
    for (number, descriptor) in [streams.input, streams.output, streams.errors].enumerated() {
        posix_spawn_file_actions_adddup2(&actions, descriptor, Int32(number))
    }
    var signals = sigset_t()
    sigemptyset(&signals)
    posix_spawnattr_setsigmask(&attributes, &signals)
    sigfillset(&signals)
    posix_spawnattr_setsigdefault(&attributes, &signals)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
    var argv: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
    var envp: [UnsafeMutablePointer<CChar>?] = environment.map { strdup($0) } + [nil]
    defer { for text in argv + envp { free(text) } }
    var pid: pid_t = 0
    let code = posix_spawn(&pid, path, &actions, &attributes, &argv, &envp)
    guard code == 0 else { throw SyscallError("posix_spawn", Errno(code), path) }
    return pid
}

/// Waits for a child; its exit code, 128 + signal when a signal ended it.
public func waitForProgram(_ pid: Int32) throws(SyscallError) -> Int {
    var status: Int32 = 0
    try retrying("waitpid") { waitpid(pid, &status, 0) }
    let signal = Int(status & 0x7f)
    return signal == 0 ? Int(status >> 8 & 0xff) : 128 + signal
}
