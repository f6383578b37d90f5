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
public func workingDirectory() throws(SyscallError) -> String {
    var buffer = [CChar](repeating: 0, count: 4097)
    guard getcwd(&buffer, buffer.count) != nil else { throw SyscallError("getcwd", Errno(linux_errno())) }
    return buffer.withUnsafeBytes { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
}
