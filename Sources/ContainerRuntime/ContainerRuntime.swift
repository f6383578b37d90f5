// SPDX-License-Identifier: Apache-2.0
//
// ContainerRuntime: prepares, launches, execs into and deletes one container. It knows nothing of projects, networks'
// making or images' origin: paths, addresses and limits come in as values. What runs in the child is CLaunch's.

/// Where one container's state is on disk.
public struct ContainerDirectories: Sendable {
    /// Kept over restarts and reboots: upper, work, log, container.json.
    public let state: String
    /// Gone with the boot: streams, exit record, generated files.
    public let run: String

    public init(state: String, run: String) {
        self.state = state
        self.run = run
    }

    public var upper: String { state + "/upper" }
    public var work: String { state + "/work" }
    /// The root is mounted over the log's directory, in the container's mount namespace alone: nothing there needs the
    /// log, and a directory of its own would be one inode more for each container.
    public var mountPoint: String { log }
    public var log: String { state + "/log" }
    /// Volumes of this container alone.
    public var anonymousVolumes: String { state + "/volumes" }
    public var record: String { state + "/container.json" }
    public var standardInput: String { run + "/stdin" }
    public var standardOutput: String { run + "/stdout" }
    public var standardError: String { run + "/stderr" }
    public var hosts: String { run + "/hosts" }
    public var hostname: String { run + "/hostname" }
    public var resolvConf: String { run + "/resolv.conf" }
    public var files: String { run + "/files" }
    public var exitRecord: String { run + "/exit.json" }
}
