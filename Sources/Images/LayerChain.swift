// SPDX-License-Identifier: Apache-2.0
//
// From a chain of layers to overlay lower directories. Two things make a layer's directory wrong in some chain:
//
// - A directory the layer never said anything about but put files into ("implied"): as the topmost of its path its
//   owner and mode would hide the real ones beneath; where beneath it is a link, it would hide the link.
// - A whiteout with nothing beneath: in a directory that is not merged, overlayfs shows it as a broken entry.
//
// Such a chain gets a copy of the layer that is right for it, named by its chain id (image-spec, config.md
// "Layer ChainID"); files in it are hard links.

internal import Basics
internal import CLinux
internal import Kernel
internal import Records

extension StoreWriter {
    /// The directories of a chain relative to the layers' directory, topmost first, none twice: overlayfs refuses a
    /// directory that is lower twice (ELOOP), and only the topmost of two equal layers can be seen anyway.
    func layerDirectories(_ diffIDs: [Digest]) throws(Failure) -> [String] {
        var chain: Digest?
        var directories: [String] = []
        for diffID in diffIDs {
            chain = chain.map { Digest(of: "\($0) \(diffID)".utf8) } ?? diffID
            guard let record = try layerRecord(diffID), let chain else {
                throw Failure(
                    "cannot use the layer \(diffID)", cause: "\(store.layers)/\(diffID.hex) is not there",
                    advice: "import the image again")
            }
            directories.append(try directory(record, chain, beneath: directories))
        }
        var seen: Set<String> = []
        let result = directories.reversed().filter { seen.insert($0).inserted }
        guard result.count <= 500 else {
            throw Failure(
                "cannot use an image of \(result.count) layers",
                cause: "overlayfs takes 500 lower directories (fs/overlayfs/params.h, OVL_MAX_STACK)",
                advice: "squash the image")
        }
        return result
    }

    private func directory(_ record: LayerRecord, _ chain: Digest, beneath: [String]) throws(Failure)
        -> String
    {
        let shared = "\(record.diffID.hex)/fs"
        if record.whiteouts.isEmpty, beneath.isEmpty || record.implied.isEmpty { return shared }
        let own = "\(chain.hex).chain"
        let doing = "cannot correct the layer \(record.diffID) for its chain"
        if exists("\(store.layers)/\(own)/fs") {
            if !mark.isSuspect(own) { return "\(own)/fs" }
            // Its files are those of a layer that may have been damaged.
            try kernel(doing) { () throws(SyscallError) in
                try retrying("rename", own) {
                    rename("\(store.layers)/\(own)", "\(store.layers)/.tmp/replaced")
                }
                try removeTreeByName("\(store.layers)/.tmp/replaced")
            }
            mark.clear(own)
        }
        let view = try kernel(doing) { () throws(SyscallError) in
            try OverlayDirectory(layers: beneath.reversed().map { "\(store.layers)/\($0)" })
        }
        let correction = try kernel(doing) { () throws(SyscallError) in
            try LayerCorrection(record, beneath: view)
        }
        if !correction.isNeeded { return shared }
        let temporary = "\(store.layers)/.tmp/chain"
        try kernel(doing) { () throws(SyscallError) in
            if exists(temporary) { try removeTreeByName(temporary) }
            try makeDirectory(temporary, mode: 0o700)
            try makeDirectory("\(temporary)/fs")
            let from = try openFile("\(store.layers)/\(shared)", flags: O_RDONLY | O_DIRECTORY)
            let to = try openFile("\(temporary)/fs", flags: O_RDONLY | O_DIRECTORY)
            try correction.copy(from: from.raw, to: to.raw)
            try retrying("syncfs") { linux_syncfs(to.raw) }
            try retrying("rename", own) { rename(temporary, "\(store.layers)/\(own)") }
        }
        return "\(own)/fs"
    }
}

/// What is wrong with a layer above others, and a copy of it where it is right.
struct LayerCorrection {
    private let view: OverlayDirectory
    /// Implied directories that are a directory of other owner, mode or attributes beneath.
    private var adopted: [[UInt8]: SharedFD] = [:]
    /// Implied directories that are a link to a directory beneath: where their content belongs.
    private var moved: [[UInt8]: [CName]] = [:]
    /// Whiteouts with nothing beneath.
    private var dropped: Set<[UInt8]> = []

    init(_ record: LayerRecord, beneath view: OverlayDirectory) throws(SyscallError) {
        self.view = view
        for text in record.whiteouts {
            let path = LayerRecord.path(text)
            // With nothing beneath at all the answer is nil too.
            if try view.strictEntry(path) == nil { dropped.insert(path) }
        }
        guard !view.layers.isEmpty else { return }
        for text in record.implied {
            let path = LayerRecord.path(text)
            switch try view.strictEntry(path) {
            case .directory(let directory):
                guard let top = directory.layers.first else { continue }
                let status = try fileStatus(of: top.raw)
                let bare = try extendedAttributes(of: top.raw).isEmpty
                if !bare || status.st_mode & 0o7777 != 0o755 || status.st_uid != 0 || status.st_gid != 0 {
                    adopted[path] = top
                }
            case .other(let status, _) where status.isSymlink:
                if let target = try view.canonicalDirectory(path) { moved[path] = target }
            default: continue
            }
        }
    }

    var isNeeded: Bool { !(adopted.isEmpty && moved.isEmpty && dropped.isEmpty) }

    func copy(from source: Int32, to target: Int32) throws(SyscallError) {
        try copyContents(of: source, [], to: target, top: target)
        let model = adopted[[]]?.raw ?? source
        try copyMetadata(from: model, try fileStatus(of: model), to: target)
        if isOpaque(source) {
            try retrying("fsetxattr") { fsetxattr(target, "trusted.overlay.opaque", "y", 1, 0) }
        }
    }

    private func copyContents(of source: Int32, _ path: [UInt8], to target: Int32, top: Int32)
        throws(SyscallError)
    {
        for name in try entryNames(of: source) {
            let bytes = name.dropLast().map { UInt8(bitPattern: $0) }
            let below = path.isEmpty ? bytes : path + [UInt8(ascii: "/")] + bytes
            guard let status = try status(of: name, at: source), !dropped.contains(below) else { continue }
            guard status.isDirectory else {
                do throws(SyscallError) {
                    try retrying("linkat", String(cName: name)) { linkat(source, name, target, name, 0) }
                } catch {
                    if error.errno != .exists { throw error }
                }
                continue
            }
            let from = try openFile(name, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: source)
            if let place = moved[below] {
                let to = try ensureLike(place, top)
                try copyContents(of: from.raw, below, to: to.raw, top: top)
                continue
            }
            let to = try ensure(name, at: target)
            try copyContents(of: from.raw, below, to: to.raw, top: top)
            let model = adopted[below]?.raw ?? from.raw
            try copyMetadata(from: model, try fileStatus(of: model), to: to.raw)
            if isOpaque(from.raw) {
                try retrying("fsetxattr") { fsetxattr(to.raw, "trusted.overlay.opaque", "y", 1, 0) }
            }
        }
    }

    /// The directory in the copy, its missing ancestors made as they are beneath.
    private func ensureLike(_ names: [CName], _ top: Int32) throws(SyscallError) -> OwnedFD {
        var fd = try openFile([46, 0], flags: O_RDONLY | O_DIRECTORY, at: top)
        var beneath = OverlayDirectory.Entry.directory(view)
        for name in names {
            let missing = try status(of: name, at: fd.raw) == nil
            let next = try ensure(name, at: fd.raw)
            if case .directory(let directory) = beneath, let entry = try directory.entry(name) {
                beneath = entry
            }
            if missing, case .directory(let directory) = beneath, let model = directory.layers.first {
                try copyMetadata(from: model.raw, try fileStatus(of: model.raw), to: next.raw)
            }
            fd = next
        }
        return fd
    }

    private func ensure(_ name: CName, at directory: Int32) throws(SyscallError) -> OwnedFD {
        do throws(SyscallError) {
            try retrying("mkdirat", String(cName: name)) { mkdirat(directory, name, 0o755) }
        } catch {
            if error.errno != .exists { throw error }
        }
        return try openFile(name, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: directory)
    }
}
