// SPDX-License-Identifier: Apache-2.0

public import Basics

/// How a `RUN` step's program is run; the container runtime provides it, the builder only asks.
public struct StepRunner {
    /// Runs the program to its end and gives its exit code, 128 + n for signal n.
    ///
    /// Mounts the lowers and the upper as the root, with `redirect_dir=off,index=off,metacopy=off`, and has
    /// unmounted it when it returns. Throws when the program could not be started.
    public let run: (StepRequest) throws(Failure) -> Int32

    public init(run: @escaping (StepRequest) throws(Failure) -> Int32) { self.run = run }

    /// Refuses every `RUN`: for hosts and commands that cannot run containers.
    public static func refusing(because cause: String) -> StepRunner {
        StepRunner { (_: StepRequest) throws(Failure) -> Int32 in
            throw Failure("cannot run programs in this build", cause: cause)
        }
    }
}

/// One program of a build.
public struct StepRequest {
    /// Unpacked layers, topmost first; empty above `FROM scratch`.
    public var lowers: [String]
    /// Empty directory that takes the changes.
    public var upper: String
    /// overlayfs's work directory, on the upper's file system.
    public var work: String
    /// Program and arguments; never empty.
    public var arguments: [String]
    /// `NAME=value`; PATH is among them.
    public var environment: [String]
    /// Absolute; exists in the image.
    public var workingDirectory: String
    /// `user[:group]` by name or number; empty means root.
    public var user: String
    /// False: the program has no network but a loopback of its own.
    public var network: Bool
    /// Takes what the program writes to stdout and stderr, as it comes.
    public var output: (UnsafeRawBufferPointer) -> Void
}
