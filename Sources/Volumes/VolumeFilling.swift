// SPDX-License-Identifier: Apache-2.0
//
// An empty volume is filled from an image so that whoever does it may be killed: what is copied gathers aside, a mark of
// ours says when it is whole, and only then it is moved to its place, entry by entry. What is found of an earlier attempt
// is begun anew without the mark, and brought to its end with it. What is in the volume by then stays as it is.
//
//   nothing ──gather──▶ half ──mark──▶ whole ──move each, then the directory's own──▶ filled
//              ◀─begun anew─┘              ◀─ended─┘
//
// A copy gathers beside the data of a volume of ours, where no container reaches it. A file system that is mounted has no
// such place: there it gathers within, by a name of this host's, and whoever fills it holds the directory's lock, as it may
// be another volume's too. On a network file system that lock is the host's own (flock(2) of a directory), hence the name:
// what another host gathers there is, as all else, somebody's, and the volume is not empty.

public import Basics
internal import CLinux
internal import Kernel

/// What is being done to a volume, as it is told while that takes its time.
public enum VolumeProgress: UInt8, Sendable {
    /// Another process mounts or fills it.
    case waiting = 1
    case mounting = 2
    case filling = 3

    /// In messages.
    public func doing(_ volume: String) -> String {
        switch self {
        case .waiting, .mounting: "cannot mount volume \"\(volume)\""
        case .filling: "cannot fill volume \"\(volume)\""
        }
    }
}

public enum FillOutcome: Sendable {
    case filled
    /// It has something in it, or the image has nothing for it.
    case left
    /// Another process is at it.
    case busy
}

/// Where a copy gathers.
public struct GatheringPlace: Sendable {
    /// A path of ours: the directory it gathers in, or, where that must be within the volume, the beginning of the mark's
    /// name.
    fileprivate let path: String
    fileprivate let isWithin: Bool

    /// - Parameter path: to be made, on the file system of the directory that is filled; no container reaches it.
    public static func beside(_ path: String) -> GatheringPlace {
        GatheringPlace(path: path, isWithin: false)
    }

    static func within(mark path: String) -> GatheringPlace { GatheringPlace(path: path, isWithin: true) }

    fileprivate var mark: String { "\(path).whole" }
    private var slash: String.Index { path.lastIndex(of: "/") ?? path.startIndex }
    fileprivate var directory: String { String(path[..<slash]) }
    fileprivate var name: String { String(path[slash...].dropFirst()) }
}

/// Gives a directory, if it is empty, what an image has at `path`, as `copyUp` has it; or ends a filling that was cut off.
/// - Parameters:
///   - waits: for another process that fills it.
///   - tell: called whenever it went on.
@discardableResult
public func fillDirectory(
    _ data: String, from layers: [String], path: String, gathering place: GatheringPlace, waits: Bool = true,
    _ tell: (VolumeProgress) -> Void = { _ in }
) throws(Failure) -> FillOutcome {
    do throws(SyscallError) {
        tell(.filling)
        let target = try openFile(data, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        // Somebody may have mounted something there for us.
        let isWithin = place.isWithin || linux_is_mount_root(target.raw) == 1
        if isWithin {
            // A lock may be anybody's: it is not asked for where there is nothing to do.
            let found = try entryNames(of: target.raw)
            guard found.isEmpty || found.contains(nameWithin) || exists(place.mark) else { return .left }
            let isOurs = try lock(target.raw) {
                if waits { tell(.waiting) }
                return waits
            }
            guard isOurs else { return .busy }
            tell(.filling)
        }
        let beside = isWithin ? nil : SharedFD(try openFile(place.directory, flags: O_RDONLY | O_DIRECTORY))
        let filling = Filling(
            target: target.raw, beside: beside, name: isWithin ? nameWithin : place.name.cName,
            mark: place.mark)
        return try filling.run(layers, path) { tell(.filling) }
    } catch {
        throw fillFailure(data, path, error)
    }
}

/// This host's name for what gathers within a volume. Made of the machine's id, which itself is for nobody else's eyes
/// (machine-id(5)).
private let nameWithin: CName = {
    let known = ["/etc/machine-id", "/proc/sys/kernel/hostname"].lazy.compactMap { try? readFile($0) }
    var hash = SHA256()
    hash.update("covey-filling".utf8)
    hash.update(known.first { !$0.isEmpty } ?? [])
    let digits = hash.finish().prefix(6).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }
    return ".covey-filling-\(digits.joined())".cName
}()

/// One directory that is filled.
private struct Filling {
    let target: Int32
    /// Where the copy gathers; nil for the target itself.
    let beside: SharedFD?
    let name: CName
    let mark: String

    private var holder: Int32 { beside?.raw ?? target }

    func run(_ layers: [String], _ path: String, _ wentOn: () -> Void) throws(SyscallError) -> FillOutcome {
        if exists(mark) {
            if let whole = try gathered() {
                try settle(whole.raw, wentOn)
                return .filled
            }
            try removeFile(mark)
        }
        let isFree = try entryNames(of: target).allSatisfy { beside == nil && $0 == name }
        if isFree || beside != nil { try removeEntry(name, at: holder, wentOn) }
        guard isFree else { return .left }
        guard let source = try imageDirectory(path, in: layers) else { return .left }
        if try source.names().isEmpty {
            // Nothing that could be half there: what the directory itself is like is as well given anew.
            try copy(source, to: target, wentOn)
            return .filled
        }
        try retrying("mkdirat", String(cName: name)) { mkdirat(holder, name, 0o700) }
        guard let own = try gathered() else {
            throw SyscallError("openat", .notDirectory, String(cName: name))
        }
        try copy(source, to: own.raw, wentOn)
        try replaceFile(mark, [], mode: 0o600)
        try settle(own.raw, wentOn)
        return .filled
    }

    /// nil when nothing is there, or something that is none of ours.
    private func gathered() throws(SyscallError) -> OwnedFD? {
        guard try status(of: name, at: holder)?.isDirectory == true else { return nil }
        return try openFile(name, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: holder)
    }

    /// Moves what was gathered to its place; the directory that held it tells what the target itself is to be.
    private func settle(_ own: Int32, _ wentOn: () -> Void) throws(SyscallError) {
        // Before its times change.
        let status = try fileStatus(of: own)
        for entry in try entryNames(of: own) {
            _ = try moveUnlessThere(entry, from: own, to: target)
            wentOn()
        }
        try copyMetadata(from: own, status, to: target, times: false)
        try removeEntry(name, at: holder, wentOn)
        let times = [status.st_atim, status.st_mtim]
        try retrying("futimens") { futimens(target, times) }
        try removeFile(mark)
    }
}
