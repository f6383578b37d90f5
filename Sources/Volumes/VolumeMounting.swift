// SPDX-License-Identifier: Apache-2.0
//
// Volumes that are file systems of their own, or directories of the host: mounted over the volume's empty data directory
// when a container that has them is started, taken away when the project goes down. Whoever uses the volume uses its data
// directory, whatever is mounted there.
//
// A file system may never answer (docs/decisions/012-mounts-in-a-child.md). What asks it says so; the rest looks at the
// kernel's table of mounts alone.

internal import CLinux
public import Basics
public import ContainerModel
internal import Kernel
internal import LaunchPlanning
internal import Records

extension VolumeStore {
    /// What the volume is; nil for a directory of ours, and for one that is not there.
    public func mount(of name: String) throws(Failure) -> VolumeMount? {
        guard exists(name) else { return nil }
        return try readRecord(Volume.self, recordPath(name))?.mounted
    }

    /// Mounts what the volume is, unless it is a directory of ours or is mounted already. May take for ever: whoever has
    /// others to serve lets a child do it.
    /// - Parameter tell: called when it goes on.
    public func ensureMounted(_ name: String, _ tell: (VolumeProgress) -> Void = { _ in }) throws(Failure) {
        let doing = VolumeProgress.mounting.doing(name)
        _ = try alone(with: name, doing, waits: true, tell) { () throws(Failure) -> Void in
            guard let wanted = try mount(of: name) else { return }
            tell(.mounting)
            do throws(SyscallError) {
                if try isMountPoint(name) { return }
                let data = try openFile(dataDirectory(name), flags: O_PATH | O_DIRECTORY | O_NOFOLLOW)
                let tree = try wanted.isBind ? bindTree(wanted) : fileSystem(wanted)
                try retrying("move_mount", dataDirectory(name)) { linux_move_mount(tree.raw, data.raw) }
            } catch {
                throw refusal(doing, wanted, error)
            }
        }
    }

    /// Takes away what is mounted there; nothing is fine. Containers that run keep it.
    public func unmount(_ name: String) throws(Failure) {
        guard exists(name) else { return }
        let path = dataDirectory(name)
        do throws(SyscallError) {
            while try isMountPoint(name) {
                // UMOUNT_NOFOLLOW | MNT_DETACH: whoever has a file open there keeps it.
                try retrying("umount2", path) { linux_umount2(path, 8 | 2) }
            }
        } catch {
            throw Failure("cannot unmount volume \"\(name)\"", error)
        }
    }

    /// Takes away what is mounted there, unless somebody has it.
    /// - Parameter isUsed: asked while nobody begins to mount it. Whoever is about to has said so before.
    public func unmount(_ name: String, unless isUsed: () -> Bool) throws(Failure) {
        guard exists(name), try isMounted(name) else { return }
        func unmountUnused() throws(Failure) { if !isUsed() { try unmount(name) } }
        let doing = "cannot unmount volume \"\(name)\""
        let done: Void? = try alone(with: name, doing, waits: false) { () throws(Failure) -> Void in
            try unmountUnused()
        }
        // Who is at it is known as a user, or is a child of ours that a server keeps: that is not waited for.
        if done == nil { try unmountUnused() }
    }

    /// Whether something is mounted there. The file system itself is not asked: even the open of its root with O_PATH is a
    /// question to an NFS server (`d_weak_revalidate`, Documentation/filesystems/vfs.rst).
    public func isMounted(_ name: String) throws(Failure) -> Bool {
        do throws(SyscallError) {
            return try isMountPoint(name)
        } catch {
            throw Failure("cannot see whether volume \"\(name)\" is mounted", error)
        }
    }

    private func isMountPoint(_ name: String) throws(SyscallError) -> Bool {
        let holder: OwnedFD
        do throws(SyscallError) {
            holder = try openFile(directory(of: name), flags: O_PATH | O_DIRECTORY)
        } catch {
            if error.errno == .noEntry { return false }
            throw error
        }
        // As the kernel calls it: the way to the state directory may lead through links.
        let place = try readLink("/proc/self/fd/\(holder.raw)") + "/data"
        return MountEntry.all(in: try readFile("/proc/self/mountinfo")).contains { $0.point == place }
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
            // As mount(8): what begins so is for others to read (mount(8), "x-*").
            for datum in options.data where !datum.key.hasPrefix("x-") {
                try retrying("fsconfig", datum.shown) {
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

/// What systemd gives a mount (systemd-system.conf(5), `DefaultTimeoutStartSec=`).
public let usualPatience = Duration.seconds(90)

extension VolumeMount {
    fileprivate var isBind: Bool { options.contains("bind") }

    /// How long its mounting and filling may stand still: 90 s, as with systemd, unless the word of fstab says otherwise that
    /// systemd has for it (systemd.mount(5), `x-systemd.mount-timeout=`; `0` and `infinity` as with `TimeoutSec=`).
    /// - Returns: nil for as long as it takes.
    public func patience() throws(Failure) -> Duration? {
        let key = "x-systemd.mount-timeout="
        guard let option = options.last(where: { $0.hasPrefix(key) }) else { return usualPatience }
        let text = option.dropFirst(key.count)
        if text == "infinity" { return nil }
        let found = Int(text).map { Duration.seconds($0) } ?? Duration(compose: String(text))
        guard let found, found >= .zero else {
            throw Failure(
                "cannot mount \(device)", cause: "`\(option)` is no time",
                advice: "write seconds, a duration such as 1m30s, or `infinity`")
        }
        return found == .zero ? nil : found
    }
}

extension MountOptions.Datum {
    /// For messages: what opens a share is nobody's to read there.
    fileprivate var shown: String {
        if value.isEmpty { return key }
        return ["password", "password2", "pass"].contains(key) ? "\(key)=…" : "\(key)=\(value)"
    }
}
