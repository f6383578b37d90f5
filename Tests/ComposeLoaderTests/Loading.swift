// SPDX-License-Identifier: Apache-2.0
//
// How these tests load a project: files given as text, nothing on disk.

import Basics
import ComposeLoader
import ComposeModel

/// Loads files given by name; the first is `compose.yaml` unless options say otherwise.
/// - Parameter honoured: whether what this host does not honour is an error, as it is for `up`.
func load(
    _ files: [String: String], directories: Set<String> = [], honoured: Bool = true,
    _ change: (inout LoadOptions) -> Void = { _ in }
) throws(Failure) -> LoadedProject {
    var options = LoadOptions(
        workingDirectory: "/work/demo", environment: ["HOME": "/home/me", "USER": "me"])
    change(&options)
    let access = FileAccess(
        read: { (path: String) throws(Failure) -> [UInt8]? in
            if directories.contains(String(path.dropFirst(11))) { throw Failure("\(path) is a directory") }
            return files[path.hasPrefix("/work/demo/") ? String(path.dropFirst(11)) : path].map {
                Array($0.utf8)
            }
        },
        exists: { path in files[path.hasPrefix("/work/demo/") ? String(path.dropFirst(11)) : path] != nil },
        isDirectory: { directories.contains(String($0.dropFirst(11))) })
    let loaded = try loadProject(options, reading: access)
    if honoured { try loaded.checkHonoured() }
    return loaded
}

/// The one service of a project whose service `web` has these lines, each indented by four spaces here.
func web(_ lines: String, _ rest: String = "", _ change: (inout LoadOptions) -> Void = { _ in })
    throws(Failure) -> Service
{
    let project = try load(["compose.yaml": yaml(lines, rest)], change).project
    guard let service = project.services["web"] else { throw Failure("no service web") }
    return service
}

func yaml(_ lines: String, _ rest: String = "") -> String {
    let body = lines.split(separator: "\n", omittingEmptySubsequences: false).map { "    \($0)" }
    return "services:\n  web:\n    image: app\n\(body.joined(separator: "\n"))\n\(rest)"
}

/// What a load says when it fails; "loaded" when it does not.
func complaint(_ files: [String: String], _ change: (inout LoadOptions) -> Void = { _ in }) -> String {
    do throws(Failure) {
        _ = try load(files, change)
        return "loaded"
    } catch {
        return error.description
    }
}
