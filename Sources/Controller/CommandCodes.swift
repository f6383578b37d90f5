// SPDX-License-Identifier: Apache-2.0
//
// What a program that can't be run leaves as its exit code, wherever it is told: in `ps`, by `run` and by `exec`.

internal import Basics
internal import ContainerRuntime
internal import Kernel

/// What a shell answers when it can't run a program: 127 when there is none, 126 when it may not be executed (POSIX.1-2024,
/// Shell Command Language, 2.8.2); nil where the program is not why.
func commandCode(of errno: Errno) -> Int32? {
    switch errno {
    case .noEntry: 127
    case .access: 126
    default: nil
    }
}

extension Failure {
    /// The code of a launch that failed at its last operation, which runs the program; nil for any other failure.
    var commandCode: Int? {
        guard doing.hasPrefix("running ") || doing.contains(": running "), let cause else { return nil }
        let known = [Errno.noEntry, .access].first { cause.hasPrefix("\($0)") }
        return known.flatMap { Controller.commandCode(of: $0) }.map { Int($0) }
    }
}

extension ProcessEnd {
    /// How it ended, in words that follow a name.
    var words: String {
        switch self {
        case .exited(let code): "exited (\(code))"
        case .signalled(let signal): "was ended by signal \(signal)"
        }
    }
}
