// SPDX-License-Identifier: Apache-2.0
//
// Hooks (config.md, "POSIX-platform Hooks"): when and where each runs, with which variables, under which filter, and what
// follows when one fails. OCIScenarios has their order.

import Glibc
import Kernel
import Testing

extension Scenarios {
    @Suite("OCI hooks")
    struct OCIHooks {
        @Test(
            "a failing poststop hook is told and the next one runs; hooks inside see the pid as it is there")
        func lastHooks() throws {
            try Bundle.play { bundle in
                let said = "\(bundle.directory)/said"
                try writeFile(
                    "\(bundle.directory)/hook",
                    Array("#!/bin/sh\ngrep -o '\"pid\":[0-9]*' >>\(said).$1\necho $1 >>\(said)\n".utf8),
                    mode: 0o755)
                func hook(_ kind: String, _ path: String? = nil) -> String {
                    #"{"path":"\#(path ?? "\(bundle.directory)/hook")","args":["h","\#(kind)"],"env":["PATH=/bin:/usr/bin"]}"#
                }
                try bundle.configure(
                    ["true"],
                    more: #"""
                        "hooks":{"createRuntime":[\#(hook("runtime"))],"createContainer":[\#(hook("container"))],
                          "poststop":[\#(hook("x", "/bin/false")),\#(hook("last"))]},
                        """#)
                let outcome = try bundle.oci("run", bundle.name, code: 0)
                try bundle.require(outcome.errors.contains("poststop hook /bin/false failed"), outcome.errors)
                try bundle.require(contents(said) == "runtime\ncontainer\nlast\n", contents(said))
                try bundle.require(
                    contents("\(said).container") == "\"pid\":1\n", contents("\(said).container"))
                let outside = contents("\(said).runtime")
                try bundle.require(outside.hasPrefix("\"pid\":") && outside != "\"pid\":1\n", outside)
            }
        }

        @Test(
            "hooks run where and when they belong: namespaces, the root entered or not, the program begun, the container gone"
        )
        func hookPlaces() throws {
            try Bundle.play { bundle in
                let said = "\(bundle.directory)/said"
                // Whose mounts it runs in; of the container's process: its mounts, its root, its program; the container's state.
                try writeFile(
                    "\(bundle.directory)/hook",
                    Array(
                        #"""
                        #!/bin/sh
                        pid=$(grep -o '"pid":[0-9]*' | cut -d: -f2)
                        own=$(readlink /proc/self/ns/mnt) runtime=$2
                        if [ "$own" = "$runtime" ]; then place=runtime; else place=container; fi
                        if [ "$place" = runtime ] && [ -n "$pid" ]; then
                            [ "$(readlink /proc/$pid/ns/mnt)" = "$own" ] || place="$place made"
                            if [ -e /proc/$pid/root\#(bundle.directory) ]; then place="$place outside"; else place="$place entered"; fi
                            case $(tr '\0' ' ' </proc/$pid/cmdline) in "sleep 1000 ") place="$place begun" ;; esac
                        fi
                        [ "$place" = runtime ] || [ -e \#(bundle.directory)/config.json ] || place="$place entered"
                        [ -e \#(bundle.state)/\#(bundle.name) ] || place="$place gone"
                        echo "$1: $place" >>\#(said)
                        """#.utf8), mode: 0o755)
                let runtime = try Host.run(["readlink", "/proc/self/ns/mnt"]).text
                func hook(_ kind: String, _ path: String) -> String {
                    #""\#(kind)":[{"path":"\#(path)","args":["hook","\#(kind)","\#(runtime)"],"env":["PATH=/bin:/usr/bin"]}]"#
                }
                let kinds = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"]
                let all = kinds.map { hook($0, "\(bundle.directory)/hook") }.joined(separator: ",")
                try bundle.configure(["sleep", "1000"], more: "\"hooks\":{\(all)},")
                try bundle.oci("create", bundle.name, code: 0)
                try bundle.oci("start", bundle.name, code: 0)
                try bundle.oci("delete", "--force", bundle.name, code: 0)
                try bundle.require(
                    contents(said) == """
                        prestart: runtime made outside
                        createRuntime: runtime made outside
                        createContainer: container
                        poststart: runtime made entered begun
                        poststop: runtime gone

                        """, contents(said))

                for kind in ["startContainer", "poststart"] {
                    try bundle.configure(["sleep", "1000"], more: "\"hooks\":{\(hook(kind, "/bin/false"))},")
                    try bundle.oci("create", bundle.name, code: 0)
                    let pid = try bundle.oci("state", bundle.name, code: 0).lines.first {
                        $0.contains("\"pid\"")
                    }
                    let started = try bundle.oci("start", bundle.name)
                    try bundle.require(
                        started.code == 1 && started.errors.contains("\(kind) hook /bin/false failed")
                            && started.errors.contains("exit status 1"), "\(started)")
                    let number = (pid ?? "").filter(\.isNumber)
                    try bundle.await("the container has ended") {
                        !number.isEmpty && contents("/proc/\(number)/cmdline").isEmpty
                    }
                    try bundle.oci("delete", "--force", bundle.name, code: 0)
                }
            }
        }

        @Test(
            "`start` tells of a startContainer hook, or of a program after it, that can't be run, and of no end of the program's"
        )
        func startHooks() throws {
            try Bundle.play { bundle in
                try writeFile("\(bundle.rootfs)/bin/no-program", Array("no program\n".utf8), mode: 0o755)
                for (hook, program, says) in [
                    ("/bin/true", ["sh", "-c", "exit 127"], nil),
                    ("/nosuch", ["true"], "ENOENT"), ("/bin/true", ["no-program"], "ENOEXEC"),
                ] {
                    try bundle.configure(
                        program,
                        more:
                            #""hooks":{"startContainer":[{"path":"/bin/true"},{"path":"\#(hook)"}]},"#)
                    try bundle.oci("create", bundle.name, code: 0)
                    let started = try bundle.oci("start", bundle.name, code: says == nil ? 0 : 1)
                    if let says {
                        try bundle.require(
                            started.errors.contains(
                                "startContainer hooks /bin/true, \(hook) failed: \(says)"),
                            "\(started)")
                    } else {
                        try bundle.await("it stops") { try bundle.status() == "stopped" }
                    }
                    try bundle.oci("delete", "--force", bundle.name, code: 0)
                }
            }
        }

        @Test("a startContainer hook, a program of the image, is under the container's filter")
        func filteredHook() throws {
            try Bundle.play { bundle in
                try bundle.configure(
                    ["true"], process: #""noNewPrivileges":true,"#,
                    linux: #"""
                        "seccomp":{"defaultAction":"SCMP_ACT_ALLOW",
                          "syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_KILL_PROCESS"}]},
                        """#,
                    more:
                        #""hooks":{"startContainer":[{"path":"/bin/sh","args":["sh","-c","mkdir /tmp/x"]}]},"#
                )
                let hooked = try bundle.oci("run", bundle.name, code: 1)
                try bundle.require(
                    hooked.errors.contains("startContainer hook")
                        && hooked.errors.contains("bad system call"),
                    "a hook is not under the filter: \(hooked)")
            }
        }

        @Test("a hook without variables of its own has the runtime's")
        func hookEnvironment() throws {
            try Bundle.play { bundle in
                let line = #"echo "$MINE" >>\#(bundle.directory)/said"#
                try bundle.configure(
                    ["true"],
                    more: #"""
                        "hooks":{"createRuntime":[{"path":"/bin/sh","args":["sh","-c","\#(line.replacing("\"", with: "\\\""))"]},
                          {"path":"/bin/sh","args":["sh","-c","\#(line.replacing("\"", with: "\\\""))"],"env":["MINE=own"]}]},
                        """#)
                try bundle.oci("run", bundle.name, code: 0, variables: ["MINE=callers"])
                let said = contents("\(bundle.directory)/said")
                try bundle.require(said == "callers\nown\n", said)
            }
        }
    }
}
