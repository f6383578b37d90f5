// SPDX-License-Identifier: Apache-2.0
//
// KeptContents: contents of configs and secrets for containers that start later, in memory and in `contents/` of the
// project's directory: 0600 files in a 0700 directory, each named by its digest. The client sends them with every `up`.
//
// What is in memory is on disk as well, or the next controller would not have it; and a file is what its name says, or it
// is nothing: a container is not started with less than it was promised.

internal import Basics
internal import Kernel

struct KeptContents {
    let directory: String
    private(set) var byDigest: [Digest: [UInt8]] = [:]

    private func path(_ digest: Digest) -> String { "\(directory)/\(digest.hex)" }

    /// - Returns: what was written, and is not durable yet.
    mutating func keep(_ blobs: [[UInt8]]) throws(Failure) -> [String] {
        var written: [String] = []
        guard !blobs.isEmpty else { return written }
        do throws(SyscallError) {
            try ensureDirectory(directory, mode: 0o700)
            for blob in blobs {
                let digest = Digest(of: blob)
                let path = path(digest)
                // Somebody may have cut or removed the file meanwhile.
                if byDigest[digest] != nil, let status = try? fileStatus(path), status.isRegular,
                    status.st_size == blob.count
                {
                    continue
                }
                try replaceFile(path, blob, mode: 0o600)
                byDigest[digest] = blob
                written.append(path)
            }
        } catch {
            throw Failure("cannot keep the contents of configs and secrets", error)
        }
        return written
    }

    /// Forgets what nothing names any more: a secret that was replaced does not stay on the disk.
    mutating func forget(allBut named: Set<Digest>) {
        for digest in byDigest.keys where !named.contains(digest) {
            do throws(SyscallError) {
                try removeFile(path(digest))
                byDigest[digest] = nil
            } catch {
                log("cannot remove what a config or secret was before: \(error)")
            }
        }
    }

    /// What a controller before this one kept. A power cut leaves files cut short.
    mutating func load() {
        for name in (try? directoryEntries(directory)) ?? [] {
            guard let digest = Digest(hex: name) else { continue }
            do throws(SyscallError) {
                let bytes = try readFile(path(digest))
                guard Digest(of: bytes) == digest else {
                    log("\(path(digest)) is damaged and not used; `covey up` writes it anew")
                    continue
                }
                byDigest[digest] = bytes
            } catch {
                log("cannot read what a config or secret holds: \(error)")
            }
        }
    }
}
