// SPDX-License-Identifier: Apache-2.0
//
// Whether the machine went down while something was on its way into the store. Blobs and layers get their names only
// after a syncfs(2), so that should cost nothing; but disks lie about what they have written, and file systems are
// repaired. A store that was being written to when the machine ended, or a moment before, is therefore not believed:
// all of it becomes suspect, and each part is looked at when it is next used (Verifying.swift).
//
//   images/boot       `BOOT-ID open` from before the first name is given until the writer ends, then `BOOT-ID clean`;
//                     never fsynced: a mark that did not reach the disk says `open` still, which errs on the safe side
//   images/suspect/   an empty file of its name for each blob, layer and corrected layer nobody has looked at yet; gone when there is none

internal import Basics
internal import CLinux
internal import Kernel
internal import Records

struct BootMark {
    private let images: String
    private var path: String { "\(images)/boot" }
    private var suspects: String { "\(images)/suspect" }

    init(images: String) { self.images = images }

    /// True when another boot ended within a writer's work. A store without a mark was never written to.
    func endedWithinWriting() throws(Failure) -> Bool {
        let bytes: [UInt8]
        do throws(SyscallError) { bytes = try readFile(path, limit: 4096) } catch {
            if error.errno == .noEntry { return false }
            throw Failure("cannot tell whether the image store is whole", error)
        }
        let words = String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isWhitespace)
        if words.count == 2, words[1] == "clean" { return false }
        // In this boot what a killed writer wrote is in the kernel's cache, whole.
        guard words.count == 2, words[1] == "open" else { return true }
        return try words[0] != currentBootID()
    }

    /// - isOpen: something is about to get its name.
    func write(isOpen: Bool) throws(Failure) {
        let text = "\(try currentBootID()) \(isOpen ? "open" : "clean")\n"
        try kernel("cannot write \(path)") { () throws(SyscallError) in
            try replaceFile(path, Array(text.utf8), mode: 0o600)
        }
    }

    /// Makes all that is there suspect, when there is reason to. The caller holds the store's lock.
    func noteCrash(layers: String, scratch: String) throws(Failure) {
        guard try endedWithinWriting() else { return }
        let list = "\(scratch)/suspect"
        try kernel("cannot note what of the image store is not to be believed") { () throws(SyscallError) in
            try makeDirectory(list, mode: 0o700)
            for directory in ["\(images)/blobs/sha256", layers] {
                for name in try directoryEntries(directory) where !name.hasPrefix(".") {
                    try writeFile("\(list)/\(name)", [])
                }
            }
            if exists(suspects) { try removeTreeByName(suspects) }
            try retrying("rename", suspects) { rename(list, suspects) }
        }
        try write(isOpen: false)
    }

    /// Whether anything is suspect: one access(2).
    var hasSuspects: Bool { exists(suspects) }

    func isSuspect(_ digest: Digest) -> Bool { isSuspect(digest.hex) }
    func isSuspect(_ name: String) -> Bool { exists("\(suspects)/\(name)") }

    /// It was looked at, or has just been written, or is gone.
    func clear(_ name: String) {
        guard unlink("\(suspects)/\(name)") == 0 else { return }
        // With the last one its list goes; until then the directory is not empty and stays.
        rmdir(suspects)
    }
}
