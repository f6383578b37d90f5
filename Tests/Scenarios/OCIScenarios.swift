// SPDX-License-Identifier: Apache-2.0
//
// `covey oci` as a caller of runtimes sees it: the life-cycle with its errors, exec, hooks, what is left (nothing).

import Glibc
import Kernel
import Testing

extension Scenarios {
    @Suite("OCI runtime")
    struct OCI {
        @Test("create, start, state, kill, delete; each where it belongs, refused where not")
        func lifecycle() throws {
            try Bundle.play { bundle in
                let id = bundle.name
                try bundle.configure(["sleep", "1000"])
                try bundle.oci("create", "--pid-file", "\(bundle.directory)/pid", id, code: 0)
                let pid = Int32(contents("\(bundle.directory)/pid")) ?? 0
                try bundle.require(pid > 0 && exists("/proc/\(pid)"), "no process \(pid)")
                try bundle.require(try bundle.status() == "created", "not created")
                let twice = try bundle.oci("create", id, code: 1)
                try bundle.require(twice.errors.contains("already exists"), twice.errors)
                try bundle.oci("delete", id, code: 1)
                try bundle.require(try bundle.status() == "created", "a refused delete changed it")
                try bundle.oci("start", id, code: 0)
                try bundle.require(try bundle.status() == "running", "not running")
                try bundle.oci("start", id, code: 1)
                try bundle.oci("delete", id, code: 1)
                try bundle.oci("kill", id, "KILL", code: 0)
                try bundle.await("it stops") { try bundle.status() == "stopped" }
                try bundle.oci("kill", id, "KILL", code: 1)
                try bundle.oci("start", id, code: 1)
                try bundle.oci("delete", id, code: 0)
                let gone = try bundle.oci("state", id, code: 1)
                try bundle.require(gone.errors.contains("does not exist"), gone.errors)
                try bundle.oci("delete", id, code: 1)
                try bundle.oci("delete", "--force", id, code: 0)
            }
        }

        @Test(
            "run ends with the program's code and leaves nothing; a program that isn't there is said before")
        func foreground() throws {
            try Bundle.play { bundle in
                try bundle.configure(["sh", "-c", "exit 7"])
                try bundle.oci("run", bundle.name, code: 7)
                try bundle.configure(["nosuch"])
                let outcome = try bundle.oci(
                    "--log", "\(bundle.directory)/log", "--log-format", "json", "run", bundle.name, code: 1)
                try bundle.require(
                    outcome.errors.contains("executable file not found in $PATH"), outcome.errors)
                try bundle.require(
                    contents("\(bundle.directory)/log").contains(#""level":"error""#), "nothing in the log")
                try bundle.require(try directoryEntries(bundle.state).isEmpty, "state is left")
            }
        }

        @Test(
            "exec: code, user, directory, environment, groups; refused when stopped or paused; bad users refused"
        )
        func exec() throws {
            try Bundle.play { bundle in
                let id = bundle.name
                try bundle.configure(["sleep", "1000"])
                try bundle.oci("run", "-d", id, code: 0)
                try bundle.oci("exec", id, "sh", "-c", "exit 9", code: 9)
                let who = try bundle.oci(
                    "exec", "-u", "1000:1001", "--cwd", "/tmp", "-e", "A=b", "-g", "7", id, "sh", "-c",
                    "id -u; id -G; pwd; echo $A; ls /proc/self/fd | wc -l", code: 0)
                try bundle.require(who.lines == ["1000", "1001 7", "/tmp", "b", "4"], who.output)
                for user in [" 1000", "1000:", "-1", "4294967295", "0x0", "1000x", ":", "1:2:3"] {
                    let refused = try bundle.oci("exec", "-u", user, id, "true", code: 255)
                    try bundle.require(refused.errors.contains("cannot use user"), refused.errors)
                }
                let missing = try bundle.oci("exec", id, "nosuch", code: 255)
                try bundle.require(missing.errors.contains("not found in $PATH"), missing.errors)
                try writeFile(
                    "\(bundle.directory)/process.json",
                    Array(#"{"cwd":"/tmp","args":["pwd"],"env":["PATH=/bin"],"user":{"uid":5}}"#.utf8))
                let whole = try bundle.oci("exec", "--process", "process.json", id, code: 0)
                try bundle.require(whole.text == "/tmp", whole.output)
                try bundle.oci(
                    "exec", "-d", "--pid-file", "\(bundle.directory)/pid", id, "sleep", "999", code: 0)
                let second = Int32(contents("\(bundle.directory)/pid")) ?? 0
                let listed = try bundle.oci("ps", "--format", "json", id, code: 0)
                try bundle.require(second > 0 && listed.output.contains("\(second)"), listed.output)
                try bundle.oci("pause", id, code: 0)
                try bundle.require(try bundle.status() == "paused", "not paused")
                let paused = try bundle.oci("exec", id, "true", code: 255)
                try bundle.require(paused.errors.contains("paused container"), paused.errors)
                try bundle.oci("resume", id, code: 0)
                try bundle.oci("resume", id, code: 1)
                try bundle.oci("kill", "--all", id, "KILL", code: 0)
                try bundle.await("it stops") { try bundle.status() == "stopped" }
                try bundle.oci("exec", id, "true", code: 255)
            }
        }

        @Test(
            "hooks of all six kinds run in their order with the state as input; a timeout and a failure end the creation"
        )
        func hooks() throws {
            try Bundle.play { bundle in
                let record = "\(bundle.directory)/record"
                try writeFile(
                    "\(bundle.directory)/hook",
                    Array(
                        "#!/bin/sh\nread -r s; echo \"$1 $(echo \"$s\" | grep -o '\"status\":\"[a-z]*\"')\" >>\(record)\n"
                            .utf8),
                    mode: 0o755)
                try writeFile(
                    "\(bundle.rootfs)/hook", Array("#!/bin/sh\nread -r s; echo \"$s\" >/inside-$1\n".utf8),
                    mode: 0o755)
                func hook(_ kind: String, _ path: String) -> String {
                    #""\#(kind)":[{"path":"\#(path)","args":["hook","\#(kind)"],"env":["PATH=/bin:/usr/bin"]}]"#
                }
                let outside = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"]
                let all =
                    outside.map { hook($0, "\(bundle.directory)/hook") } + [hook("startContainer", "/hook")]
                try bundle.configure(
                    ["sleep", "1000"],
                    more: "\"hooks\":{\(all.joined(separator: ","))},\"annotations\":{\"a.b\":\"c\"},")
                try bundle.oci("create", bundle.name, code: 0)
                try bundle.require(
                    contents(record)
                        == "prestart \"status\":\"created\"\ncreateRuntime \"status\":\"creating\"\ncreateContainer \"status\":\"creating\"\n",
                    contents(record))
                try bundle.require(
                    !exists("\(bundle.rootfs)/inside-startContainer"), "startContainer ran early")
                try bundle.oci("start", bundle.name, code: 0)
                let inside = contents("\(bundle.rootfs)/inside-startContainer")
                try bundle.require(
                    inside.contains("\"status\":\"created\"") && inside.contains("\"a.b\":\"c\""), inside)
                try bundle.require(
                    contents(record).hasSuffix("poststart \"status\":\"running\"\n"), contents(record))
                try bundle.oci("delete", "--force", bundle.name, code: 0)
                try bundle.require(
                    contents(record).hasSuffix("poststop \"status\":\"stopped\"\n"), contents(record))

                for (kind, path, says) in [
                    ("prestart", "/bin/false", "exit status 1"),
                    ("createContainer", "/bin/false", "exit status 1"),
                    ("createRuntime", "/no/such", "ENOENT"),
                ] {
                    try bundle.configure(["true"], more: "\"hooks\":{\(hook(kind, path))},")
                    let failed = try bundle.oci("run", bundle.name, code: 1)
                    try bundle.require(
                        failed.errors.contains(says) && failed.errors.contains(kind), failed.errors)
                }
                try bundle.configure(
                    ["true"],
                    more:
                        #""hooks":{"createRuntime":[{"path":"/bin/sleep","args":["sleep","99"],"timeout":1}]},"#
                )
                let slow = try bundle.oci("run", bundle.name, code: 1)
                try bundle.require(slow.errors.contains("timeout of 1 s"), slow.errors)
                try bundle.require(try directoryEntries(bundle.state).isEmpty, "state is left")
            }
        }

        @Test("limits go into the cgroup, update changes them, an unknown controller's is refused by name")
        func limits() throws {
            try Bundle.play { bundle in
                try bundle.configure(
                    ["sleep", "1000"],
                    linux:
                        #""resources":{"memory":{"limit":67108864},"pids":{"limit":40},"cpu":{"quota":50000,"period":100000}},"#
                )
                try bundle.oci("run", "-d", bundle.name, code: 0)
                func limit(_ files: [String]) throws -> String {
                    for file in files {
                        let found = try Host.run([
                            "find", "/sys/fs/cgroup", "-path", "*/\(bundle.name)/\(file)",
                        ])
                        if let path = found.lines.first {
                            return contents(path).split(separator: "\n").first.map(String.init) ?? ""
                        }
                    }
                    return ""
                }
                let memory = ["memory.max", "memory.limit_in_bytes"]
                try bundle.require(try limit(memory) == "67108864", try limit(memory))
                try bundle.require(try limit(["pids.max"]) == "40", "pids.max")
                try bundle.oci("update", "--memory", "80m", "--pids-limit", "-1", bundle.name, code: 0)
                try bundle.require(try limit(memory) == "83886080", try limit(memory))
                try bundle.require(try limit(["pids.max"]) == "max", "pids.max")
                let refused = try bundle.oci("update", "--memory", "many", bundle.name, code: 1)
                try bundle.require(refused.errors.contains("--memory"), refused.errors)
                let systemd = try bundle.oci("--systemd-cgroup", "list", code: 1)
                try bundle.require(systemd.errors.contains("cgroupfs"), systemd.errors)
            }
        }
    }
}

extension Bundle {
    func await(_ what: String, _ condition: () throws -> Bool) throws {
        for _ in 0..<2000 {
            if try condition() { return }
            usleep(5000)
        }
        throw ScenarioError("waited in vain: \(what)")
    }
}
