// SPDX-License-Identifier: Apache-2.0
//
// What is done once for a project in one hierarchy: its device policy, a cpuset its engine can live in, and the
// removal of it all. ProjectCgroup says when.

internal import CLinux
internal import Kernel

extension ProjectCgroup {
    /// On v1 a cgroup may never have more than the one above it, so the project's own has everything, and the policy
    /// stands on `engine`, which all containers without a policy of their own inherit through the keeper.
    func setLegacyPolicy(_ directory: CgroupDirectory) throws(SyscallError) {
        // Set already, unless the making was cut off just before it.
        guard try directory.read(Self.engine + "/devices.list").hasPrefix("a") else { return }
        try directory.setDevices(policy, on: Self.engine)
    }

    /// On v2 all programs on the way up are asked, unless one yields to those beneath it: the project's does.
    func setUnifiedPolicy(_ directory: CgroupDirectory) throws(SyscallError) {
        if try deviceProgramCount(ofCgroup: directory.fd.raw) > 0 { return }
        try attachDeviceProgram(policy.program, toCgroup: directory.fd.raw, yields: true)
    }

    /// Gives a container a policy of its own, once, before a process is in its cgroup.
    mutating func setDevices(_ devices: DevicePolicy, of place: ContainerPlace) throws(SyscallError) {
        if let hierarchy = host.hierarchy(of: "devices"), !hierarchy.unified {
            let made = try makeChild(place, in: hierarchy)
            guard made, let directory = directory(in: hierarchy) else { return }
            try directory.setDevices(devices, on: place.child)
        } else if let directory = directories.first(where: \.hierarchy.unified) {
            let own = try openFile(
                place.child, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: directory.fd.raw)
            if try deviceProgramCount(ofCgroup: own.raw) > 0 { return }
            try attachDeviceProgram(devices.program, toCgroup: own.raw)
        }
    }

    /// A v1 cpuset takes no process until it has processors and memory nodes (cpusets(7)): those of its parent.
    func initializeCpuset(_ directory: CgroupDirectory, engine: Bool = true, between: [String] = [])
        throws(SyscallError)
    {
        let mount = directory.hierarchy.mountPoint
        for file in ["cpuset.cpus", "cpuset.mems"] {
            var value = try readText("\(mount)/\(file)")
            let levels = ["\(mount)/\(Self.top)", directory.path]
            let engines = engine ? ["\(directory.path)/\(Self.engine)"] : []
            for level in levels + between + engines {
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
        for parent in parents.values where !parent.hasPrefix("/") {
            try directory.removeEmpty(ContainerPlace("", project: project, parent: parent).between)
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

extension CgroupDirectory {
    /// Writes a policy to a child of v1's devices hierarchy that has no children itself.
    fileprivate func setDevices(_ policy: DevicePolicy, on child: String) throws(SyscallError) {
        let lines: [(file: String, line: String)]
        do throws(DevicePolicy.UnspeakableRule) { lines = try policy.legacyLines() } catch {
            throw SyscallError("write", .notSupported, "\(child)/devices.allow: \(error.rule)")
        }
        for (file, line) in lines { try write("\(child)/\(file)", line) }
    }
}
