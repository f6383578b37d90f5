// SPDX-License-Identifier: Apache-2.0
//
// Volumes: named volumes as directories, `<root>/volumes/<name>/{volume.json,data/}`. Who mounts them where is the
// runtime's; which exist is decided by plans.

public import Basics
public import ContainerModel
internal import CLinux
internal import Kernel
internal import Records

/// The label that says which project made a volume (Compose spec, labels reserved with `com.docker.compose`).
public let volumeProjectLabel = "com.docker.compose.project"

/// The volumes of one state directory.
public struct VolumeStore: Sendable {
    /// The state directory, absolute.
    public let root: String
    private var directory: String { "\(root)/volumes" }

    public init(root: String) { self.root = root }

    /// What volume.json says.
    public struct Volume: Hashable, Codable, Sendable {
        public var name: String
        /// The project that made it; nil for one made by hand.
        public var project: String?
        public var labels: [String: String]
        /// nil: a directory of ours.
        public var mounted: VolumeMount?
    }

    func directory(of name: String) -> String { "\(directory)/\(name)" }

    /// Where a volume's files are.
    public func dataDirectory(_ name: String) -> String { "\(directory(of: name))/data" }

    public func exists(_ name: String) -> Bool {
        isValid(name) && access(recordPath(name), F_OK) == 0
    }

    /// Its making was cut off: it has a directory and no record, and nothing is in it.
    public func isUnfinished(_ name: String) -> Bool {
        isValid(name) && !exists(name) && access(directory(of: name), F_OK) == 0
    }

    /// Makes the volume unless it is there; gives its data directory.
    /// - Throws: an external volume that is missing; a name that can't be a directory's.
    @discardableResult
    public func ensure(_ request: VolumeRequest, project: String?, durable: Bool = true) throws(Failure)
        -> String
    {
        let name = request.name
        try check(name)
        if exists(name) { return dataDirectory(name) }
        if request.external {
            let near = nearest(to: name, among: try list().map(\.name))
            throw Failure(
                "external volume \"\(name)\" does not exist", cause: near.map { "did you mean \"\($0)\"?" },
                advice: "remove `external: true` to let Covey make it, or bring the stack up that makes it")
        }
        var labels = request.labels
        if let project { labels[volumeProjectLabel] = project }
        do throws(SyscallError) {
            try ensureDirectory(directory, mode: 0o711)
            try ensureDirectory(dataDirectory(name))
            try retrying("chmod", name) { chmod(directory(of: name), 0o711) }
            try retrying("chmod", name) { chmod(dataDirectory(name), 0o755) }
        } catch {
            throw Failure("cannot make volume \"\(name)\"", error)
        }
        // The record last: a volume exists once it is written.
        try writeRecord(
            Volume(name: name, project: project, labels: labels, mounted: request.mounted), recordPath(name),
            durable: durable)
        return dataDirectory(name)
    }

    /// What may change of a volume that is there: those of its mount's options that no kernel reads.
    public func adopt(_ request: VolumeRequest, project: String) throws(Failure) {
        guard let wanted = request.mounted, !request.external, exists(request.name),
            var volume = try readRecord(Volume.self, recordPath(request.name)), volume.project == project,
            let mounted = volume.mounted, mounted != wanted, mounted.isSame(as: wanted)
        else { return }
        volume.mounted = wanted
        try writeRecord(volume, recordPath(request.name))
    }

    /// Gives the volume, if it is empty, what an image has at `path`. Of a volume that is mounted this may take for ever, as
    /// its mounting may.
    /// - Parameters:
    ///   - waits: for another process that mounts or fills it.
    ///   - tell: called whenever it went on.
    @discardableResult
    public func fill(
        _ name: String, from layers: [String], path: String, waits: Bool = true,
        _ tell: (VolumeProgress) -> Void = { _ in }
    ) throws(Failure) -> FillOutcome {
        let outcome = try alone(with: name, VolumeProgress.filling.doing(name), waits: waits, tell) {
            () throws(Failure) -> FillOutcome in
            let ours = "\(directory(of: name))/filling"
            return try fillDirectory(
                dataDirectory(name), from: layers, path: path,
                gathering: try mount(of: name) == nil ? .beside(ours) : .within(mark: ours), waits: waits,
                tell)
        }
        return outcome ?? .busy
    }

    /// Another project's controller may be about to mount, fill or remove the same volume.
    /// - Returns: nil when it is, and is not waited for.
    func alone<Result>(
        with name: String, _ doing: String, waits: Bool, _ tell: (VolumeProgress) -> Void = { _ in },
        _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result? {
        let path = directory(of: name)
        var lock: FileLock?
        do throws(SyscallError) {
            lock = try FileLock.attempt(directory: path)
            if lock == nil {
                guard waits else { return nil }
                tell(.waiting)
                lock = try FileLock(directory: path)
            }
        } catch {
            throw Failure(doing, error)
        }
        let result = try body()
        _ = consume lock
        return result
    }

    /// The file that makes a directory a volume.
    public func recordPath(_ name: String) -> String { "\(directory(of: name))/volume.json" }

    /// All volumes, sorted by name.
    public func list() throws(Failure) -> [Volume] {
        let names: [String]
        do throws(SyscallError) {
            names = try directoryEntries(directory)
        } catch {
            if error.errno == .noEntry { return [] }
            throw Failure("cannot list the volumes in \(directory)", error)
        }
        var volumes: [Volume] = []
        for name in names {
            if let volume = try readRecord(Volume.self, recordPath(name)) {
                volumes.append(volume)
            }
        }
        return volumes
    }

    /// Removes the volume and all its files; a missing one is fine. Never enters another file system.
    /// - Throws: while another process mounts or fills it, among others.
    public func remove(_ name: String) throws(Failure) {
        try check(name)
        let path = directory(of: name)
        guard Kernel.exists(path) else { return }
        let doing = "cannot remove volume \"\(name)\""
        // A link that leads nowhere has nothing that could be locked.
        guard access(path, F_OK) == 0 else { return try removeFiles(of: name, doing) }
        let done: Void? = try alone(with: name, doing, waits: false) { () throws(Failure) -> Void in
            // A directory of the host may be mounted there, which is on the same file system: nothing of it is touched.
            try unmount(name)
            try removeFiles(of: name, doing)
        }
        if done == nil {
            throw Failure(
                doing, cause: "another process mounts or fills it",
                advice: "run the command again when that is done; `covey ls` shows who is up")
        }
    }

    private func removeFiles(of name: String, _ doing: String) throws(Failure) {
        do throws(SyscallError) {
            let parent = try openFile(directory, flags: O_RDONLY | O_DIRECTORY)
            // Data first: until the record goes the volume is there, and an interrupted removal can be repeated.
            if let volume = try status(of: name.cName, at: parent.raw), volume.isDirectory {
                let inner = try openFile(
                    name.cName, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: parent.raw)
                try removeEntry("data".cName, at: inner.raw)
                try removeEntry("volume.json".cName, at: inner.raw)
            }
            try removeEntry(name.cName, at: parent.raw)
        } catch {
            let mounted = error.errno == .crossDevice || error.errno == .busy
            throw Failure(
                doing, error,
                advice: mounted ? "something is mounted below \(directory(of: name)); unmount it" : nil)
        }
    }

    /// Docker's rule for names; it also keeps a name one directory's.
    private func isValid(_ name: String) -> Bool {
        guard let first = name.utf8.first, name.utf8.count <= 255 else { return false }
        func plain(_ byte: UInt8) -> Bool {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: false
            }
        }
        return plain(first) && name.utf8.allSatisfy { plain($0) || "_.-".utf8.contains($0) }
    }

    private func check(_ name: String) throws(Failure) {
        guard isValid(name) else {
            throw Failure(
                "cannot use \"\(name)\" as a volume's name",
                cause:
                    "a name begins with a letter or digit and goes on with letters, digits, `_`, `.` and `-`")
        }
    }
}
