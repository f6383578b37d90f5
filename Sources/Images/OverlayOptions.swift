// SPDX-License-Identifier: Apache-2.0
//
// What overlayfs asks of whoever mounts it (Documentation/filesystems/overlayfs.rst): options that fit in a page,
// upper directories it can use, and the mark that `volatile` leaves.

public import Basics
internal import CLinux
internal import Kernel

/// How the lower directories are told to the kernel.
public enum OverlayLowers: Hashable, Sendable {
    /// mount(2)'s data, relative to `workingDirectory` where that is set: chdir there first.
    case options(String, workingDirectory: String?)
    /// Too long for mount(2)'s page: fsconfig(2) with `lowerdir+`, one call each (Linux 6.5), topmost first.
    case each([String])
}

/// mount(2) copies one page of options (mount(2), NOTES).
private let pageLimit = 4096

/// The options for an overlay mount.
/// - layers: topmost first, as `ImageFacts.layers`.
/// - upper, work: absolute; on one file system.
/// - extra: `volatile`, `redirect_dir=off` and the like.
public func overlayOptions(
    layers: [String], layersDirectory: String, upper: String, work: String, extra: [String] = []
) -> OverlayLowers {
    let prefix = layersDirectory + "/"
    let short = layers.allSatisfy { $0.hasPrefix(prefix) }
    let lowers = layers.map { escaped(short ? String($0.dropFirst(prefix.count)) : $0, colons: true) }
    let options =
        ([
            "lowerdir=" + lowers.joined(separator: ":"), "upperdir=" + escaped(upper),
            "workdir=" + escaped(work),
        ] + extra)
        .joined(separator: ",")
    // The page holds the terminating NUL as well.
    guard options.utf8.count < pageLimit else { return .each(layers) }
    return .options(options, workingDirectory: short ? layersDirectory : nil)
}

/// Commas end an option, colons a lower directory; a backslash takes either's meaning away.
private func escaped(_ path: String, colons: Bool = false) -> String {
    var result = ""
    for character in path.unicodeScalars {
        if character == "\\" || character == "," || colons && character == ":" { result += "\\" }
        result.unicodeScalars.append(character)
    }
    return result
}

/// Makes `upper` and `work` in a container's directory ready to be mounted.
///
/// With `volatile` nothing of an upper was synced: after a reboot it may be torn, so one of another boot is discarded;
/// within a boot the mark that forbids a second mount is removed (overlayfs.rst, "Volatile mount").
/// - Returns: true when there was an upper of an earlier boot and it is gone.
/// - Throws: a directory on overlayfs itself, which can't be an upper.
@discardableResult
public func ensureUpper(in directory: String, bootID: String) throws(Failure) -> Bool {
    let doing = "cannot prepare \(directory)"
    try refuseOverlay(directory)
    return try kernel(doing) { () throws(SyscallError) in
        let (upper, work, boot) = ("\(directory)/upper", "\(directory)/work", "\(directory)/boot")
        let known = exists(boot) ? try readText(boot).filter { $0 != "\n" } : nil
        let stale = known != bootID && exists(upper)
        if stale {
            try removeTreeByName(upper)
            try removeTreeByName(work)
        }
        try ensureDirectory(upper)
        try ensureDirectory(work, mode: 0o700)
        if known != bootID { try replaceFile(boot, "\(bootID)\n".utf8, mode: 0o600) }
        let mark = "\(work)/work/incompat/volatile"
        if exists(mark) { try removeTreeByName(mark) }
        return stale
    }
}

/// Throws when the directory lies on overlayfs: the kernel takes no upper there.
public func refuseOverlay(_ directory: String) throws(Failure) {
    let type = try kernel("cannot look at \(directory)") { () throws(SyscallError) in
        let fd = try openFile(directory, flags: O_RDONLY | O_DIRECTORY)
        return linux_statfs_type(fd.raw)
    }
    // OVERLAYFS_SUPER_MAGIC, linux/magic.h.
    guard type == 0x794c_7630 else { return }
    throw Failure(
        "cannot keep containers in \(directory)",
        cause: "it is on overlayfs, as in a container, and overlayfs takes no upper directory there (EINVAL)",
        advice: "give --root a volume or a tmpfs, for example `--root /dev/shm/covey`")
}
