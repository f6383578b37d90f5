// SPDX-License-Identifier: Apache-2.0
//
// Volumes that are file systems of their own, or directories of the host: mounted over the volume's empty data directory
// when a container that has them is made, taken away when the project goes down. Whoever uses the volume uses its data
// directory, whatever is mounted there.

internal import CLinux
public import Basics
internal import ContainerModel
internal import Kernel
internal import LaunchPlanning
internal import Records

extension VolumeStore {
    /// Mounts what the volume is, unless it is a directory of ours or is mounted already.
    public func ensureMounted(_ name: String) throws(Failure) {
        guard exists(name), let volume = try readRecord(Volume.self, recordPath(name)),
            let wanted = volume.mounted
        else { return }
        let doing = "cannot mount volume \"\(name)\""
        do throws(SyscallError) {
            if try isMounted(dataDirectory(name)) { return }
            let data = try openFile(dataDirectory(name), flags: O_PATH | O_DIRECTORY | O_NOFOLLOW)
            let tree = try wanted.isBind ? bindTree(wanted) : fileSystem(wanted)
            try retrying("move_mount", dataDirectory(name)) { linux_move_mount(tree.raw, data.raw) }
        } catch {
            throw refusal(doing, wanted, error)
        }
    }

    /// Takes away what is mounted there; nothing is fine. Containers that run keep it.
    public func unmount(_ name: String) throws(Failure) {
        guard exists(name) else { return }
        let path = dataDirectory(name)
        do throws(SyscallError) {
            while try isMounted(path) {
                // UMOUNT_NOFOLLOW | MNT_DETACH: whoever has a file open there keeps it.
                try retrying("umount2", path) { linux_umount2(path, 8 | 2) }
            }
        } catch {
            throw Failure("cannot unmount volume \"\(name)\"", error)
        }
    }

    private func isMounted(_ path: String) throws(SyscallError) -> Bool {
        do throws(SyscallError) {
            let data = try openFile(path, flags: O_PATH | O_DIRECTORY | O_NOFOLLOW)
            return linux_is_mount_root(data.raw) == 1
        } catch {
            if error.errno == .noEntry { return false }
            throw error
        }
    }

    private func bindTree(_ wanted: VolumeMount) throws(SyscallError) -> OwnedFD {
        let tree = OwnedFD(
            taking: try retrying("open_tree", wanted.device) { linux_open_tree_clone(wanted.device, 0) })
        try setAttributes(MountOptions(wanted.options), of: tree, wanted)
        return tree
    }

    private func fileSystem(_ wanted: VolumeMount) throws(SyscallError) -> OwnedFD {
        let options = MountOptions(wanted.options)
        let context = OwnedFD(taking: try retrying("fsopen", wanted.type) { linux_fsopen(wanted.type) })
        let fd = context.raw
        func told(_ body: () throws(SyscallError) -> Void) throws(SyscallError) {
            do throws(SyscallError) {
                try body()
            } catch {
                throw SyscallError(
                    error.call, error.errno,
                    [error.subject, reason(fd)].compactMap { $0 }.joined(separator: ": "))
            }
        }
        try told { () throws(SyscallError) in
            try retrying("fsconfig", "source=\(wanted.device)") {
                linux_fsconfig_string(fd, "source", wanted.device)
            }
            for datum in options.data {
                try retrying("fsconfig", datum.value.isEmpty ? datum.key : "\(datum.key)=\(datum.value)") {
                    datum.value.isEmpty
                        ? linux_fsconfig_flag(fd, datum.key)
                        : linux_fsconfig_string(fd, datum.key, datum.value)
                }
            }
            try retrying("fsconfig", wanted.type) { linux_fsconfig_create(fd) }
        }
        let tree = OwnedFD(taking: try retrying("fsmount", wanted.type) { linux_fsmount(fd) })
        try setAttributes(options, of: tree, wanted)
        return tree
    }

    private func setAttributes(_ options: MountOptions, of tree: borrowing OwnedFD, _ wanted: VolumeMount)
        throws(SyscallError)
    {
        let raw = tree.raw
        if options.set | options.clear != 0 {
            try retrying("mount_setattr", wanted.device) {
                linux_mount_setattr(raw, 0, options.set, options.clear, 0, -1)
            }
        }
        for propagation in options.propagation {
            // Of this mount alone: without MS_REC.
            try retrying("mount_setattr", wanted.device) {
                linux_mount_setattr(raw, 0, 0, 0, propagation & ~0x4000, -1)
            }
        }
    }

    /// What the file system said about itself: lines that begin with e, w or i (fsopen(2), "message retrieval").
    private func reason(_ context: Int32) -> String? {
        var buffer = [UInt8](repeating: 0, count: 1024)
        var last: String?
        while true {
            let count = read(context, &buffer, buffer.count)
            guard count > 2 else { return last }
            let line = String(decoding: buffer[..<count], as: UTF8.self)
            if line.hasPrefix("e ") { last = String(line.dropFirst(2).filter { $0 != "\n" }) }
        }
    }

    private func refusal(_ doing: String, _ wanted: VolumeMount, _ error: SyscallError) -> Failure {
        switch error.call {
        case "fsopen" where error.errno == .noDevice:
            Failure(
                doing, cause: "this kernel has no file system \"\(wanted.type)\" (ENODEV)",
                advice: "load its module, or use another `type`")
        case "open_tree" where error.errno == .noEntry:
            Failure(
                doing, cause: "\(wanted.device) is not there (ENOENT)", advice: "make the directory first")
        case "move_mount" where error.errno == .notDirectory:
            Failure(doing, cause: "\(wanted.device) is no directory (ENOTDIR)", advice: "name a directory")
        default: Failure(doing, error, advice: "see the volume's `driver_opts`")
        }
    }
}

extension VolumeMount {
    fileprivate var isBind: Bool { options.contains("bind") }
}
