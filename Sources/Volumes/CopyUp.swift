// SPDX-License-Identifier: Apache-2.0
//
// What Docker does to a volume that is mounted over something: while it is empty it is given what the image has
// there, with owner, mode and attributes; so does the data directory itself. How that survives being cut off is
// VolumeFilling.swift's.

public import Basics
internal import CLinux
internal import Kernel

/// Fills an empty directory with what an image has at `path`. For one that goes with whoever fills it: what was begun and
/// cut off stays half.
///
/// The image is read as overlayfs would show it, deleted files left out, links followed inside of it. A path that the
/// image has not, or that is no directory, leaves the directory as it is. Mount points and sockets are skipped.
/// - layers: topmost first, as `ImageFacts.layers`.
/// - Returns: true when the directory was empty and the image had something to say.
@discardableResult
public func copyUp(from layers: [String], path: String, into data: String) throws(Failure) -> Bool {
    do throws(SyscallError) {
        let target = try openFile(data, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        guard try entryNames(of: target.raw).isEmpty, let source = try imageDirectory(path, in: layers) else {
            return false
        }
        try copy(source, to: target.raw) {}
        return true
    } catch {
        throw fillFailure(data, path, error)
    }
}

func fillFailure(_ data: String, _ path: String, _ error: SyscallError) -> Failure {
    Failure(
        "cannot fill the volume at \(data) with the image's \(path)", error,
        advice: error.errno == .noSpace ? "free space, or mount with `volume: {nocopy: true}`" : nil)
}

/// What an image has at a path, when that is a directory.
func imageDirectory(_ path: String, in layers: [String]) throws(SyscallError) -> OverlayDirectory? {
    let image = try OverlayDirectory(layers: layers)
    guard case .directory(let found) = try image.resolve(Array(path.utf8)) else { return nil }
    return found
}

/// Copies all of it into an empty directory, which becomes what `source` is.
/// - Parameter wentOn: called at each entry, and now and then within a large file.
func copy(_ source: OverlayDirectory, to target: Int32, _ wentOn: () -> Void) throws(SyscallError) {
    var links: [LinkKey: [CName]] = [:]
    try copy(source, to: target, [], top: target, &links, wentOn)
}

/// A file with several names, by which it is found again.
private struct LinkKey: Hashable {
    var device: UInt
    var inode: UInt
}

private func copy(
    _ source: OverlayDirectory, to target: Int32, _ path: [CName], top: Int32,
    _ links: inout [LinkKey: [CName]], _ wentOn: () -> Void
) throws(SyscallError) {
    for name in try source.names() {
        wentOn()
        switch try source.entry(name) {
        case nil: continue
        case .directory(let directory):
            try retrying("mkdirat", String(cName: name)) { mkdirat(target, name, 0o700) }
            let below = try openFile(name, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: target)
            try copy(directory, to: below.raw, path + [name], top: top, &links, wentOn)
        case .other(let status, let holder):
            if status.st_mode & 0o170000 == 0o140000 { continue }
            let key = LinkKey(device: UInt(status.st_dev), inode: UInt(status.st_ino))
            if status.st_nlink > 1, let first = links[key] {
                try retrying("linkat", String(cName: name)) { linkat(top, joined(first), target, name, 0) }
                continue
            }
            if status.st_nlink > 1 { links[key] = path + [name] }
            try copyEntry(name, from: holder.raw, status, to: target, wentOn)
        }
    }
    // Last, as filling it changes its times.
    if let model = source.layers.first {
        try copyMetadata(from: model.raw, try fileStatus(of: model.raw), to: target)
    }
}

private func joined(_ names: [CName]) -> CName {
    names.map { $0.dropLast() }.joined(separator: [47]) + [0]
}
