// SPDX-License-Identifier: Apache-2.0
//
// A fresh clone that runs a launch program, with the caller as parent: what the keeper does for a project, for those who
// launch without one.

public import Basics
internal import CLaunch
internal import CLinux
public import Kernel
public import LaunchPlanning

public struct LaunchClone: Sendable {
    public let pid: Int32
    public let pidfd: SharedFD
    /// Its reports come here, and what it waits for goes in.
    public let sync: SharedFD

    /// Verifies and clones. Slot 0 is made here; `descriptors` fill the slots after it.
    /// - Parameter network: a network namespace that is there for it; else the clone makes what it wants.
    public init(
        _ program: LaunchProgram, descriptors: [Int32], network: SharedFD? = nil
    ) throws(Failure) {
        if let excess = program.excess {
            throw Failure(
                "cannot start a process", cause: "it needs \(excess)",
                advice: "ask for fewer mounts, devices and hidden paths")
        }
        let bytes = program.encoded()
        var bad: Int32 = 0
        let verdict = bytes.withUnsafeBytes { covey_launch_verify($0.baseAddress, $0.count, &bad) }
        guard verdict == 0 else {
            throw Failure(
                "cannot start a process",
                cause: "the launch program is wrong at operation \(bad): \(program.doing(at: Int(bad)))")
        }
        do throws(SyscallError) {
            let pair = try packetSocketPair()
            // Before the clone: after it nothing may fail, or nobody would know of the child.
            sync = SharedFD(try pair.first.duplicate())
            var raw: Int32 = -1
            let given = [pair.second.raw] + descriptors
            // As long as the child had our end too, it would never hear that we are gone.
            let peers = [pair.first.raw, sync.raw]
            let pid = bytes.withUnsafeBytes {
                covey_launch($0.baseAddress, given, peers, peers.count, network?.raw ?? -1, &raw)
            }
            if pid < 0 { throw SyscallError("clone3", Errno(-pid)) }
            // It may be behind us on one processor; we have nothing to do that is more urgent.
            sched_yield()
            self.pid = pid
            pidfd = SharedFD(OwnedFD(taking: raw))
        } catch {
            throw Failure("cannot start a process", error)
        }
    }
}
