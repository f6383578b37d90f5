// SPDX-License-Identifier: Apache-2.0
//
// One program of the host's, run to its end with input and output in memory. Covey spawns none of its own accord: this is
// for a credential helper that the user's configuration names.

internal import CLinux

/// What a program wrote, and how it ended.
public struct ProgramResult: Sendable {
    public var output: [UInt8]
    /// The exit code; 128 and the signal for one that was ended by a signal.
    public var code: Int32
}

/// Runs a program of the PATH; its error output is the caller's.
/// - Throws: ENOENT when there is no such program.
public func runProgram(_ arguments: [String], input: [UInt8], outputLimit: Int = 1 << 20) throws(SyscallError)
    -> ProgramResult
{
    let name = arguments.first ?? ""
    // A file, not a pipe: a program that does not read its input would be SIGPIPE for us.
    let given = try memoryFile("input")
    try writeAll(given.raw, input)
    try retrying("lseek") { lseek(given.raw, 0, SEEK_SET) }
    let pipe = try makePipe()
    let reader = pipe.first
    let writer = pipe.second
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, given.raw, 0)
    posix_spawn_file_actions_adddup2(&actions, writer.raw, 1)
    var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
    defer { for word in words { free(word) } }
    var pid: pid_t = 0
    let result = posix_spawnp(&pid, name, &actions, nil, &words, linux_environ())
    guard result == 0 else { throw SyscallError("posix_spawnp", Errno(result), name) }
    close(writer.release())
    var failure: SyscallError?
    var output: [UInt8] = []
    do throws(SyscallError) {
        output = try readAll(reader.raw, limit: outputLimit, path: name)
    } catch {
        kill(pid, SIGKILL)
        failure = error
    }
    var status: Int32 = 0
    try retrying("waitpid", name) { waitpid(pid, &status, 0) }
    if let failure { throw failure }
    let ending = status & 0x7f
    return ProgramResult(output: output, code: ending == 0 ? (status >> 8) & 0xff : 128 + ending)
}
