// SPDX-License-Identifier: Apache-2.0

internal import Kernel

/// The host's mount that a path is on, as proc_pid_mountinfo(5) tells of it.
struct HostMount {
    let point: String
    /// The optional fields, `shared:7`.
    let tags: [String]
    let type: String
    /// Of the file system itself.
    let options: [String]

    init(holding path: String) throws(SyscallError) {
        var found: (point: String, fields: [Substring]) = ("", [])
        for line in try readText("/proc/self/mountinfo").split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 6 else { continue }
            let point = String(fields[4])
            let holds = path == point || point == "/" || path.hasPrefix(point + "/")
            // The last of several at one place is the one that is seen.
            guard holds, point.utf8.count >= found.point.utf8.count else { continue }
            found = (point, fields)
        }
        point = found.point
        tags = found.fields.dropFirst(6).prefix { $0 != "-" }.map(String.init)
        let rest = found.fields.dropFirst(6).drop { $0 != "-" }.dropFirst()
        type = rest.first.map(String.init) ?? ""
        options = rest.dropFirst(2).first?.split(separator: ",").map(String.init) ?? []
    }
}
