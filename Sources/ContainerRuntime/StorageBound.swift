// SPDX-License-Identifier: Apache-2.0
//
// A bound on what a container writes beside its volumes: a project quota (xfs(5), ext4(5), "prjquota") on the two
// directories its overlay writes to. What is made in them is of their project; renames between projects are refused, so
// both are of one.

internal import Basics
internal import CLinux
internal import Kernel

/// Sets or changes the bound; before the overlay is mounted.
func boundStorage(_ directories: ContainerDirectories, to size: ByteSize, doing: String) throws(Failure) {
    let doing = "\(doing): `storage_opt` size \(size)"
    let mount: MountEntry?
    do throws(SyscallError) {
        mount = try MountEntry.holding(directories.upper)
    } catch {
        throw Failure(doing, error)
    }
    guard let mount, mount.options.contains("prjquota") else {
        let place = mount.map { "the \($0.type) file system at \($0.point)" } ?? "\(directories.upper)"
        throw Failure(
            doing, cause: "\(place) keeps no project quotas",
            advice: "use XFS or ext4 mounted with prjquota for the state directory, or remove `storage_opt`")
    }
    do throws(SyscallError) {
        let upper = try openFile(directories.upper, flags: O_RDONLY | O_DIRECTORY)
        let work = try openFile(directories.work, flags: O_RDONLY | O_DIRECTORY)
        var project: UInt32 = 0
        try retrying("ioctl", directories.upper) { linux_get_project(upper.raw, &project) }
        if project == 0 { project = try freeProject(upper.raw, seed: directories.upper) }
        for directory in [upper.raw, work.raw] {
            try retrying("ioctl", directories.upper) { linux_set_project(directory, project) }
        }
        try retrying("quotactl", mount.point) {
            linux_set_project_quota(upper.raw, project, UInt64(clamping: size.bytes))
        }
    } catch {
        throw Failure(doing, error, advice: "see whether the file system was made with project quotas")
    }
}

/// Forgets the bound of a container that is removed; without one, nothing.
public func releaseStorage(_ directories: ContainerDirectories) {
    guard let upper = try? openFile(directories.upper, flags: O_RDONLY | O_DIRECTORY) else { return }
    var project: UInt32 = 0
    guard linux_get_project(upper.raw, &project) == 0, project != 0 else { return }
    _ = linux_set_project_quota(upper.raw, project, 0)
}

/// A number that nobody has, starting at one the path decides, far above what people number by hand.
private func freeProject(_ fd: Int32, seed: String) throws(SyscallError) -> UInt32 {
    var project =
        0x4000_0000 | (UInt32(Digest(of: Array(seed.utf8)).hex.prefix(8), radix: 16) ?? 0) & 0x3fff_ffff
    for _ in 0..<1000 {
        var (used, limit): (UInt64, UInt64) = (0, 0)
        // ENOENT: XFS has no entry for one that nobody uses.
        if linux_get_project_quota(fd, project, &used, &limit) != 0 {
            let errno = Errno(linux_errno())
            if errno == .noEntry { return project }
            throw SyscallError("quotactl", errno, "project \(project)")
        }
        if used == 0 && limit == 0 { return project }
        project = 0x4000_0000 | (project &+ 1) & 0x3fff_ffff
    }
    throw SyscallError("quotactl", .exists, "a thousand projects in a row are in use")
}
