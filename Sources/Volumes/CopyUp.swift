// SPDX-License-Identifier: Apache-2.0
//
// What Docker does to a volume that is mounted over something: while it is empty it is given what the image has
// there, with owner, mode and attributes; so does the data directory itself.
//
// Whoever fills it may be killed. So what is copied gathers in a directory within, and is moved to its place, entry by
// entry, when it is complete: what is found of an earlier attempt is either begun anew or brought to its end.

public import Basics
internal import CLinux
internal import Kernel

/// Fills an empty data directory with what an image has at `path`, or ends a filling that was cut off.
///
/// The image is read as overlayfs would show it, deleted files left out, links followed inside of it. A path that the
/// image has not, or that is no directory, leaves the data directory as it is. Mount points and sockets are skipped.
/// One at a time: whoever shares the directory holds a lock.
/// - layers: topmost first, as `ImageFacts.layers`.
/// - Returns: true when the directory was empty and the image had something to say.
@discardableResult
public func copyUp(from layers: [String], path: String, into data: String) throws(Failure) -> Bool {
    do throws(SyscallError) {
        let target = try openFile(data, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        let found = try entryNames(of: target.raw)
        if !found.contains(completeName) {
            guard found.allSatisfy({ $0 == gatheringName }) else { return false }
            let image = try OverlayDirectory(layers: layers)
            guard case .directory(let source) = try image.resolve(Array(path.utf8)) else { return false }
            try gather(source, in: target.raw)
        }
        try settle(in: target.raw)
        return true
    } catch {
        let full = error.errno == .noSpace
        throw Failure(
            "cannot fill the volume at \(data) with the image's \(path)", error,
            advice: full ? "free space, or mount with `volume: {nocopy: true}`" : nil)
    }
}

/// Of a copy that is being made, and of one that is whole.
private let gatheringName = ".covey-filling".cName
private let completeName = ".covey-filled".cName

/// Copies all of it into a directory of its own within `target`.
private func gather(_ source: OverlayDirectory, in target: Int32) throws(SyscallError) {
    try removeEntry(gatheringName, at: target)
    let name = String(cName: gatheringName)
    try retrying("mkdirat", name) { mkdirat(target, gatheringName, 0o700) }
    let own = try openFile(gatheringName, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: target)
    var links: [LinkKey: [CName]] = [:]
    try copy(source, to: own.raw, [], top: own.raw, &links)
    try retrying("renameat", name) { renameat(target, gatheringName, target, completeName) }
}

/// Moves what was gathered to its place; the directory that held it tells what `target` itself is to be.
private func settle(in target: Int32) throws(SyscallError) {
    let own = try openFile(completeName, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: target)
    let raw = own.raw
    // Before its times change.
    let status = try fileStatus(of: raw)
    for name in try entryNames(of: raw) {
        try retrying("renameat", String(cName: name)) { renameat(raw, name, target, name) }
    }
    try copyMetadata(from: raw, status, to: target, times: false)
    let name = String(cName: completeName)
    try retrying("unlinkat", name) { unlinkat(target, completeName, AT_REMOVEDIR) }
    let times = [status.st_atim, status.st_mtim]
    try retrying("futimens") { futimens(target, times) }
}

/// A file with several names, by which it is found again.
private struct LinkKey: Hashable {
    var device: UInt
    var inode: UInt
}

private func copy(
    _ source: OverlayDirectory, to target: Int32, _ path: [CName], top: Int32,
    _ links: inout [LinkKey: [CName]]
) throws(SyscallError) {
    for name in try source.names() {
        switch try source.entry(name) {
        case nil: continue
        case .directory(let directory):
            try retrying("mkdirat", String(cName: name)) { mkdirat(target, name, 0o700) }
            let below = try openFile(name, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: target)
            try copy(directory, to: below.raw, path + [name], top: top, &links)
        case .other(let status, let holder):
            if status.st_mode & 0o170000 == 0o140000 { continue }
            let key = LinkKey(device: UInt(status.st_dev), inode: UInt(status.st_ino))
            if status.st_nlink > 1, let first = links[key] {
                try retrying("linkat", String(cName: name)) { linkat(top, joined(first), target, name, 0) }
                continue
            }
            if status.st_nlink > 1 { links[key] = path + [name] }
            try copyEntry(name, from: holder.raw, status, to: target)
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
