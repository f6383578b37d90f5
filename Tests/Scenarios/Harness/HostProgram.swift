// SPDX-License-Identifier: Apache-2.0
//
// HostProgram: a program of the host, run with its output caught. The product never spawns one; the tests do, to run
// the built binary as a person would and to look at it from outside.

import Glibc

/// How a program ended and what it wrote.
struct Outcome: Sendable, CustomStringConvertible {
    var command: [String]
    /// 128 + signal when a signal ended it.
    var code: Int32
    var output: String
    var errors: String

    var succeeded: Bool { code == 0 }
    /// Standard output without the last newline.
    var text: String { output.hasSuffix("\n") ? String(output.dropLast()) : output }
    var lines: [String] { output.split(separator: "\n").map(String.init) }
    var description: String {
        "$ \(command.joined(separator: " "))\nexit \(code)\n\(output)\(errors.isEmpty ? "" : "stderr:\n\(errors)")"
    }
}

/// What the harness itself could not do, or a step of a scenario that failed.
struct ScenarioError: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}

/// A program that runs. Its output goes to files, so that it never waits for us.
final class RunningProgram {
    let command: [String]
    let pid: pid_t
    private let files: (output: String, errors: String)
    private var code: Int32?

    /// `input` is a path; the program becomes a process group of its own. With the path of a terminal that is all its
    /// streams and controls it: who hangs up sends it SIGHUP.
    init(
        _ command: [String], environment: [String], directory: String, scratch: String,
        input: String = "/dev/null", terminal: String? = nil
    )
        throws
    {
        self.command = command
        files = (unusedPath(in: scratch), unusedPath(in: scratch))
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        let create = O_WRONLY | O_CREAT | O_TRUNC
        if let terminal {
            // What a session's leader opens first without O_NOCTTY controls it.
            posix_spawn_file_actions_addopen(&actions, 0, terminal, O_RDWR, 0)
            posix_spawn_file_actions_adddup2(&actions, 0, 1)
            posix_spawn_file_actions_adddup2(&actions, 0, 2)
        } else {
            posix_spawn_file_actions_addopen(&actions, 0, input, O_RDONLY, 0)
            posix_spawn_file_actions_addopen(&actions, 1, files.output, create, 0o600)
            posix_spawn_file_actions_addopen(&actions, 2, files.errors, create, 0o600)
        }
        // The test runner's own signal state is not the program's business.
        var none = sigset_t()
        var all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        // 0x80: POSIX_SPAWN_SETSID, which Glibc's module does not have.
        let group = terminal == nil ? POSIX_SPAWN_SETPGROUP : 0x80
        let flags = group | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF
        posix_spawnattr_setflags(&attributes, Int16(flags))
        // env becomes the program, as nsenter does: the pid stays. (Glibc's module has no addchdir_np.)
        let words = ["env", "-C", directory] + command
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        var variables: [UnsafeMutablePointer<CChar>?] = environment.map { strdup($0) } + [nil]
        defer { (arguments + variables).forEach { free($0) } }
        var started: pid_t = 0
        let error = posix_spawnp(&started, words[0], &actions, &attributes, &arguments, &variables)
        guard error == 0 else {
            throw ScenarioError("cannot run \(command[0]): \(String(cString: strerror(error)))")
        }
        pid = started
    }

    func signal(_ number: Int32) { if code == nil { kill(pid, number) } }

    /// nil while it runs.
    func ended() -> Int32? {
        if let code { return code }
        var status: Int32 = 0
        guard waitpid(pid, &status, WNOHANG) == pid else { return nil }
        code = status & 0x7f == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f)
        return code
    }

    /// What it wrote so far.
    var soFar: (output: String, errors: String) { (contents(files.output), contents(files.errors)) }

    /// Waits for its end; kills it, and throws, when that takes longer than `limit`.
    func wait(limit: Duration = .seconds(60)) throws -> Outcome {
        let deadline = ContinuousClock.now + limit
        while ended() == nil {
            guard ContinuousClock.now < deadline else {
                kill(-pid, SIGKILL)
                var status: Int32 = 0
                waitpid(pid, &status, 0)
                code = 137
                throw ScenarioError("not done after \(limit): \(outcome)")
            }
            usleep(2000)
        }
        defer { for path in [files.output, files.errors] { unlink(path) } }
        return outcome
    }

    private var outcome: Outcome {
        Outcome(
            command: command, code: code ?? -1, output: contents(files.output), errors: contents(files.errors)
        )
    }
}

private func unusedPath(in directory: String) -> String {
    var template = Array("\(directory)/output.XXXXXX".utf8CString)
    let fd = mkstemp(&template)
    if fd >= 0 { close(fd) }
    return String(decoding: template.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// The text of a file, empty when it can't be read.
func contents(_ path: String, atMost limit: Int = .max) -> String {
    guard let file = fopen(path, "re") else { return "" }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while bytes.count < limit, case let count = fread(&buffer, 1, buffer.count, file), count > 0 {
        bytes += buffer[..<count]
    }
    return String(decoding: bytes.prefix(limit), as: UTF8.self)
}
