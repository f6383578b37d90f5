// SPDX-License-Identifier: Apache-2.0
//
// Devices of a bundle with a user namespace of its own. Nobody can make one there (mknod(2), EPERM), so each is made here,
// on a tmpfs that only a descriptor reaches, with the owner the container's maps say, and goes along as a mount. Before Linux
// 6.15 a mount that hangs nowhere can't be cloned (__do_loopback, fs/namespace.c): then, and where we may make none
// either, the host's device of the same path stands for it, as for a user namespace that is joined.

internal import Basics
internal import CLinux
internal import Kernel
internal import LaunchPlanning
internal import OCIFormats

extension PreparedMounts {
    /// Adds the devices that can be made; the paths of these are in `devices` then.
    mutating func addDevices(_ linux: RuntimeConfig.Linux) throws(Failure) {
        let isNew = linux.namespaces.contains { $0.kind == .user && $0.path == nil }
        let isForeign = mounts.hasForeignDev
        let wanted = linux.devices.filter { $0.type != "p" && !(isForeign && $0.path.hasPrefix("/dev/")) }
        guard isNew, !wanted.isEmpty, let top = try? detachedFiles([]) else { return }
        for (index, device) in wanted.enumerated() {
            let owner = (
                try hostID(device.uid, linux.uidMappings, "uid", device),
                try hostID(device.gid, linux.gidMappings, "gid", device)
            )
            guard let node = try? makeDevice(device, owner, name: "\(index)", at: top.raw) else { return }
            let name = "device:\(index)"
            given[name] = node
            devices.insert(device.path)
            mounts.append(
                BundleMount(
                    source: .given(name, isDirectory: false), target: device.path,
                    options: MountOptions(["bind", "nosuid", "noexec"]), title: "device \(device.path)"))
        }
    }
}

private func makeDevice(
    _ device: RuntimeConfig.Device, _ owner: (uid: UInt32, gid: UInt32), name: String, at directory: Int32
) throws(SyscallError) -> SharedFD {
    let type = UInt32(device.type == "b" ? S_IFBLK : S_IFCHR)
    let number = linux_makedev(UInt32(clamping: device.major), UInt32(clamping: device.minor))
    try retrying("mknodat", device.path) { mknodat(directory, name, type | 0o600, dev_t(number)) }
    let path = "/proc/self/fd/\(directory)/\(name)"
    try retrying("chown", device.path) { chown(path, owner.uid, owner.gid) }
    try retrying("chmod", device.path) { chmod(path, (device.fileMode ?? 0o666) & 0o7777) }
    return try openDetachedTree(path, recursive: false)
}

/// What an id inside is outside; without one the container's root, or ours where it has none.
private func hostID(
    _ given: UInt32?, _ maps: [RuntimeConfig.IDMapping], _ kind: String, _ device: RuntimeConfig.Device
) throws(Failure) -> UInt32 {
    let id = given ?? 0
    for map in maps where id >= map.containerID && id - map.containerID < map.size {
        return map.hostID &+ (id - map.containerID)
    }
    if given == nil { return 0 }
    throw Failure(
        "cannot make device \(device.path)", cause: "\(kind) \(id) is not in the container's maps",
        advice: "give it an owner that is, or map that one")
}
