// SPDX-License-Identifier: Apache-2.0
//
// `user[:group]` → numbers, by the image's own passwd and group. Parsed strictly: a text that is not a number in full
// is a name, and an unknown name is an error, never uid 0 (crun CVE-2026-30892, containerd CVE-2024-40635).

public import Basics
internal import CLinux
internal import Kernel
public import LaunchPlanning

/// Reads a file out of a root file system that is not mounted: the first of `roots` (topmost first) that has it.
/// Links stay inside the layer they are in; a whiteout hides what is beneath.
func readFromLayers(_ path: String, roots: [String]) -> [UInt8]? {
    for root in roots {
        guard let directory = try? openFile(root, flags: O_PATH | O_DIRECTORY) else { continue }
        let file: OwnedFD
        do throws(SyscallError) { file = try openRegularFile(path, in: directory.raw) } catch {
            // No regular file hides what is beneath, as a file does.
            if error.errno.code == ESTALE { return nil }
            continue
        }
        return try? readAll(file.raw, limit: 4 << 20)
    }
    return nil
}

/// - Parameter roots: the container's upper directory and layers, topmost first.
/// - Throws: when a name is not in the image or a number is out of range.
public func resolveIdentity(_ user: String, roots: [String]) throws(Failure) -> ProcessIdentity {
    if user.isEmpty || user == "0" || user == "root" || user == "0:0" || user == "root:root" {
        return ProcessIdentity(uid: 0, gid: 0, groups: rootGroups(roots: roots, user: user), home: "/root")
    }
    let parts = user.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    if parts.contains("") || user.hasSuffix(":") {
        throw Failure("cannot use user \"\(user)\"", cause: "a part of user:group is empty")
    }
    let passwd = table("/etc/passwd", roots: roots, columns: 6)
    let group = parts.count > 1 ? table("/etc/group", roots: roots, columns: 3) : []
    var uid: UInt32
    var gid: UInt32 = 0
    var home = "/"
    var name: String?
    if let number = identifier(parts[0]) {
        uid = number
        if let row = passwd.first(where: { $0[2] == String(number) }) {
            gid = identifier(row[3]) ?? 0
            home = row[5]
            name = row[0]
        }
    } else if let row = passwd.first(where: { $0[0] == parts[0] }), let number = identifier(row[2]) {
        uid = number
        gid = identifier(row[3]) ?? 0
        home = row[5]
        name = row[0]
    } else {
        throw Failure(
            "cannot use user \"\(user)\"",
            cause: "\"\(parts[0])\" is no number below 4294967295 and not in the image's /etc/passwd",
            advice: "name a user the image has, or use a number")
    }
    if parts.count > 1 {
        if let number = identifier(parts[1]) {
            gid = number
        } else if let row = group.first(where: { $0[0] == parts[1] }), let number = identifier(row[2]) {
            gid = number
        } else {
            throw Failure(
                "cannot use group \"\(parts[1])\"",
                cause: "it is no number below 4294967295 and not in the image's /etc/group",
                advice: "name a group the image has, or use a number")
        }
        return ProcessIdentity(uid: uid, gid: gid, groups: [gid], home: home)
    }
    return ProcessIdentity(
        uid: uid, gid: gid, groups: memberships(of: name, primary: gid, roots: roots), home: home)
}

/// The groups of `group_add`: numbers, or names of the image's /etc/group.
func resolveGroups(_ groups: [String], roots: [String]) throws(Failure) -> [UInt32] {
    var numbers: [UInt32] = []
    var rows: [[String]]?
    for group in groups {
        if let number = identifier(group) {
            numbers.append(number)
            continue
        }
        let known = rows ?? table("/etc/group", roots: roots, columns: 3)
        rows = known
        guard let row = known.first(where: { $0[0] == group }), let number = identifier(row[2]) else {
            throw Failure(
                "cannot add group \"\(group)\"",
                cause: "it is no number below 4294967295 and not in the image's /etc/group",
                advice: "name a group the image has, or use a number")
        }
        numbers.append(number)
    }
    return numbers
}

private func rootGroups(roots: [String], user: String) -> [UInt32] {
    user.contains(":") ? [0] : memberships(of: "root", primary: 0, roots: roots)
}

private func memberships(of name: String?, primary: UInt32, roots: [String]) -> [UInt32] {
    guard let name else { return [primary] }
    let rows = table("/etc/group", roots: roots, columns: 4)
    let others = rows.filter { $0[3].split(separator: ",").contains { $0 == name } }.compactMap {
        identifier($0[2])
    }
    return [primary] + others.filter { $0 != primary }
}

/// A whole decimal number an id may be: 2^32-1 means "unchanged" to the kernel and is none.
private func identifier(_ text: String) -> UInt32? {
    guard !text.isEmpty, text.utf8.allSatisfy({ (48...57).contains($0) }), let number = UInt32(text),
        number != .max
    else {
        return nil
    }
    return number
}

private func table(_ path: String, roots: [String], columns: Int) -> [[String]] {
    guard let bytes = readFromLayers(path, roots: roots) else { return [] }
    return String(decoding: bytes, as: UTF8.self).split(separator: "\n").compactMap { line in
        let fields = line.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        return fields.count >= columns ? fields : nil
    }
}
