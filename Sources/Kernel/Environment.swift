// SPDX-License-Identifier: Apache-2.0

internal import CLinux

/// The environment as it was given to the process; the first of two equal names counts, as for getenv(3).
public func processEnvironment() -> [String: String] {
    var found: [String: String] = [:]
    guard var entry = linux_environ() else { return found }
    var count = 0
    while entry[count] != nil { count += 1 }
    found.reserveCapacity(count)
    while let text = entry.pointee {
        let length = strlen(text)
        let bytes = UnsafeRawBufferPointer(start: text, count: length)
        if let equals = bytes.firstIndex(of: UInt8(ascii: "=")), equals > 0 {
            let name = String(decoding: bytes[..<equals], as: UTF8.self)
            if found[name] == nil { found[name] = String(decoding: bytes[(equals + 1)...], as: UTF8.self) }
        }
        entry += 1
    }
    return found
}

/// The absolute path of the working directory; ENOENT when it was removed.
///
/// - Parameter name: What the shell calls it, `$PWD`: taken where it is the same directory, as Go's os.Getwd and `pwd -L` do,
///   so that a directory reached through a symbolic link has the link's name.
public func workingDirectory(called name: String?) throws(SyscallError) -> String {
    if let name, isPlain(name),
        let one = try? fileStatus(name, follow: true), let other = try? fileStatus(".", follow: true),
        (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
    {
        return name
    }
    return try workingDirectory()
}

/// An absolute path that is written as getcwd(3) writes one.
private func isPlain(_ path: String) -> Bool {
    let slash = UInt8(ascii: "/")
    guard path.utf8.first == slash else { return false }
    var rest = path.utf8.dropFirst()
    if rest.isEmpty { return true }
    while true {
        let name = rest.prefix { $0 != slash }
        if name.isEmpty || name.count < 3 && name.allSatisfy({ $0 == UInt8(ascii: ".") }) { return false }
        rest = rest.dropFirst(name.count)
        if rest.isEmpty { return true }
        rest = rest.dropFirst()
    }
}

private func workingDirectory() throws(SyscallError) -> String {
    var buffer = [CChar](repeating: 0, count: 4097)
    guard getcwd(&buffer, buffer.count) != nil else { throw SyscallError("getcwd", Errno(linux_errno())) }
    return buffer.withUnsafeBytes { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
}

/// One variable of it; the first of two equal names counts.
public func environmentValue(_ name: String) -> String? {
    linux_getenv(name).map { String(cString: $0) }
}
