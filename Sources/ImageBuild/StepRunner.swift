// SPDX-License-Identifier: Apache-2.0

public import Basics

/// How a `RUN` step's program is run; the container runtime provides it, the builder only asks.
public struct StepRunner {
    /// Runs the program to its end.
    ///
    /// Mounts the lowers and the upper as the root, with `redirect_dir=off,index=off,metacopy=off`, and has
    /// unmounted it when it returns. Throws when the program could not be started.
    public let run: (StepRequest) throws(Failure) -> StepEnd

    public init(run: @escaping (StepRequest) throws(Failure) -> StepEnd) { self.run = run }

    /// Refuses every `RUN`: for hosts and commands that cannot run containers.
    public static func refusing(because cause: String) -> StepRunner {
        StepRunner { (_: StepRequest) throws(Failure) -> StepEnd in
            throw Failure("cannot run programs in this build", cause: cause)
        }
    }
}

/// How a step's program ended.
public struct StepEnd: Hashable, Sendable {
    /// Its exit code, 128 + n for signal n.
    public var code: Int32
    /// The kernel killed a process of it for want of memory.
    public var metMemoryLimit = false
    /// The kernel refused it a process or a thread; this is how many it may have.
    public var metProcessLimit: Int?
    public init(code: Int32) { self.code = code }
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
    public var network: StepNetwork
    public var mounts: [StepMount] = []
    /// With all the rights there are.
    public var isPrivileged = false
    /// Further lines of /etc/hosts: name and address.
    public var extraHosts: [(name: String, address: String)] = []
    public var limits = StepLimits()
    /// Takes what the program writes to stdout and stderr, as it comes; nothing now and then, as a sign of life.
    public var output: (UnsafeRawBufferPointer) -> Void
}

/// What a step's program can reach.
public enum StepNetwork: String, Hashable, Sendable {
    /// A network namespace of its own with a way out.
    case outbound
    /// The host's.
    case host
    /// A loopback of its own and nothing else.
    case none
}

public struct StepLimits: Hashable, Sendable {
    /// Of /dev/shm, in bytes; nil is the default.
    public var sharedMemory: Int64?
    /// Bytes of memory, swap aside, for one step; nil is no limit.
    public var memory: Int64?
    /// Processes and threads of one step at once; nil is the runner's usual limit, where the host can keep one.
    public var processes: Int?
    /// By name, soft and hard, -1 for none.
    public var ulimits: [String: StepUlimit] = [:]
    public init() {}
}

public struct StepUlimit: Hashable, Sendable {
    public var soft: Int64
    public var hard: Int64
    public init(soft: Int64, hard: Int64) { (self.soft, self.hard) = (soft, hard) }
}

/// Something a step finds at a path of its root for as long as it runs. The mount point is made where it is missing
/// and is no part of the layer.
public struct StepMount {
    public enum Source {
        /// A directory or file of the build's own, which nobody else changes: bound as it is.
        case path(String, isDirectory: Bool)
        /// A directory within a tree that programs write in: no link is followed on the way to it.
        case below(root: String, path: String)
        /// Layers over each other, topmost first. With an upper, what is written goes there.
        case layers([String], upper: String?, work: String?)
        case tmpfs(size: Int64?)
        /// A file that is kept in memory only.
        case content([UInt8], mode: UInt32, uid: UInt32, gid: UInt32)
        /// An agent's socket, offered again with this mode and owner.
        case agent(String, mode: UInt32, uid: UInt32, gid: UInt32)
    }
    public var source: Source
    /// Absolute.
    public var target: String
    public var isReadOnly: Bool
    /// For messages: `the cache "go"`.
    public var title: String
}
