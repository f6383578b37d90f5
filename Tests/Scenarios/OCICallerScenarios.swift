// SPDX-License-Identifier: Apache-2.0
//
// What the callers of a runtime look for beside the specification: who we say we are, what a log tells, whether a container is
// ready (sd_notify(3)), and a plain no to what there is not.

import Glibc
import Kernel
import Testing

extension Scenarios {
    @Suite("OCI callers")
    struct OCICaller {
        // Where no stub can stand before the program the command executes itself anew: what it had read was gone, and what it had
        // told came twice.
        @Test("a process or configuration on standard input is read, and a warning told, once")
        func standardInput() throws {
            try Bundle.play { bundle in
                let asked = #""capabilities":{"bounding":["CAP_NO_SUCH"]},"#
                try bundle.configure(
                    ["sleep", "1000"],
                    linux:
                        #""seccomp":{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["execveat"],"action":"SCMP_ACT_ERRNO"}]},"#
                )
                let line = "\(bundle.runtime) --root \(bundle.state)"
                let run =
                    "cat config.json | \(line) run -d --config /dev/stdin \(bundle.name) >/dev/null 2>&1"
                let ran = try Host.run(["sh", "-c", "cd \(bundle.directory); \(run)"])
                try bundle.require(try ran.code == 0 && bundle.status() == "running", "\(ran)")
                try writeFile(
                    "\(bundle.directory)/process.json",
                    Array(#"{\#(asked)"cwd":"/","args":["echo","told"],"env":["PATH=/bin"]}"#.utf8))
                for words in ["cat process.json |", "<process.json"] {
                    let piped = try Host.run([
                        "sh", "-c",
                        "cd \(bundle.directory); \(words) \(line) exec --process - \(bundle.name)",
                    ])
                    try bundle.require(
                        piped.text == "told" && piped.errors.split(separator: "\n").count == 1
                            && piped.errors.contains("CAP_NO_SUCH"), "\(piped)")
                }
            }
        }

        @Test("a program that closes its terminal is heard and signalled as before: run and exec")
        func closedTerminal() throws {
            try Bundle.play { bundle in
                let line = "trap 'exit 9' TERM; exec <&- >&- 2>&-; : >/closed; while :; do sleep 0.05; done"
                func check(_ words: [String]) throws {
                    let runtime = try RunningProgram(
                        [bundle.runtime, "--root", bundle.state] + words, environment: ["PATH=\(Host.path)"],
                        directory: bundle.directory, scratch: "\(bundle.directory)/scratch")
                    defer { runtime.signal(SIGKILL) }
                    try bundle.await("it has closed its terminal") { exists("\(bundle.rootfs)/closed") }
                    try removeFile("\(bundle.rootfs)/closed")
                    runtime.signal(SIGTERM)
                    let outcome = try runtime.wait(limit: .seconds(20))
                    try bundle.require(outcome.code == 9, "\(words): \(outcome)")
                }
                try bundle.configure(["sh", "-c", line], process: #""terminal":true,"#)
                try check(["run", bundle.name])
                try bundle.configure(["sleep", "1000"])
                try bundle.oci("run", "-d", bundle.name, code: 0)
                try check(["exec", "-t", bundle.name, "sh", "-c", line])
            }
        }

        @Test("by a link's name it is that runtime: help and version say so; checkpoints are refused by name")
        func names() throws {
            try Bundle.play { bundle in
                for name in ["covey-oci", "runc", "crun"] {
                    let link = "\(bundle.directory)/\(name)"
                    if !exists(link) { try Host.run(["ln", "-s", Host.covey ?? "covey", link]).orThrow() }
                    let version = try Host.run([link, "--version"]).lines
                    try bundle.require(
                        version.count == 4 && version[0].hasPrefix("\(name) version ")
                            && version[1].hasPrefix("commit: ") && version[2].hasPrefix("spec: 1.")
                            && version[3].split(separator: " ").allSatisfy { $0.hasPrefix("+") }
                            && version[3].contains("NOTIFY") && !version[3].contains("CRIU"),
                        "\(version)")
                    let help = try Host.run([link, "--help"]).lines
                    try bundle.require(
                        help.count > 2 && help[0] == "NAME:"
                            && help[1].hasPrefix("   \(name) - Open Container Initiative runtime"), "\(help)")
                    for command in ["create", "checkpoint", "restore", "exec"] {
                        let help = try Host.run([link, command, "-h"]).lines
                        try bundle.require(
                            help.count > 2 && help[1].hasPrefix("   \(name) \(command) - ")
                                && help.contains { $0.hasPrefix("Usage: \(name) \(command) ") }, "\(help)")
                    }
                }
                let unknown = try bundle.oci("nothing", "-h", code: 1)
                try bundle.require(unknown.errors.contains("No help topic for 'nothing'"), unknown.errors)
                try bundle.configure(["sleep", "1000"])
                try bundle.oci("create", bundle.name, code: 0)
                let refused = try bundle.oci(
                    "checkpoint", "--work-path", "w", "--tcp-established", bundle.name, code: 1)
                try bundle.require(
                    refused.errors.contains("checkpoint --work-path w --tcp-established \(bundle.name)")
                        && refused.errors.contains("CRIU"), refused.errors)
                try bundle.require(try bundle.status() == "created", "a refused checkpoint changed it")
            }
        }

        @Test("--debug tells each step, in the log or on standard error; a rootless template runs as it is")
        func debug() throws {
            try Bundle.play { bundle in
                let log = "\(bundle.directory)/log"
                try bundle.configure(["true"])
                let plain = try bundle.oci("--debug", "run", bundle.name, code: 0)
                try bundle.require(
                    plain.errors.contains("level=debug msg=\"")
                        && plain.errors.contains("mounting proc at /proc")
                        && plain.output.isEmpty, "\(plain)")
                let logged = try bundle.oci(
                    "--debug", "--log", log, "--log-format", "json", "run", bundle.name, code: 0)
                try bundle.require(logged.errors.isEmpty, logged.errors)
                try bundle.require(
                    contents(log).split(separator: "\n").allSatisfy { $0.contains(#""level":"debug""#) }
                        && contents(log).contains("mounting proc at /proc"), contents(log))
                try bundle.require(
                    try bundle.oci("run", bundle.name, code: 0).errors.isEmpty, "it tells unasked")
                try bundle.require(
                    inOrder(
                        [
                            "making the cgroup", "nsexec container setup", "child process in init()",
                            "init: mounting proc at /proc", "init: about to exec",
                            "init: closing the pipe to signal completion",
                        ], plain.errors), plain.errors)
                // What was told has been begun, and no more.
                try bundle.configure(["no-such-program"])
                let failed = try bundle.oci("--debug", "run", bundle.name, code: 1).errors
                try bundle.require(
                    inOrder(["child process in init()", "running \\\"no-such-program\\\""], failed)
                        && !failed.contains("about to exec") && !failed.contains("closing the pipe"), failed)
                // A filter that would end the program for the telling: what comes after it isn't told.
                try bundle.configure(
                    ["sleep", "1000"],
                    linux: #"""
                        "seccomp":{"defaultAction":"SCMP_ACT_ALLOW",
                          "syscalls":[{"names":["write","sendmsg"],"action":"SCMP_ACT_KILL_PROCESS"}]},
                        """#)
                let silent = try bundle.oci("--debug", "run", "-d", bundle.name).errors
                try bundle.require(
                    inOrder(["init: loading the seccomp filter"], silent)
                        && !silent.contains("init: becoming user"), silent)
                try bundle.oci("delete", "--force", bundle.name, code: 0)
                try bundle.configure(["sleep", "1000"])
                try bundle.oci("run", "-d", bundle.name, code: 0)
                let joined = try bundle.oci("--debug", "exec", bundle.name, "true", code: 0).errors
                try bundle.require(
                    inOrder(
                        [
                            "nsexec container setup", "child process in init()",
                            "setns_init: joining the container", "setns_init: about to exec",
                            "setns_init: closing the pipe",
                        ], joined), joined)
                try bundle.oci("delete", "--force", bundle.name, code: 0)

                try Host.run(["mkdir", "\(bundle.directory)/rootless"]).orThrow()
                try bundle.oci("spec", "--rootless", "--bundle", "rootless", code: 0)
                let template = contents("\(bundle.directory)/rootless/config.json")
                try bundle.require(template.contains("uidMappings") && !template.contains("gid=5"), template)
                try writeFile(
                    "\(bundle.directory)/rootless/config.json",
                    Array(
                        template.replacing("\"terminal\": true", with: "\"terminal\": false")
                            .replacing("\"sh\"", with: "\"true\"")
                            .replacing("\"rootfs\"", with: "\"\(bundle.rootfs)\"").utf8))
                try bundle.oci("run", "--bundle", "rootless", bundle.name, code: 0)
            }
        }

        private func inOrder(_ phrases: [String], _ text: String) -> Bool {
            var rest = text[...]
            for phrase in phrases {
                guard let found = rest.firstRange(of: phrase) else { return false }
                rest = rest[found.upperBound...]
            }
            return true
        }

        @Test("by the names runc and crun a created container is deleted, by crun's also a `status` is kept")
        func manners() throws {
            try Bundle.play { bundle in
                for name in ["runc", "crun"] {
                    try Host.run(["ln", "-s", Host.covey ?? "covey", "\(bundle.directory)/\(name)"]).orThrow()
                }
                func called(_ name: String, _ words: String...) throws -> Outcome {
                    let outcome = try RunningProgram(
                        ["\(bundle.directory)/\(name)", "--root", bundle.state] + words,
                        environment: ["PATH=\(Host.path)"], directory: bundle.directory,
                        scratch: "\(bundle.directory)/scratch"
                    ).wait(limit: .seconds(30))
                    try bundle.require(outcome.code == 0, "\(name) \(words): \(outcome)")
                    return outcome
                }
                try bundle.configure(["sleep", "1000"], process: #""noNewPrivileges":true,"#)
                let file = "\(bundle.directory)/config.json"
                let text = contents(file)
                try writeFile(
                    file, Array(text.replacing("\"cgroupsPath\":\"/\(bundle.name)\",", with: "").utf8))
                func cgroups(_ name: String) throws -> Int {
                    try Host.run(["find", "/sys/fs/cgroup", "-name", name]).lines.count
                }
                for name in ["runc", "crun"] {
                    _ = try called(name, "create", bundle.name)
                    // Scripts look for it by the container's name.
                    try bundle.require(try cgroups(bundle.name) > 0, "no cgroup of its name")
                    let refused = try bundle.oci("delete", bundle.name, code: 1)
                    try bundle.require(refused.errors.contains("not stopped: created"), refused.errors)
                    let status = "\(bundle.state)/\(bundle.name)/status"
                    try bundle.require(exists(status) == (name == "crun"), "\(name): \(status)")
                    if name == "crun" {
                        let text = contents(status).filter { $0 != " " }
                        try bundle.require(
                            text.contains(#""external_descriptors":"[\"#) && text.contains("/dev/null")
                                && text.contains(bundle.rootfs) && text.contains(#""detached":true"#), text)
                    }
                    _ = try called(name, "delete", bundle.name)
                    try bundle.require(!exists("\(bundle.state)/\(bundle.name)"), "its state is left")
                    try bundle.require(try cgroups(bundle.name) == 0, "its cgroup is left")
                }
                // A running one is nobody's to delete; crun's exec has no_new_privs only where asked.
                _ = try called("crun", "run", "-d", bundle.name)
                try bundle.oci("delete", bundle.name, code: 1)
                let line = ["grep", "NoNewPrivs", "/proc/self/status"]
                func privileges(_ name: String, _ flags: String...) throws -> String {
                    let outcome = try RunningProgram(
                        ["\(bundle.directory)/\(name)", "--root", bundle.state, "exec"] + flags + [
                            bundle.name
                        ] + line,
                        environment: ["PATH=\(Host.path)"], directory: bundle.directory,
                        scratch: "\(bundle.directory)/scratch"
                    ).wait(limit: .seconds(30))
                    return String(outcome.text.suffix(1))
                }
                try bundle.require(try privileges("crun") == "0", "crun's exec")
                try bundle.require(try privileges("crun", "--no-new-privs") == "1", "crun's exec, asked for")
                try bundle.require(try privileges("runc") == "1", "runc's exec")
            }
        }

        @Test(
            "READY=1 reaches whoever NOTIFY_SOCKET names, with the process's number outside; nothing else does"
        )
        func readiness() throws {
            try Bundle.play { bundle in
                let socket = "\(bundle.directory)/notify.sock"
                // The image has no program for it; python's is the host's, with what it needs.
                let program = #"""
                    import os, socket, sys
                    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                    s.connect(os.environ["NOTIFY_SOCKET"])
                    s.send(b"MAINPID=1\nWATCHDOG_USEC=1")
                    s.send(b"STATUS=soon\nREADY=1")
                    read, write = os.pipe()
                    socket.send_fds(s, [b"BARRIER=1"], [write])
                    os.close(write)
                    os.read(read, 1)
                    print(os.environ["NOTIFY_SOCKET"], flush=True)
                    try: open(os.path.dirname(os.environ["NOTIFY_SOCKET"]) + "/x", "w")
                    except OSError as error: print(error.errno, flush=True)
                    if len(sys.argv) > 1: os.read(0, 1) or __import__("time").sleep(1000)
                    """#
                try writeFile("\(bundle.rootfs)/tell.py", Array(program.utf8))
                let listener = #"""
                    import socket, sys
                    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                    s.bind("notify.sock"); s.settimeout(20)
                    open("ready", "w").close()
                    print([s.recv(4096).decode() for _ in range(2 * int(sys.argv[1]))])
                    """#
                try writeFile("\(bundle.directory)/listen.py", Array(listener.utf8))
                let host = ["/usr", "/lib", "/lib64"].filter { exists($0) }.map {
                    #",{"destination":"\#($0)","type":"bind","source":"\#($0)","options":["rbind","ro"]}"#
                }.joined()
                let service = try RunningProgram(
                    ["python3", "listen.py", "2"], environment: ["PATH=\(Host.path)"],
                    directory: bundle.directory, scratch: "\(bundle.directory)/scratch")
                try bundle.await("somebody listens") { exists("\(bundle.directory)/ready") }

                try bundle.configure(
                    ["python3", "/tell.py"], mounts: host, environment: ["PATH=/usr/bin:/bin"])
                let run = try bundle.oci("run", bundle.name, code: 0, variables: ["NOTIFY_SOCKET=\(socket)"])
                try bundle.require(run.lines == ["\(socket)/notify", "\(EROFS)"], "\(run)")
                try bundle.configure(
                    ["python3", "/tell.py", "stay"], mounts: host, environment: ["PATH=/usr/bin:/bin"])
                try bundle.oci(
                    "create", "--pid-file", "\(bundle.directory)/pid", bundle.name, code: 0,
                    variables: ["NOTIFY_SOCKET=\(socket)"])
                // It comes back once the program is ready.
                try bundle.oci("start", bundle.name, code: 0, variables: ["NOTIFY_SOCKET=\(socket)"])
                let told = try service.wait(limit: .seconds(30)).text
                let pid = contents("\(bundle.directory)/pid")
                try bundle.require(
                    told.hasPrefix("['READY=1', 'MAINPID=")
                        && told.hasSuffix(", 'READY=1', 'MAINPID=\(pid)']"), told)
                try bundle.oci("delete", "--force", bundle.name, code: 0)

                // Nobody listens: the container runs all the same, and a warning says so.
                try bundle.configure(
                    ["python3", "/tell.py"], mounts: host, environment: ["PATH=/usr/bin:/bin"])
                let alone = try bundle.oci(
                    "run", bundle.name, code: 0, variables: ["NOTIFY_SOCKET=\(socket)"])
                try bundle.require(alone.errors.contains("cannot tell \(socket)"), "\(alone)")
                // A program that ends without a word keeps nobody waiting, and a bundle's own socket is left alone.
                try bundle.configure(["true"])
                try bundle.oci("run", "-d", bundle.name, code: 0, variables: ["NOTIFY_SOCKET=@no/such"])
                try bundle.oci("delete", "--force", bundle.name, code: 0)
                try bundle.configure(
                    ["sh", "-c", "echo $NOTIFY_SOCKET; grep -c notify /proc/self/mountinfo"],
                    environment: ["PATH=/bin", "NOTIFY_SOCKET=/own"])
                // grep found none, which is its code.
                let own = try bundle.oci("run", bundle.name, code: 1, variables: ["NOTIFY_SOCKET=\(socket)"])
                try bundle.require(own.lines == ["/own", "0"], "\(own)")
                try bundle.configure(
                    ["sh", "-c", "echo ${NOTIFY_SOCKET:-none}"],
                    mounts:
                        #",{"destination":"\#(bundle.directory)","type":"bind","source":"\#(bundle.directory)"}"#
                )
                let bound = try bundle.oci(
                    "run", bundle.name, code: 0, variables: ["NOTIFY_SOCKET=\(socket)"])
                try bundle.require(bound.lines == ["none"], "\(bound)")
            }
        }
    }
}
