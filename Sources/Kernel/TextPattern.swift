// SPDX-License-Identifier: Apache-2.0

internal import CLinux

/// An extended regular expression of POSIX (regex(7)).
public struct TextPattern: ~Copyable {
    private var compiled = regex_t()

    /// nil for a text that is none.
    public init?(_ text: String) {
        guard regcomp(&compiled, text, REG_EXTENDED | REG_NOSUB) == 0 else { return nil }
    }

    deinit {
        var compiled = compiled
        regfree(&compiled)
    }

    /// True when some part of `text` is as it says.
    public func matches(_ text: String) -> Bool {
        withUnsafePointer(to: compiled) { regexec($0, text, 0, nil, 0) } == 0
    }
}
