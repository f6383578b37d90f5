// SPDX-License-Identifier: Apache-2.0
//
// Output: bytes to the user's descriptors, and colours where they are wanted. A reader that went away (`| head`)
// ends the process by SIGPIPE as it ends every other program.

internal import Basics
internal import CLinux
internal import Kernel
internal import Synchronization

/// One of the user's descriptors.
struct Output {
    let fd: Int32
    /// SGR sequences are welcome.
    let colours: Bool
    /// Cursor movement is welcome.
    let isTerminal: Bool

    func write(_ text: String) { write(Array(text.utf8)) }

    func write(_ bytes: [UInt8]) {
        do throws(SyscallError) {
            try writeAll(fd, bytes)
        } catch {
            // Whoever started us may ignore SIGPIPE, as systemd does for services: we end all the same.
            if fd == 1, error.errno == .brokenPipe { linux_end_by_pipe() }
            // Of the errors' own descriptor nobody is left to be told.
            if fd != 2 { firstFailedWrite.withLock { $0 = $0 ?? error } }
        }
    }

    func line(_ text: String) { write("\(text)\n") }
}

/// The first write to the output that failed: a full disk cuts a file short without a word otherwise.
private let firstFailedWrite = Mutex<SyscallError?>(nil)

/// - Throws: when something of the output did not get there.
func checkOutput() throws(Failure) {
    if let error = firstFailedWrite.withLock({ $0 }) { throw Failure("cannot write the output", error) }
}

/// SGR colours (ECMA-48, 8.3.117).
enum Colour: Int {
    case red = 31
    case green = 32
    case yellow = 33
    case blue = 34
    case magenta = 35
    case cyan = 36
    case brightGreen = 92
    case brightYellow = 93
    case brightBlue = 94
    case brightMagenta = 95
    case brightCyan = 96

    func paint(_ text: String, when wanted: Bool) -> String {
        wanted ? "\u{1b}[\(rawValue)m\(text)\u{1b}[0m" : text
    }
}

/// Whether to use escape sequences: --ansi, --no-color, NO_COLOR (no-color.org), TERM.
struct AnsiChoice {
    enum Wish: String { case auto, always, never }
    let wish: Wish
    let noColour: Bool
    let dumb: Bool

    init(_ arguments: Arguments, _ invocation: Invocation) {
        let text = arguments.last(.ansi) ?? invocation.variable("COMPOSE_ANSI") ?? "auto"
        wish = arguments.has(.noColor) ? .never : Wish(rawValue: text) ?? .auto
        noColour = invocation.variable("NO_COLOR") != nil
        dumb = invocation.variable("TERM") == "dumb"
    }

    /// - Throws: when COMPOSE_ANSI is asked for and none of the words; of --ansi the flag's own table knows.
    static func check(_ arguments: Arguments, _ invocation: Invocation) throws(Failure) {
        guard arguments.last(.ansi) == nil, let text = invocation.variable("COMPOSE_ANSI"),
            Wish(rawValue: text) == nil
        else { return }
        throw Failure("cannot understand COMPOSE_ANSI=\(text)", cause: "it is none of auto, always, never")
    }

    func output(_ fd: Int32) -> Output {
        let terminal = isTerminal(fd) && !dumb && wish != .never
        return Output(
            fd: fd, colours: wish == .always || (wish == .auto && terminal && !noColour), isTerminal: terminal
        )
    }
}
