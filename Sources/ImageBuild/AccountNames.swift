// SPDX-License-Identifier: Apache-2.0
//
// `user:group` of `--chown` against the image's own /etc/passwd and /etc/group (passwd(5), group(5)). No NSS: the
// image's accounts are files, and the host's are none of its business.

internal import Basics
internal import CLinux
internal import Kernel

struct Owner: Hashable {
    var uid: UInt32
    var gid: UInt32
    static let root = Owner(uid: 0, gid: 0)
}

enum AccountNames {
    /// The owner that `text` means in the root file system at `root`.
    static func owner(_ text: String, in root: Int32) throws(Failure) -> Owner {
        let doing = "cannot give files to `\(text)`"
        let user = String(text.prefix { $0 != ":" })
        let group = text.utf8.count > user.utf8.count ? String(text.dropFirst(user.count + 1)) : nil
        guard !user.isEmpty || group?.isEmpty == false else {
            throw Failure(doing, cause: "it names no user")
        }
        var owner = Owner.root
        if let id = UInt32(user) {
            owner = Owner(uid: id, gid: id)
        } else if !user.isEmpty {
            guard let entry = try entry(named: user, in: "etc/passwd", root), let uid = entry.id(at: 2) else {
                throw Failure(
                    doing, cause: "/etc/passwd of the image has no user `\(user)`",
                    advice: "write its number, or add it with RUN adduser first")
            }
            owner = Owner(uid: uid, gid: entry.id(at: 3) ?? uid)
        }
        if let group, !group.isEmpty {
            if let id = UInt32(group) {
                owner.gid = id
            } else {
                guard let entry = try entry(named: group, in: "etc/group", root), let gid = entry.id(at: 2)
                else {
                    throw Failure(
                        doing, cause: "/etc/group of the image has no group `\(group)`",
                        advice: "write its number, or add it with RUN addgroup first")
                }
                owner.gid = gid
            }
        }
        return owner
    }

    private struct Entry {
        var fields: [Substring]
        func id(at index: Int) -> UInt32? { index < fields.count ? UInt32(fields[index]) : nil }
    }

    private static func entry(named name: String, in file: String, _ root: Int32) throws(Failure) -> Entry? {
        let bytes: [UInt8]
        do throws(SyscallError) {
            let fd = try openat2(root, file, flags: O_RDONLY, resolve: .inRoot)
            bytes = try readAll(fd.raw, limit: 16 << 20, path: file)
        } catch {
            if error.errno == .noEntry { return nil }
            throw Failure("cannot read /\(file) of the image", error)
        }
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
            let fields = line.split(separator: ":", omittingEmptySubsequences: false)
            if let first = fields.first, first == name { return Entry(fields: fields) }
        }
        return nil
    }
}
