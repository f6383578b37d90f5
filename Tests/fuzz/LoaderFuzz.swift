// SPDX-License-Identifier: Apache-2.0
//
// The entry libFuzzer calls: bytes become a project of several files, which is loaded, lowered and printed. Whatever is
// printed must load again. `Tests/fuzz/loader` builds and runs this.

import Basics
import ComposeLoader
import ComposeModel
import ContainerModel
import Planning

/// Cuts the input at lines `--- NAME` into files; what stands before the first is `compose.yaml`.
private func files(_ input: UnsafeBufferPointer<UInt8>) -> [String: [UInt8]] {
    var files: [String: [UInt8]] = [:]
    var (name, start) = ("compose.yaml", 0)
    var line = 0
    func close(_ end: Int) {
        if files.count < 8 { files[name, default: []] += Array(input[start..<end]) }
    }
    for index in 0...input.count where index == input.count || input[index] == 10 {
        let text = input[line..<index]
        if text.count > 4, text.count < 40, text.starts(with: Array("--- ".utf8)) {
            close(line)
            name = String(decoding: text.dropFirst(4), as: UTF8.self)
            start = min(index + 1, input.count)
        }
        line = index + 1
    }
    close(input.count)
    return files
}

private func attempt(_ files: [String: [UInt8]], _ change: (inout LoadOptions) -> Void) -> LoadedProject? {
    var options = LoadOptions(workingDirectory: "/w/demo", environment: ["HOME": "/h", "A": "a", "B": ""])
    options.profiles = ["*"]
    change(&options)
    func known(_ path: String) -> [UInt8]? {
        files[path.hasPrefix("/w/demo/") ? String(path.dropFirst(8)) : path]
    }
    let access = FileAccess(read: { known($0) }, exists: { known($0) != nil }, isDirectory: { _ in false })
    do throws(Failure) {
        _ = try? loadPlainModel(options, reading: access).yaml
        return try loadProject(options, reading: access)
    } catch {
        // Messages cut lines and point into them: making one is part of the trial.
        precondition(!error.description.isEmpty)
        return nil
    }
}

/// Makes requests of what was loaded, every service of one image, every file that is named there.
private func lower(_ project: Project, _ files: [String: [UInt8]]) {
    var image = LoweredImage(
        facts: ImageFacts(reference: "app", id: Digest(of: [1]), layers: ["/layers/a"]),
        defaults: ImageDefaults())
    image.defaults.command = ["serve"]
    var contents = FileContents(
        configs: project.configs.mapValues { _ in [1] }, secrets: project.secrets.mapValues { _ in [2] })
    do throws(Failure) {
        if let bytes = files["cdi.json"] {
            let file = CDICatalogue.File(path: "/etc/cdi/a.json", bytes: bytes, priority: 0)
            contents.devices = try CDICatalogue(files: [file])
        }
        let images = project.services.mapValues { _ in image }
        _ = try Planning.lower(project, images: images, contents: contents)
    } catch {
        precondition(!error.description.isEmpty)
    }
}

@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let input = UnsafeBufferPointer(start: start, count: count)
    let files = files(input)
    guard let loaded = attempt(files, { _ in }) else { return 0 }
    // A range of ports is one line in and thousands out: loading it is timed, printing it three times is not.
    if loaded.project.services.values.contains(where: { $0.ports.count > 500 }) { return 0 }
    lower(loaded.project, files)
    let printed = renderYAML(loaded.project)
    // Aliases and bytes that are no UTF-8 print many times what was read: beyond a megabyte it may be too long to load.
    guard printed.utf8.count < 1 << 20 else { return 0 }
    var copy = files
    copy["compose.yaml"] = Array(printed.utf8)
    for name in copy.keys where name.contains("override") || name == ".env" { copy[name] = nil }
    guard let again = attempt(copy, { $0.files = ["compose.yaml"] }) else {
        fatalError("does not load again:\n\(printed)")
    }
    let second = renderYAML(again.project)
    if second != printed { fatalError("prints otherwise:\n\(printed)\n=====\n\(second)") }
    return 0
}
