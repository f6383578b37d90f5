// SPDX-License-Identifier: Apache-2.0
//
// What is done once for a project in one hierarchy: its device policy, a cpuset its engine can live in, and the
// removal of it all. ProjectCgroup says when.

internal import CLinux
internal import Kernel

extension ProjectCgroup {
    func setLegacyPolicy(_ directory: CgroupDirectory) throws(SyscallError) {
        var patience = RemovalPatience()
        while true {
            do throws(SyscallError) {
                try directory.write("devices.deny", "a")
                break
            } catch {
                // A `down` that was cut off: `engine` is removed, but counts as a child for a moment more, until the
                // kernel's worker has taken it offline (devcgroup_update_access, Linux 6.18).
                guard error.errno == .invalid, patience.wait() else { throw error }
            }
        }
        for line in policy.allowLines { try directory.write("devices.allow", line) }
    }

    func setUnifiedPolicy(_ directory: CgroupDirectory) throws(SyscallError) {
        if try deviceProgramCount(ofCgroup: directory.fd.raw) > 0 { return }
        try attachDeviceProgram(policy.program, toCgroup: directory.fd.raw)
    }

    /// A v1 cpuset takes no process until it has processors and memory nodes (cpusets(7)): those of its parent.
    func initializeCpuset(_ directory: CgroupDirectory, engine: Bool = true) throws(SyscallError) {
        let mount = directory.hierarchy.mountPoint
        for file in ["cpuset.cpus", "cpuset.mems"] {
            var value = try readText("\(mount)/\(file)")
            let levels = ["\(mount)/\(Self.top)", directory.path]
            for level in levels + (engine ? ["\(directory.path)/\(Self.engine)"] : []) {
                let own = try readText("\(level)/\(file)")
                if own.first == "\n" || own.isEmpty {
                    try writeControl("\(level)/\(file)", value)
                } else {
                    value = own
                }
            }
        }
    }

    func removeProject(in hierarchy: CgroupHierarchy) throws(SyscallError) {
        var directory: CgroupDirectory
        do throws(SyscallError) {
            directory = try open(hierarchy)
        } catch {
            if error.errno == .noEntry { return }
            throw error
        }
        var patience = RemovalPatience()
        for child in try directoryEntries(".", at: directory.fd.raw)
        where child == Self.engine || child.hasPrefix(Self.containerPrefix) {
            try directory.remove(child, patience: &patience)
        }
        try removeDirectory(directory.path)
        do throws(SyscallError) {
            try removeDirectory("\(hierarchy.mountPoint)/\(Self.top)")
        } catch {
            // Other projects live there.
            if error.errno != .busy && error.errno != .notEmpty { throw error }
        }
    }
}
