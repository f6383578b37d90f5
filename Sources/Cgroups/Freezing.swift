// SPDX-License-Identifier: Apache-2.0
//
// Pausing a container: the freezer of v2 (cgroup-v2.rst, "cgroup.freeze", Linux 5.2), else v1's
// (cgroup-v1/freezer-subsystem.rst), in which a container gets its directory only when it is first paused.

public import Basics
internal import Kernel

extension ProjectCgroup {
    /// Freezes or thaws every process of a container; what is so already stays so.
    ///
    /// Waits up to 0.2 s until all are frozen; a process the kernel can't stop yet freezes as soon as it can be.
    /// - Throws: a failure when this host has no freezer that can be written.
    public mutating func setFrozen(_ frozen: Bool, container name: String) throws(Failure) {
        let doing = frozen ? "cannot pause container \"\(name)\"" : "cannot unpause container \"\(name)\""
        let place = place(of: name)
        let child = place.child
        do throws(SyscallError) {
            guard frozen else { return try container(name).setThawed() }
            if let unified = directories.first(where: {
                $0.hierarchy.unified && $0.has("\(child)/cgroup.freeze")
            }) {
                try unified.write("\(child)/cgroup.freeze", "1")
                for _ in 0..<200 where unified.value("frozen", in: "\(child)/cgroup.events") != 1 {
                    pauseBetweenLooks(.milliseconds(1))
                }
                return
            }
            try freezeLegacy(place)
        } catch {
            throw Failure(doing, error)
        }
    }

    private mutating func freezeLegacy(_ place: ContainerPlace) throws(SyscallError) {
        let child = place.child
        guard let freezer = host.hierarchy(of: "freezer") else {
            throw SyscallError("open", .notSupported, "no writable cgroup hierarchy has a freezer")
        }
        _ = try makeChild(place, in: freezer)
        // Also those that came in since an earlier pause: a process is where its parent was.
        if let home = membershipHierarchy, home != freezer { try move(child, from: home, to: freezer) }
        guard let directory = directory(in: freezer) else { return }
        for _ in 0..<200 {
            // Written again while it is FREEZING: a process in the midst of ptrace or vfork escapes the first try.
            try directory.write("\(child)/freezer.state", "FROZEN")
            if try directory.read("\(child)/freezer.state").hasPrefix("FROZEN") { return }
            pauseBetweenLooks(.milliseconds(1))
        }
    }
}

extension ContainerCgroup {
    /// Stopped by the freezer, its own or a parent's on v2.
    public var isFrozen: Bool {
        for directory in directories where directory.has(child) {
            if directory.hierarchy.unified {
                // What was asked for counts, and is written before the last process has stopped.
                if directory.number(child + "/cgroup.freeze") == 1 { return true }
            } else if directory.hierarchy.controllers.contains("freezer"),
                let state = try? directory.read(child + "/freezer.state"), !state.hasPrefix("THAWED")
            {
                return true
            }
        }
        return false
    }

    /// Lets every process go on, whatever froze it there.
    func setThawed() throws(SyscallError) {
        for directory in directories where directory.has(child) {
            if directory.hierarchy.unified {
                if directory.has(child + "/cgroup.freeze") {
                    try directory.write(child + "/cgroup.freeze", "0")
                }
            } else if directory.hierarchy.controllers.contains("freezer") {
                try directory.write(child + "/freezer.state", "THAWED")
            }
        }
    }
}

extension ProjectCgroup {
    /// The cgroup of v1's freezer in which somebody else froze a process; nil when there is none. Nothing tells of it: a
    /// process is in that hierarchy where its parent was, unless it was paused.
    public func foreignFreezer(of process: Int32, container name: String) -> String? {
        guard let (freezer, path) = legacyFreezer(of: process),
            !path.hasSuffix("/\(place(of: name).suffix)"),
            let state = try? readText("\(freezer.mountPoint)\(path)/freezer.state"),
            !state.hasPrefix("THAWED")
        else { return nil }
        return "\(freezer.mountPoint)\(path)"
    }

    /// Moves processes that stand in somebody's freezer to where `keeper` stands; there they go on at once.
    public func leaveForeignFreezer(_ processes: [Int32], keeper: Int32) throws(Failure) {
        guard let (freezer, home) = legacyFreezer(of: keeper) else { return }
        do throws(SyscallError) {
            for process in processes {
                guard let (_, path) = legacyFreezer(of: process), path != home else { continue }
                do throws(SyscallError) {
                    try writeControl("\(freezer.mountPoint)\(home)/cgroup.procs", "\(process)")
                } catch {
                    // Ended meanwhile.
                    if error.errno != .noProcess { throw error }
                }
            }
        } catch {
            throw Failure("cannot take frozen processes out of their cgroup", error)
        }
    }

    /// Where a process stands in v1's freezer, from the hierarchy's mount point on (proc_pid_cgroup(5)).
    private func legacyFreezer(of process: Int32) -> (hierarchy: CgroupHierarchy, path: String)? {
        guard let freezer = host.hierarchy(of: "freezer"), !freezer.unified,
            let text = try? readText("/proc/\(process)/cgroup")
        else { return nil }
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3, parts[1].split(separator: ",").contains("freezer") else { continue }
            return (freezer, parts[2] == "/" ? "" : String(parts[2]))
        }
        return nil
    }
}
