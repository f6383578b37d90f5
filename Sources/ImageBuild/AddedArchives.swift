// SPDX-License-Identifier: Apache-2.0
//
// ADD of tars: unpacked beside first, as layers are and with the same refusals, then copied like any other tree.

internal import Archives
internal import Basics
internal import CLinux
internal import DockerfileSyntax
internal import Kernel

extension StageRun {
    /// Unpacks the sources that are tars into the destination; the others are returned to be copied.
    func unpackArchives(
        _ sources: [SelectedSource], _ root: SourceRoot, _ area: StepArea, to destination: String,
        _ target: SharedFD, _ owner: Owner?
    ) throws(Failure) -> [SelectedSource] {
        var others: [SelectedSource] = []
        for source in sources {
            let doing = "cannot unpack `\(source.path)`"
            guard source.node.status.isRegular,
                let file = try system(doing, { () throws(SyscallError) in try root.openForReading(source) }),
                try isArchive(file, source)
            else {
                others.append(source)
                continue
            }
            let directory = try system(doing) { () throws(SyscallError) in try area.scratchDirectory() }
            defer { try? removeTree(directory) }
            let top = try system(doing) { () throws(SyscallError) in
                try retrying("lseek", source.path) { lseek(file.raw, 0, SEEK_SET) }
                return SharedFD(try openFile(directory, flags: O_RDONLY | O_DIRECTORY))
            }
            let notes: UnpackNotes
            do throws(ArchiveError) {
                let compressed = Tee(FileSource(file, name: source.path))
                let limits = session.store.limits
                notes = try unpackLayer(
                    TarReader(
                        limited(
                            try Decompressed(compressed, mostWindow: limits.window), compressed: compressed,
                            limits)),
                    into: top.raw, mostEntries: limits.entries)
            } catch {
                throw Failure(doing, error)
            }
            guard notes.whiteouts.isEmpty else {
                throw Failure(doing, cause: "it is an image's layer: it holds whiteouts (.wh. names)")
            }
            let unpacked = SourceRoot(directory: top, title: source.path, resetsOwners: false, contents: nil)
            let place = SourceLocation(file: session.request.dockerfilePath, line: 1, column: 1)
            var all = try unpacked.select([(word: Word("/", at: place), text: "/")], instruction: "ADD")
            let implied = Set(notes.implied)
            for index in all.sources.indices { all.sources[index].node.markImplied(implied, path: []) }
            let writer = TreeWriter(root: target.raw, owner: owner, mode: nil, resetsOwners: false)
            try writer.copy(all, from: unpacked, to: destination, isDirectory: true)
        }
        return others
    }

    /// True for a tar, plain or compressed in a way that is known by its first bytes. What holds something else, or is
    /// damaged, is a file like any other (as BuildKit sees it: `isArchivePath`).
    /// - Throws: for what can't be looked into here: a window over the limit, a library that is not there.
    private func isArchive(_ file: SharedFD, _ source: SelectedSource) throws(Failure) -> Bool {
        var head: [UInt8] = []
        do throws(ArchiveError) {
            let stream = try Decompressed(
                FileSource(file, offset: 0, length: Int64(source.node.status.st_size), name: source.path),
                chunk: 512, mostWindow: session.store.limits.window)
            while head.count < 512 {
                let chunk = try stream.next()
                if chunk.isEmpty { break }
                head += chunk.prefix(512 - head.count)
            }
        } catch .damaged {
            return false
        } catch {
            throw Failure("cannot read `\(source.path)`", error)
        }
        return isTarHeader(head)
    }

    /// A header's checksum counts its own field as blanks (pax(1), "ustar Interchange Format").
    private func isTarHeader(_ head: [UInt8]) -> Bool {
        guard head.count == 512, head[0] != 0 else { return false }
        let text = String(decoding: head[148..<156].filter { $0 != 0 && $0 != 32 }, as: UTF8.self)
        guard let checksum = Int(text, radix: 8) else { return false }
        let sum = head.enumerated().reduce(0) {
            $0 + ((148..<156).contains($1.offset) ? 32 : Int($1.element))
        }
        return sum == checksum
    }
}

extension SourceNode {
    /// Marks the directories that an archive only implies.
    mutating func markImplied(_ implied: Set<[UInt8]>, path: [UInt8]) {
        guard !implied.isEmpty else { return }
        isImplied = implied.contains(path)
        for index in children.indices {
            let name = children[index].name.dropLast().map { UInt8(bitPattern: $0) }
            children[index].markImplied(
                implied, path: path.isEmpty ? name : path + [UInt8(ascii: "/")] + name)
        }
    }
}
