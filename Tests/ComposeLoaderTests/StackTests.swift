// SPDX-License-Identifier: Apache-2.0
//
// The stacks in stacks/: files as people write them. Each loads whole, or is refused when its name says so, and loads
// again from what is printed. `Tests/differential/compose` asks others about the same files.

import Basics
import ComposeLoader
import ComposeModel
import Glibc
import Testing

private let stacks = #filePath.split(separator: "/").dropLast().map { "/" + $0 }.joined() + "/stacks"

private let stackNames: [String] = {
    guard let directory = opendir(stacks) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if !name.hasPrefix(".") { names.append(name) }
    }
    return names.sorted()
}()

private func bytes(_ path: String) -> [UInt8]? {
    guard let file = fopen(path, "r") else { return nil }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 18)
    return Array(bytes[..<fread(&bytes, 1, bytes.count, file)])
}

private func load(_ name: String, replacing file: [UInt8]? = nil) throws(Failure) -> LoadedProject {
    var options = LoadOptions(
        workingDirectory: "\(stacks)/\(name)", environment: ["HOME": "/home/me", "TOKEN": "x"])
    options.profiles = ["*"]
    let main = "\(stacks)/\(name)/compose.yaml"
    let access = FileAccess(
        read: { path in path == main && file != nil ? file : bytes(path) },
        exists: { Glibc.access($0, F_OK) == 0 },
        isDirectory: { _ in false })
    return try loadProject(options, reading: access)
}

@Test("a stack loads, and again from what is printed", arguments: stackNames)
func stack(_ name: String) throws {
    if name.hasPrefix("bad-") {
        #expect(throws: Failure.self) { try load(name) }
        return
    }
    let project = try load(name).project
    for text in [renderYAML(project), renderJSON(project)] {
        #expect(try load(name, replacing: Array(text.utf8)).project == project)
    }
}

@Test("there are stacks enough")
func stackCount() { #expect(stackNames.count >= 30) }
