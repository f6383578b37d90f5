// SPDX-License-Identifier: Apache-2.0
//
// OCIRuntime: the life of a bundle's container (runtime.md): state on disk, create, start, kill, delete, exec, and what
// goes with them. It decides nothing about command lines and writes nothing to the user; Commands does. What the child
// does between clone3 and execve is LaunchPlanning's and CLaunch's. No process of ours stays with a container: whoever
// called, or its subreaper, is the parent of what was made.

internal import Basics

/// What every command is told beside its own flags.
public struct RuntimeSettings: Sendable {
    /// Where the containers' state is, one directory each.
    public var root: String
    public var noPivot = false
    public var sessionKeyring = true
    /// Descriptors from 3 on that the program gets.
    public var preservedDescriptors = 0
    public var manners = Manners.specification
    public var activation = Activation()
    /// Told what the user should know and nothing fails for.
    public var warn: @Sendable (String) -> Void = { _ in }
    /// Told what is done, step by step; nil where nobody wants to know.
    public var trace: (@Sendable (String) -> Void)?

    public init(root: String) { self.root = root }

    /// What a service manager told the caller in its environment (sd_listen_fds(3), sd_notify(3)).
    public struct Activation: Sendable {
        /// LISTEN_FDS, LISTEN_FDNAMES, NOTIFY_SOCKET.
        public var listening: String?
        public var names: String?
        public var readinessSocket: String?

        public init() {}
    }
}

/// Version of the specification whose words we speak.
public let ociVersion = "1.3.0"

/// A failure with what it is about as a container's name first.
func containerFailure(_ id: String, _ doing: String, _ cause: String, advice: String? = nil) -> Failure {
    Failure("cannot \(doing) container \"\(id)\"", cause: cause, advice: advice)
}

/// A name is one directory's and shows in messages: letters, digits, `_`, `+`, `-` and `.`, as runc has it.
func checkIdentifier(_ id: String) throws(Failure) {
    let letters = id.utf8.allSatisfy { byte in
        (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
            || [UInt8(ascii: "_"), 43, 45, 46].contains(byte)
    }
    guard !id.isEmpty, letters, id != ".", id != "..", id.utf8.count <= 1024 else {
        throw Failure(
            "cannot use \"\(id)\" as a container's name", cause: "invalid container ID format: \"\(id)\"",
            advice: "use letters, digits, `_`, `+`, `-` and `.`")
    }
}
