// SPDX-License-Identifier: Apache-2.0
//
// What `covey oci` tells of containers beside their state, and commands on several of them: events, ps, delete by pattern,
// exec into cgroups below the container's.

import Glibc
import Kernel
import Testing

extension Scenarios {
    @Suite("OCI containers observed")
    struct OCIObservation {
        @Test("events tells what is used, again and again, and of memory that was short, until the end")
        func events() throws {
            try Bundle.play { bundle in
                let id = bundle.name
                let countsMemory = hasController("memory")
                try bundle.configure(
                    ["sleep", "1000"],
                    linux: countsMemory ? #""resources":{"memory":{"limit":16777216}},"# : "")
                try bundle.oci("events", "--stats", id, code: 1)
                try bundle.oci("run", "-d", id, code: 0)
                let now = try bundle.oci("events", "--stats", id, code: 0)
                let head = #"{"type":"stats","id":"\#(id)","data":{"cpu":{"usage":{"#
                try bundle.require(now.output.hasPrefix(head) && now.lines.count == 1, now.output)
                if hasController("pids") {
                    try bundle.require(now.output.contains(#""pids":{"current":1"#), now.output)
                }
                if countsMemory {
                    try bundle.require(now.output.contains(#"{"limit":16777216,"usage":"#), now.output)
                }
                for bad in ["0s", "soon", "-1s"] {
                    try bundle.oci("events", "--interval", bad, id, code: 1)
                }
                let follower = try RunningProgram(
                    [bundle.runtime, "--root", bundle.state, "events", "--interval", "20ms", id],
                    environment: ["PATH=\(Host.path)"], directory: bundle.directory,
                    scratch: "\(bundle.directory)/scratch")
                try bundle.await("it tells twice") {
                    follower.soFar.output.split(separator: "\n").filter { $0.hasPrefix(head) }.count > 1
                }
                if countsMemory {
                    try bundle.oci("exec", id, "dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1")
                    try bundle.await("it tells of the shortage") {
                        follower.soFar.output.contains(#"{"type":"oom","id":"\#(id)"}"#)
                    }
                }
                try bundle.oci("kill", id, "KILL", code: 0)
                let end = try follower.wait(limit: .seconds(20))
                try bundle.require(end.code == 0 && end.errors.isEmpty, "\(end)")
                let late = try bundle.oci("events", id, code: 1)
                try bundle.require(late.errors.contains("is not running"), late.errors)
            }
        }

        @Test("ps names users and takes options of ps(1); delete --regex takes what fits and no more")
        func processes() throws {
            try Bundle.play { bundle in
                let id = bundle.name
                try bundle.configure(["sleep", "1000"])
                try bundle.oci("run", "-d", id, code: 0)
                for (options, head) in [
                    ([], "UID PID PPID C STIME TTY TIME CMD"), (["-ef"], "UID PID PPID C STIME TTY TIME CMD"),
                    (["-e"], "PID TTY TIME CMD"), (["-e", "-x"], "PID TTY STAT TIME COMMAND"),
                    (["aux"], "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND"),
                ] {
                    let shown = try bundle.oci(["ps", id] + options, code: 0)
                    let words = shown.lines.map { $0.split(separator: " ").map(String.init) }
                    try bundle.require(
                        words.count == 2 && words[0].joined(separator: " ") == head
                            && shown.lines[1].contains("sleep"), "\(shown)")
                    if head.hasPrefix("U") { try bundle.require(words[1][0] == "root", "\(shown)") }
                }
                let refused = try bundle.oci("ps", id, "-o", "pid", code: 1)
                try bundle.require(refused.errors.contains("\"-o\""), refused.errors)

                for other in ["a", "b"] {
                    try bundle.configure(["sleep", "1000"], cgroup: "/\(id)-\(other)")
                    try bundle.oci("create", "\(id)-\(other)", code: 0)
                }
                let bad = try bundle.oci("delete", "--regex", "(", code: 1)
                try bundle.require(bad.errors.contains("no regular expression"), bad.errors)
                try bundle.oci("delete", "--force", "--regex", "^\(id)-[abc]$", code: 0)
                try bundle.require(try bundle.oci("list", "-q", code: 0).text == id, "others are left")
            }
        }

        @Test("exec goes into a cgroup below the container's, of one controller or of all, and into no other")
        func cgroups() throws {
            try Bundle.play { bundle in
                let id = bundle.name
                try bundle.configure(["sleep", "1000"])
                try bundle.oci("run", "-d", id, code: 0)
                let controller = ["pids", "cpu", "freezer"].first { exists("/sys/fs/cgroup/\($0)/\(id)") }
                func lines(_ flags: String...) throws -> [String] {
                    let exec = try bundle.oci(
                        ["exec"] + flags + [id, "cat", "/proc/self/cgroup"], code: 0)
                    return exec.lines.filter { $0.contains(id) }
                }
                if let controller {
                    try ensureDirectory("/sys/fs/cgroup/\(controller)/\(id)/below")
                    let found = try lines("--cgroup", "\(controller):below")
                    try bundle.require(
                        found.filter { $0.hasSuffix("/below") }.count == 1
                            && found.first { $0.hasSuffix("/below") }?.contains(controller) == true,
                        "\(found)")
                    let missing = try bundle.oci("exec", "--cgroup", "\(controller):no", id, "true")
                    try bundle.require(
                        missing.errors.contains("/no/cgroup.procs: no such file"), "\(missing)")
                }
                try bundle.require(try lines("--cgroup", "/") == lines(), "/ is not its own")
                for (path, says) in [
                    ("..", ".. is not a sub cgroup path"), ("a/../../..", "is not a sub cgroup path"),
                    ("no", "no such file or directory"), ("bogus:/", "unknown controller bogus"),
                    (":/", "no controller is named"),
                ] {
                    let refused = try bundle.oci("exec", "--cgroup", path, id, "true")
                    try bundle.require(
                        refused.code == 255 && refused.errors.contains(says), "\(path): \(refused)")
                }
            }
        }

        @Test("a user namespace has the devices its configuration lists, with owners of its own")
        func userDevices() throws {
            try Bundle.play { bundle in
                let maps =
                    #"[{"containerID":0,"hostID":0,"size":1000},{"containerID":5000,"hostID":7000,"size":10}]"#
                func configure(owner: Int) throws {
                    try bundle.configure(
                        ["sh", "-c", "stat -c '%F %t:%T %u:%g %a' /dev/own; echo x >/dev/own && echo open"],
                        linux: #"""
                            "uidMappings":\#(maps),"gidMappings":\#(maps),
                            "devices":[{"type":"c","path":"/dev/own","major":1,"minor":3,"fileMode":420,"uid":\#(owner),"gid":11}],
                            """#, extraNamespaces: #"{"type":"user"}"#)
                }
                try configure(owner: 5001)
                let run = try bundle.oci("run", bundle.name, code: 0)
                try bundle.require(
                    run.lines == ["character special file 1:3 5001:11 644", "open"], "\(run)")
                try configure(owner: 4000)
                let refused = try bundle.oci("run", bundle.name, code: 1)
                try bundle.require(
                    refused.errors.contains("uid 4000 is not in the container's maps"), "\(refused)")
            }
        }
    }
}
