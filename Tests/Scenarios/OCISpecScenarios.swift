// SPDX-License-Identifier: Apache-2.0
//
// MUSTs of the OCI runtime specification that no other suite looks at: docs/conformance.md says which row is which test.

import Glibc
import Kernel
import Testing

extension Scenarios {
    @Suite("OCI specification")
    struct OCISpec {
        @Test(
            "operations without what they need are errors: id, bundle, root, process, a container that is there"
        )
        func incomplete() throws {
            try Bundle.play { bundle in
                let id = bundle.name
                try bundle.configure(["true"])
                for command in ["create", "start", "state", "kill", "delete", "run"] {
                    let refused = try bundle.oci(command)
                    try bundle.require(
                        refused.code != 0 && refused.errors.contains("cannot run `covey-oci \(command)`"),
                        "\(command) without a name: \(refused)")
                }
                for name in ["", "..", "a/b", "a b", String(repeating: "a", count: 2000)] {
                    let refused = try bundle.oci("create", name, code: 1)
                    try bundle.require(refused.errors.contains("invalid container ID"), refused.errors)
                }
                for command in ["start", "state", "kill", "delete"] {
                    let refused = try bundle.oci(command, id, code: 1)
                    try bundle.require(refused.errors.contains("does not exist"), refused.errors)
                }
                let none = try bundle.oci("create", "--bundle", "/no/such", id, code: 1)
                try bundle.require(none.errors.contains("no such file"), none.errors)
                for (root, says) in [
                    (#""root":{"path":"nowhere"},"#, "no such file"), ("", "root: it is missing"),
                    (#""root":{},"#, "root.path"),
                ] {
                    try writeFile(
                        "\(bundle.directory)/config.json",
                        Array(#"{\#(root)"ociVersion":"1.0.0","process":{"cwd":"/","args":["a"]}}"#.utf8))
                    let refused = try bundle.oci("create", id, code: 1)
                    try bundle.require(refused.errors.contains(says), refused.errors)
                }
                try bundle.require(
                    ((try? directoryEntries(bundle.state)) ?? []).isEmpty, "a refused creation left state")
            }
        }

        @Test(
            "a container without a process is made and can't be started; a later config.json changes nothing")
        func unchangeable() throws {
            try Bundle.play { bundle in
                let id = bundle.name
                let whole =
                    #"{"ociVersion":"1.0.0","root":{"path":"rootfs"},"linux":{"cgroupsPath":"/\#(id)","namespaces":[{"type":"mount"},{"type":"pid"}]}}"#
                try writeFile("\(bundle.directory)/config.json", Array(whole.utf8))
                try bundle.oci("create", id, code: 0)
                let refused = try bundle.oci("start", id, code: 1)
                try bundle.require(refused.errors.contains("no process"), refused.errors)
                try bundle.oci("delete", "--force", id, code: 0)

                try bundle.configure(
                    ["sh", "-c", "echo first >/said; exec sleep 1000"], more: #""annotations":{"a":"1"},"#)
                try bundle.oci("create", id, code: 0)
                try bundle.configure(["sh", "-c", "echo second >/said"], more: #""annotations":{"a":"2"},"#)
                try bundle.oci("start", id, code: 0)
                try bundle.await("the program writes") { contents("\(bundle.rootfs)/said") == "first\n" }
                let state = try bundle.oci("state", id, code: 0)
                try bundle.require(state.output.contains(#""a": "1""#), state.output)
                try bundle.oci("kill", id, "KILL", code: 0)
                try bundle.await("it stops") { try bundle.status() == "stopped" }
                try bundle.oci("delete", id, code: 0)
            }
        }

        @Test("consoleSize is the terminal's, and nothing without one; /dev/console is the terminal")
        func console() throws {
            try Bundle.play { bundle in
                let line = "stty size; ls -l /dev/console | cut -c1; test -t 0 && tty"
                let size = #""consoleSize":{"height":33,"width":111},"#
                try bundle.configure(["sh", "-c", line], process: size + #""terminal":true,"#)
                let shown = try bundle.oci("run", bundle.name, code: 0)
                try bundle.require(
                    shown.output.contains("33 111") && shown.output.contains("/dev/pts/"), shown.output)
                try bundle.configure(["sh", "-c", "test -t 0 || echo none"], process: size)
                try bundle.require(try bundle.oci("run", bundle.name, code: 0).text == "none", "a terminal")
            }
        }

        @Test("what the kernel has no means for is an error by name, and nothing is left")
        func refused() throws {
            try Bundle.play { bundle in
                let hasAppArmor = contents("/sys/module/apparmor/parameters/enabled").hasPrefix("Y")
                let hasSELinux = exists("/sys/fs/selinux/enforce")
                var cases: [(process: String, linux: String, says: String)] = [
                    (#""rlimits":[{"type":"RLIMIT_BOGUS","soft":1,"hard":1}],"#, "", "RLIMIT_BOGUS"),
                    (#""user":{"uid":4294967295},"#, "", "4294967295"),
                    ("", #""devices":[{"type":"c","path":"/etc/passwd","major":1,"minor":3}],"#, "EEXIST"),
                    ("", #""personality":{"domain":"LINUX","flags":["X"]},"#, "flags are not supported"),
                    ("", #""resources":{"unified":{"bogus.max":"1"}},"#, "bogus.max"),
                    (
                        "", #""resources":{"rdma":{"no0":{"hcaHandles":1}}},"#,
                        "rdma"
                    ),
                    (
                        "", #""resources":{"network":{"priorities":[{"name":"lo","priority":1}]}},"#,
                        "net_prio"
                    ),
                    (
                        "",
                        #""seccomp":{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_LOG","errnoRet":3}]},"#,
                        "errnoRet"
                    ),
                    (
                        "",
                        #""seccomp":{"defaultAction":"SCMP_ACT_ALLOW","listenerMetadata":"x"},"#,
                        "listenerMetadata"
                    ),
                    ("", #""intelRdt":{"closID":"x"},"#, "intelRdt"),
                    (
                        "", #""devices":[{"type":"c","path":"/dev/x","major":1,"minor":1048579}],"#,
                        "no number a device can have"
                    ),
                ]
                if !hasAppArmor { cases.append((#""apparmorProfile":"x","#, "", "apparmor")) }
                if !hasSELinux {
                    cases.append((#""selinuxLabel":"a:b:c","#, "", "selinux"))
                }
                if exists("/sys/fs/cgroup/net_prio") { cases.removeAll { $0.says == "net_prio" } }
                if exists("/sys/fs/cgroup/devices") {
                    let rule = #""type":"c","major":1,"access":"rwm""#
                    cases.append(
                        (
                            "",
                            #""resources":{"devices":[{"allow":false},{"allow":true,\#(rule)},{"allow":false,\#(rule),"minor":11}]},"#,
                            "denying c 1:11 rwm would cut a hole"
                        ))
                }
                for one in cases {
                    try bundle.configure(["true"], process: one.process, linux: one.linux)
                    let outcome = try bundle.oci("run", bundle.name, code: 1)
                    try bundle.require(outcome.errors.contains(one.says), "\(one): \(outcome.errors)")
                }
                let path = "PATH=" + (0..<512).map { "/\($0)" }.joined(separator: ":")
                try bundle.configure(["true"], environment: [path])
                let long = try bundle.oci("run", bundle.name, code: 1)
                try bundle.require(long.errors.contains("PATH has 512 directories"), long.errors)
                let words = Array(repeating: #""a""#, count: 2000).joined(separator: ",")
                try bundle.configure(
                    ["true"], more: #""hooks":{"startContainer":[{"path":"/bin/true","args":[\#(words)]}]},"#)
                let hooked = try bundle.oci("run", bundle.name, code: 1)
                try bundle.require(
                    hooked.errors.contains("hooks.startContainer[0]: more than 1999"), "\(hooked)")
                try bundle.configure(
                    ["true"],
                    linux:
                        #""uidMappings":[{"containerID":0,"hostID":0,"size":1}],"gidMappings":[{"containerID":0,"hostID":0,"size":1}],"#,
                    namespaces: ["user", "uts"])
                let alone = try bundle.oci("run", bundle.name, code: 1)
                try bundle.require(alone.errors.contains("mount namespace"), alone.errors)
                for (path, says) in [
                    ("/proc/self/ns/net", "EINVAL"), ("/etc/passwd", "EINVAL"), ("/no", "ENOENT"),
                ] {
                    try bundle.configure(
                        ["true"], namespaces: ["mount"],
                        extraNamespaces: #"{"type":"uts","path":"\#(path)"}"#)
                    let other = try bundle.oci("run", bundle.name, code: 1)
                    try bundle.require(other.errors.contains(says), other.errors)
                }
                try bundle.require(
                    ((try? directoryEntries(bundle.state)) ?? []).isEmpty, "a refused creation left state")
            }
        }

        @Test(
            "device rules count in their order; block I/O and huge pages are limited where the kernel has them"
        )
        func resources() throws {
            try Bundle.play { bundle in
                let disk = try Host.run(["sh", "-c", "cat /sys/block/*/dev | head -n 1"]).text
                let numbers = disk.split(separator: ":")
                let pages = contents("/proc/meminfo").split(separator: "\n").first {
                    $0.hasPrefix("Hugepagesize:")
                }
                let size = pages?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 2048
                let label = size >= 1024 ? "\(size / 1024)MB" : "\(size)KB"
                var more = ""
                if numbers.count == 2, hasController("blkio") || hasController("io") {
                    more +=
                        #","blockIO":{"throttleWriteBpsDevice":[{"major":\#(numbers[0]),"minor":\#(numbers[1]),"rate":1048576}]}"#
                }
                if hasController("hugetlb") {
                    more += #","hugepageLimits":[{"pageSize":"\#(label)","limit":\#(size * 1024)}]"#
                }
                // The last rule that speaks of it decides.
                try bundle.configure(
                    [
                        "sh", "-c",
                        "for d in 7:0 7:1; do mknod /tmp/d b ${d%:*} ${d#*:}; dd if=/tmp/d of=/dev/null count=0 2>&1 | grep -c 'not permitted'; rm /tmp/d; done",
                    ],
                    process:
                        #""capabilities":{"bounding":["CAP_MKNOD"],"permitted":["CAP_MKNOD"],"effective":["CAP_MKNOD"]},"#,
                    linux: #"""
                        "resources":{"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"b","major":7,"minor":0,"access":"rwm"},
                          {"allow":true,"type":"b","major":7,"minor":1,"access":"rwm"},
                          {"allow":false,"type":"b","major":7,"minor":1,"access":"rwm"}]\#(more)},
                        """#)
                let ruled = try bundle.oci("run", bundle.name, code: 0)
                try bundle.require(ruled.lines == ["0", "1"], ruled.description)
                try bundle.oci("create", bundle.name, code: 0)
                func limit(_ names: [String]) throws -> String? {
                    for name in names {
                        let found = try Host.run([
                            "find", "/sys/fs/cgroup", "-path", "*/\(bundle.name)/\(name)",
                        ])
                        if let path = found.lines.first { return contents(path) }
                    }
                    return nil
                }
                if more.contains("blockIO") {
                    let throttle = try limit(["io.max", "blkio.throttle.write_bps_device"]) ?? ""
                    try bundle.require(
                        throttle.contains(disk) && throttle.contains("1048576"), "throttle: \(throttle)")
                }
                if more.contains("hugepage") {
                    for kind in ["", ".rsvd"] {
                        let set = try limit([
                            "hugetlb.\(label)\(kind).max", "hugetlb.\(label)\(kind).limit_in_bytes",
                        ])
                        try bundle.require(set == nil || set == "\(size * 1024)\n", "\(set ?? "") \(kind)")
                    }
                }
            }
        }

        @Test(
            "exec: processors first and last, variables set anew, groups kept, descriptors that aren't there")
        func execution() throws {
            try Bundle.play { bundle in
                try bundle.configure(["sleep", "1000"], environment: ["PATH=/bin", "A=1"])
                try bundle.oci("run", "-d", bundle.name, code: 0)
                // On one processor alone, on the last one alone, and from one to the other: each word shows by itself.
                let last = (Int(try Host.run(["nproc", "--all"]).text) ?? 1) - 1
                for (initial, final, shown) in [("0", "", 0), ("\(last)", "", last), ("0", "\(last)", last)] {
                    try writeFile(
                        "\(bundle.directory)/process.json",
                        Array(
                            #"""
                            {"cwd":"/","args":["grep","Cpus_allowed_list","/proc/self/status"],"env":["PATH=/bin"],
                             "execCPUAffinity":{"initial":"\#(initial)","final":"\#(final)"}}
                            """#.utf8))
                    let bound = try bundle.oci("exec", "--process", "process.json", bundle.name, code: 0)
                    try bundle.require(bound.text == "Cpus_allowed_list:\t\(shown)", "\(bound)")
                }
                let seen = try bundle.oci(
                    "exec", "-e", "A=2", "-e", "A=3", "-e", "HOME=/h", "--preserve-fds", "3", bundle.name,
                    "sh", "-c",
                    "env | grep -c ^A=; echo $A $HOME; ls /proc/self/fd | wc -l",
                    code: 0)
                try bundle.require(seen.lines == ["1", "3 /h", "4"], seen.output)
                try writeFile(
                    "\(bundle.directory)/bad.json",
                    Array(#"{"cwd":"/","args":["true"],"execCPUAffinity":{"final":"99999"}}"#.utf8))
                let refused = try bundle.oci("exec", "--process", "bad.json", bundle.name, code: 255)
                try bundle.require(refused.errors.contains("99999"), refused.errors)
            }
        }

        @Test(
            "an occupied cgroup is told, a frozen one refused, and neither is touched by a creation that fails"
        )
        func occupied() throws {
            try Bundle.play { bundle in
                let second = "\(bundle.name)-b"
                try bundle.configure(["sleep", "1000"])
                try bundle.oci("run", "-d", bundle.name, code: 0)
                let warned = try bundle.oci("run", "-d", second, code: 0)
                try bundle.require(warned.errors.contains("cgroup is not empty: 1"), warned.errors)
                try bundle.oci("delete", "--force", second, code: 0)
                try bundle.configure(["true"])
                try bundle.oci("run", second, code: 0)
                try bundle.configure(["nosuch"])
                try bundle.oci("run", "\(bundle.name)-c", code: 1)
                try bundle.require(try bundle.status() == "running", "another's end killed it")
                try bundle.oci("exec", bundle.name, "true", code: 0)
                try bundle.oci("pause", bundle.name, code: 0)
                let refused = try bundle.oci("run", "\(bundle.name)-c", code: 1)
                try bundle.require(refused.errors.contains("frozen"), refused.errors)
                try bundle.require(try bundle.status() == "paused", "a refused creation thawed it")
                try bundle.configure(["true"], cgroup: "/..")
                let all = try bundle.oci("run", "\(bundle.name)-c", code: 1)
                try bundle.require(all.errors.contains("cgroup of all processes"), all.errors)
            }
        }

        @Test("a limit below what is used, and a burst above its quota, are refused and change nothing")
        func tooLittle() throws {
            try Bundle.play { bundle in
                try bundle.configure(
                    ["sh", "-c", "head -c 8000000 /dev/zero >/dev/shm.file; exec sleep 1000"],
                    linux:
                        #""resources":{"memory":{"limit":67108864},"cpu":{"quota":50000,"period":100000}},"#)
                try bundle.oci("run", "-d", bundle.name, code: 0)
                try bundle.oci("pause", bundle.name, code: 0)
                try writeFile(
                    "\(bundle.directory)/low.json",
                    Array(#"{"memory":{"limit":4096,"checkBeforeUpdate":true}}"#.utf8))
                let little = try bundle.oci("update", "-r", "low.json", bundle.name, code: 1)
                try bundle.require(little.errors.contains("memory.limit"), little.errors)
                let burst = try bundle.oci("update", "--cpu-burst", "60000", bundle.name, code: 1)
                try bundle.require(burst.errors.contains("cpu.burst"), burst.errors)
            }
        }
    }
}

/// True when this machine has a cgroup controller somewhere.
func hasController(_ controller: String) -> Bool {
    exists("/sys/fs/cgroup/\(controller)")
        || contents("/sys/fs/cgroup/unified/cgroup.controllers").split(whereSeparator: \.isWhitespace)
            .contains(Substring(controller))
        || contents("/sys/fs/cgroup/cgroup.controllers").split(whereSeparator: \.isWhitespace)
            .contains(Substring(controller))
}
