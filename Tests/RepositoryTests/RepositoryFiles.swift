// SPDX-License-Identifier: Apache-2.0
//
// RepositoryFiles: the repository as the tests read it, from the place this file was compiled at.
// Build products and git's own files are no part of it.

import Glibc
import Testing

/// A text file of the repository.
struct RepositoryFile: Sendable, CustomTestStringConvertible {
    /// Relative to the repository's root.
    var path: String
    var text: String

    var lines: [Substring] { text.split(separator: "\n", omittingEmptySubsequences: false) }
    /// `Kernel` for `Sources/Kernel/Files.swift`; nil outside `Sources`.
    var target: String? {
        let parts = path.split(separator: "/")
        return parts.count > 2 && parts[0] == "Sources" ? String(parts[1]) : nil
    }
    /// Whether the text is anywhere in it; quick, for thousands of lines.
    func has(_ text: String) -> Bool { strstr(self.text, text) != nil }
    var testDescription: String { path }
}

enum Repository {
    static let root: String = {
        // …/Tests/RepositoryTests/RepositoryFiles.swift
        #filePath.split(separator: "/").dropLast(3).reduce(into: "") { $0 += "/\($1)" }
    }()

    /// Every text file, sorted by path.
    static let files: [RepositoryFile] = {
        var found: [RepositoryFile] = []
        collect("", into: &found)
        return found.sorted { $0.path < $1.path }
    }()

    static func file(_ path: String) -> RepositoryFile? {
        read(root + "/" + path).map { RepositoryFile(path: path, text: $0) }
    }

    /// Swift files of the product.
    static var sources: [RepositoryFile] {
        files.filter { $0.target != nil && $0.path.hasSuffix(".swift") }
    }

    private static func collect(_ directory: String, into found: inout [RepositoryFile]) {
        guard let stream = opendir(root + "/" + directory) else { return }
        defer { closedir(stream) }
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if [".", "..", ".git", ".build", ".swiftpm", "Package.resolved"].contains(name) { continue }
            let path = directory.isEmpty ? name : "\(directory)/\(name)"
            if Int32(entry.pointee.d_type) == DT_DIR {
                collect(path, into: &found)
            } else if let text = read(root + "/" + path) {
                found.append(RepositoryFile(path: path, text: text))
            }
        }
    }

    /// nil for what is not there and what is not UTF-8 text.
    private static func read(_ path: String) -> String? {
        guard let file = fopen(path, "re") else { return nil }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while case let count = fread(&buffer, 1, buffer.count, file), count > 0 { bytes += buffer[..<count] }
        return bytes.contains(0) ? nil : String(validating: bytes, as: UTF8.self)
    }
}

/// A line of Swift without its comment and without what stands in string literals; good for one line, not for a
/// literal of several.
func code(in line: Substring) -> String {
    var result: [UInt8] = []
    var inString = false
    var previous = UInt8(ascii: " ")
    for byte in line.utf8 {
        if byte == UInt8(ascii: "\""), previous != UInt8(ascii: "\\") {
            inString.toggle()
            result.append(byte)
        } else if !inString {
            if byte == UInt8(ascii: "/"), previous == byte {
                result.removeLast()
                break
            }
            result.append(byte)
        }
        previous = byte
    }
    return String(decoding: result, as: UTF8.self)
}
