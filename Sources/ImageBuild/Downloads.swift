// SPDX-License-Identifier: Apache-2.0
//
// Files that were fetched by URL, kept for later builds:
//
//   buildcache/downloads/<digest of the URL>       entity tag, Last-Modified, its seconds, digest, `end`
//   buildcache/downloads/files/<digest>            the bytes
//
// With a checksum, what is here is the file, and nobody is asked. Without one the server is, by what it said last time.
// A build links what it uses into its own work area, so that nobody takes it away.

internal import Basics
internal import CLinux
internal import Kernel

/// One file, for as long as the build lives.
struct Download {
    var record: RemoteFileRecord
    /// A directory of the build's own.
    var directory: String
    /// The file's name in it.
    var name: String { record.digest.hex }
}

struct Downloads {
    private let directory: String
    private let remote: RemoteSources
    private let alive: () -> Void

    init(under cache: String, _ remote: RemoteSources, alive: @escaping () -> Void) {
        directory = "\(cache)/downloads"
        self.remote = remote
        self.alive = alive
    }

    private var files: String { "\(directory)/files" }

    /// - checksum: what its bytes have to be.
    func fetch(_ url: String, checksum: Digest?, into work: WorkArea) throws(Failure) -> Download {
        let doing = "cannot fetch \(url.prefix { $0 != "?" && $0 != "#" })"
        let place = try system(doing) { () throws(SyscallError) in
            try ensureDirectory(files, mode: 0o700)
            return try work.directory("download")
        }
        var known = record(of: url)
        if let each = known, !exists("\(files)/\(each.digest.hex)") { known = nil }
        if let checksum, let each = known, each.digest == checksum {
            return try use(each, place, doing)
        }
        let temporary = "\(place)/new"
        let file = try system(doing) { () throws(SyscallError) in
            SharedFD(try openFile(temporary, flags: O_RDWR | O_CREAT | O_EXCL, mode: 0o600))
        }
        let answer = try remote.download(
            RemoteFileRequest(
                url: url, known: known, isPinned: checksum != nil, file: file, alive: alive))
        switch answer {
        case .unchanged:
            guard let known else {
                throw Failure(doing, cause: "the server says that nothing is new of nothing")
            }
            try check(known.digest, checksum, doing)
            return try use(known, place, doing)
        case .fetched(let record):
            try check(record.digest, checksum, doing)
            try system(doing) { () throws(SyscallError) in
                let path = "\(files)/\(record.digest.hex)"
                try retrying("rename", path) { rename(temporary, path) }
            }
            let download = try use(record, place, doing)
            if let known, known.digest != record.digest { unlink("\(files)/\(known.digest.hex)") }
            // Not kept, it is fetched again.
            try? replaceFile("\(directory)/\(key(url))", encoded(record).utf8, mode: 0o600)
            return download
        }
    }

    private func check(_ digest: Digest, _ checksum: Digest?, _ doing: String) throws(Failure) {
        guard let checksum, digest != checksum else { return }
        throw Failure(
            doing, cause: "its bytes are \(digest), and --checksum says \(checksum)",
            advice: "find out who changed it before the checksum is changed")
    }

    private func use(_ record: RemoteFileRecord, _ place: String, _ doing: String) throws(Failure) -> Download
    {
        try system(doing) { () throws(SyscallError) in
            let (path, own) = ("\(files)/\(record.digest.hex)", "\(place)/\(record.digest.hex)")
            try retrying("link", own) { link(path, own) }
        }
        return Download(record: record, directory: place)
    }

    // MARK: Records

    private func key(_ url: String) -> String {
        var key = KeyBuilder()
        key.add("download")
        key.add(url)
        return key.key.hex
    }

    private func encoded(_ record: RemoteFileRecord) -> String {
        "\(record.entityTag ?? "")\n\(record.lastModified ?? "")\n\(record.modified)\n\(record.digest.hex)\nend\n"
    }

    private func record(of url: String) -> RemoteFileRecord? {
        guard let text = try? readText("\(directory)/\(key(url))") else { return nil }
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        guard lines.count == 6, lines[4] == "end", let modified = Int64(lines[2]),
            let digest = Digest(hex: lines[3])
        else { return nil }
        return RemoteFileRecord(
            entityTag: lines[0].isEmpty ? nil : lines[0], lastModified: lines[1].isEmpty ? nil : lines[1],
            modified: modified, digest: digest)
    }
}
