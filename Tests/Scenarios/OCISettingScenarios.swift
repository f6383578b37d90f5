// SPDX-License-Identifier: Apache-2.0
//
// What a bundle can say, seen from inside: namespaces new and joined, maps, offsets, mounts of every kind, devices, the
// process's settings, seccomp.

import Glibc
import Kernel
import Testing

extension Scenarios {
    @Suite("OCI settings")
    struct OCISettings {
        @Test("a user namespace with maps: root inside, nobody's root outside, devices and sources reachable")
        func users() throws {
            try Bundle.play { bundle in
                let maps = #"[{"containerID":0,"hostID":100000,"size":65536}]"#
                try bundle.configure(
                    [
                        "sh", "-c",
                        "cat /proc/self/uid_map; id -u; echo x >/dev/null && echo null; cat /host; cat /proc/self/oom_score_adj",
                    ],
                    process: #""oomScoreAdj":77,"#, linux: #""uidMappings":\#(maps),"gidMappings":\#(maps),"#,
                    mounts:
                        #",{"destination":"/host","type":"bind","source":"secret","options":["bind","ro"]}"#,
                    namespaces: ["pid", "network", "ipc", "uts", "mount", "user"])
                try writeFile("\(bundle.directory)/secret", Array("seen\n".utf8), mode: 0o644)
                // A mount point can't be made by who is nobody in the root file system.
                try writeFile("\(bundle.rootfs)/host", [])
                let lines = try bundle.oci("run", bundle.name, code: 0).lines
                try bundle.require(
                    lines.count == 5 && lines[0].hasSuffix("65536") && lines[1] == "0"
                        && Array(lines[2...]) == ["null", "seen", "77"], "\(lines)")
                try bundle.configure(["true"], linux: #""uidMappings":\#(maps),"gidMappings":\#(maps),"#)
                let refused = try bundle.oci("run", bundle.name, code: 1)
                try bundle.require(refused.errors.contains("user namespace"), refused.errors)
            }
        }

        @Test("namespaces by path: a second container lives in the first one's, and exec finds its way")
        func joined() throws {
            try Bundle.play { bundle in
                let maps = #"[{"containerID":0,"hostID":100000,"size":1000}]"#
                let offsets = #""timeOffsets":{"monotonic":{"secs":7881},"boottime":{"secs":1337}},"#
                try bundle.configure(
                    ["sleep", "1000"], linux: #""uidMappings":\#(maps),"gidMappings":\#(maps),\#(offsets)"#,
                    namespaces: ["pid", "network", "ipc", "uts", "mount", "user", "time"])
                try bundle.oci("run", "-d", "--pid-file", "\(bundle.directory)/pid", bundle.name, code: 0)
                let pid = contents("\(bundle.directory)/pid")
                let names = [
                    "pid": "pid", "network": "net", "ipc": "ipc", "uts": "uts", "user": "user",
                    "time": "time",
                ]
                let paths = names.map { #"{"type":"\#($0.key)","path":"/proc/\#(pid)/ns/\#($0.value)"}"# }
                try bundle.configure(
                    ["sleep", "1000"], namespaces: ["mount"],
                    extraNamespaces: paths.sorted().joined(separator: ","),
                    cgroup: "/\(bundle.name)-b")
                let second = "\(bundle.name)-b"
                try bundle.oci("run", "-d", second, code: 0)
                let seen = try bundle.oci(
                    "exec", second, "sh", "-c", "cat /proc/self/timens_offsets /proc/self/uid_map; ps",
                    code: 0)
                try bundle.require(
                    seen.output.contains("7881") && seen.output.contains("1337")
                        && seen.output.contains("100000")
                        && seen.lines.filter { $0.contains("sleep 1000") }.count == 2, seen.output)
                try bundle.oci("delete", "--force", second, code: 0)
            }
        }

        @Test(
            "mounts: read-only, recursive attributes, id-mapped, tmpcopyup, propagation, links in the image stay inside"
        )
        func mounts() throws {
            try Bundle.play { bundle in
                let beneath = "\(bundle.directory)/source/beneath"
                try ensureDirectory(beneath)
                try Host.run(["mount", "-t", "tmpfs", "tmpfs", beneath]).orThrow()
                defer { _ = try? Host.run(["umount", beneath]) }
                for place in [beneath, "\(bundle.directory)/source"] {
                    try writeFile("\(place)/file", Array("x".utf8))
                    try Host.run(["chown", "1000:1000", "\(place)/file"]).orThrow()
                }
                try Host.run(["chmod", "1711", beneath]).orThrow()
                try Host.run(["ln", "-s", "/etc", "\(bundle.rootfs)/climb"]).orThrow()
                let map = #"[{"containerID":1000,"hostID":5000,"size":1}]"#
                try bundle.configure(
                    [
                        "sh", "-c",
                        "stat -c %u /mapped/file /mapped/beneath/file /each/file /each/beneath/file; ls /bin/busybox; touch /bin/new && echo own; for d in plain plain/beneath top top/beneath; do touch /$d/y 2>/dev/null && echo $d; done; grep ' /plain ' /proc/self/mountinfo | grep -c master: ; ls /etc/inner; stat -c %a /mode /filled/beneath /over/beneath; ls /filled/beneath /over/beneath",
                    ],
                    mounts: #"""
                        ,{"destination":"/mapped","type":"bind","source":"source","options":["rbind","idmap"],"uidMappings":\#(map),"gidMappings":\#(map)}
                        ,{"destination":"/each","type":"bind","source":"source","options":["rbind","ridmap"],"uidMappings":\#(map),"gidMappings":\#(map)}
                        ,{"destination":"/filled","type":"bind","source":"source","options":["rbind"]}
                        ,{"destination":"/filled/beneath","type":"tmpfs","source":"tmpfs","options":["tmpcopyup"]}
                        ,{"destination":"/over/","type":"bind","source":"source","options":["rbind"]}
                        ,{"destination":"//over/./beneath/","type":"tmpfs","source":"tmpfs"}
                        ,{"destination":"/top","type":"bind","source":"source","options":["rbind"]}
                        ,{"destination":"/top","options":["bind","remount","ro"]}
                        ,{"destination":"/bin","type":"tmpfs","source":"tmpfs","options":["tmpcopyup","size=16m"]}
                        ,{"destination":"/plain","type":"bind","source":"source","options":["rbind","rro","rprivate"]}
                        ,{"destination":"/climb/inner","type":"bind","source":"source/file","options":["bind"]}
                        ,{"destination":"/mode","type":"tmpfs","source":"tmpfs","options":["mode=0750"]}
                        """#)
                let outcome = try bundle.oci("run", bundle.name, code: 0)
                try bundle.require(
                    outcome.lines == [
                        "5000", "1000", "5000", "5000", "/bin/busybox", "own", "top/beneath", "0",
                        "/etc/inner", "750", "1711", "1711", "/filled/beneath:", "file", "/over/beneath:",
                    ], outcome.description)
                try bundle.require(
                    !exists("/etc/inner") && !exists("\(bundle.rootfs)/bin/new"), "outside was touched")
                for (mount, says) in [
                    (
                        #"{"destination":"/x","type":"bind","source":"/no/such","options":["bind"]}"#,
                        "no such file"
                    ),
                    (
                        #"{"destination":"/proc/self/attr","type":"bind","source":"source/file","options":["bind"]}"#,
                        "EPERM"
                    ),
                    (#"{"destination":"/x","options":[]}"#, "neither a type"),
                    (#"{"destination":"//","type":"tmpfs","source":"tmpfs"}"#, "would never be seen"),
                    (
                        #"{"destination":"/proc/x","type":"tmpfs","source":"tmpfs","options":["tmpcopyup"]}"#,
                        "made by another mount"
                    ),
                ] {
                    try bundle.configure(["true"], mounts: ",\(mount)")
                    let refused = try bundle.oci("run", bundle.name, code: 1)
                    try bundle.require(refused.errors.contains(says), refused.errors)
                }
            }
        }

        @Test("in a /dev that is bound no device is made or changed, however its place is written")
        func foreignDev() throws {
            try Bundle.play { bundle in
                let dev = "\(bundle.directory)/dev"
                try ensureDirectory("\(dev)/pts")
                try Host.run(["mknod", "-m", "600", "\(dev)/null", "c", "1", "3"]).orThrow()
                try Host.run(["mknod", "-m", "600", "\(dev)/fuse", "c", "10", "229"]).orThrow()
                let devices = ["fuse", "none"].map {
                    #"{"type":"c","path":"/dev/\#($0)","major":10,"minor":229}"#
                }
                let maps = ["uid", "gid"].map {
                    #""\#($0)Mappings":[{"containerID":0,"hostID":0,"size":65536}],"#
                }.joined()
                for (place, users) in [("/dev", false), ("/dev/", false), ("dev//.", false), ("/dev", true)] {
                    try bundle.configure(
                        ["true"],
                        linux: #""devices":[\#(devices.joined(separator: ","))],"# + (users ? maps : ""),
                        namespaces: ["pid", "ipc", "uts", "mount"] + (users ? ["user"] : []),
                        ownDevices: false)
                    let text = contents("\(bundle.directory)/config.json").replacing(
                        #""mounts":["#,
                        with: #""mounts":[{"destination":"\#(place)","source":"dev","options":["rbind"]},"#)
                    try writeFile("\(bundle.directory)/config.json", Array(text.utf8))
                    let outcome = try bundle.oci("run", bundle.name, code: 0)
                    try bundle.require(
                        outcome.errors.contains("device /dev/none is not there")
                            && !outcome.errors.contains("/dev/fuse"), "\(place): \(outcome)")
                    let now = try Host.run(["stat", "-c", "%n %a", "\(dev)/null", "\(dev)/fuse"]).text
                    let names = try directoryEntries(dev).sorted()
                    try bundle.require(
                        now == "\(dev)/null 600\n\(dev)/fuse 600" && names == ["fuse", "null", "pts"],
                        "\(place): \(now) \(names)")
                }
            }
        }

        @Test(
            "masked and read-only paths lead by links of the image to places in it, and by none into /proc or out"
        )
        func linkedPaths() throws {
            try Bundle.play { bundle in
                try ensureDirectory("\(bundle.rootfs)/data/in")
                try writeFile("\(bundle.rootfs)/data/secret", Array("secret\n".utf8))
                for (target, name) in [
                    ("/data/secret", "direct"), ("/data", "way"), ("/nowhere", "none"), ("/proc", "kernel"),
                ] {
                    try Host.run(["ln", "-s", target, "\(bundle.rootfs)/\(name)"]).orThrow()
                }
                let all =
                    #""maskedPaths":["/direct","/way/missing","/none"],"readonlyPaths":["/way/in","/none/x"],"#
                try bundle.configure(
                    [
                        "sh", "-c",
                        "cat /data/secret; touch /data/in/x 2>/dev/null || echo ro; touch /data/x && echo rw",
                    ],
                    linux: all)
                let outcome = try bundle.oci("run", bundle.name, code: 0)
                try bundle.require(outcome.lines == ["ro", "rw"], "\(outcome)")
                for path in ["/kernel/version", "/proc/self/stat"] {
                    try bundle.configure(["true"], linux: #""maskedPaths":["\#(path)"],"#)
                    let refused = try bundle.oci("run", bundle.name, code: 1)
                    try bundle.require(refused.errors.contains("ELOOP"), "\(path): \(refused)")
                }
            }
        }

        @Test("an image whose /dev or /proc is a link changes nothing of the host")
        func hostileRoot() throws {
            try Bundle.play { bundle in
                let victim = "\(bundle.directory)/victim"
                try ensureDirectory(victim)
                for target in [victim, "../../../../../../..\(victim)"] {
                    try removeTree("\(bundle.rootfs)/dev")
                    try Host.run(["ln", "-sfn", target, "\(bundle.rootfs)/dev"]).orThrow()
                    try bundle.configure(["true"])
                    try bundle.oci("run", bundle.name)
                    try bundle.require(
                        try directoryEntries(victim).isEmpty, "the host's directory was written")
                }
                try Host.run(["rm", "\(bundle.rootfs)/dev"]).orThrow()
                try ensureDirectory("\(bundle.rootfs)/dev")
                try Host.run(["rm", "-rf", "\(bundle.rootfs)/proc"]).orThrow()
                try Host.run(["ln", "-s", "/tmp", "\(bundle.rootfs)/proc"]).orThrow()
                try bundle.configure(["true"])
                let refused = try bundle.oci("run", bundle.name, code: 1)
                try bundle.require(refused.errors.contains("ELOOP"), refused.errors)
            }
        }

        @Test(
            "each word of a bind is a flag of its mount; one that nobody knows is told, and so is nothing else"
        )
        func mountFlags() throws {
            try Bundle.play { bundle in
                try ensureDirectory("\(bundle.directory)/source")
                let words = [
                    "ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "nosymfollow", "relatime",
                    "shared",
                    "unbindable", "rw", "suid", "dev", "exec",
                ]
                let binds = words.enumerated().map { index, word in
                    #"{"destination":"/w/\#(index)","source":"source","options":["bind","\#(word)","sync","lazytime"]}"#
                }
                let wrong = #"{"destination":"/wrong","source":"source","options":["bind","nosiud","ro"]}"#
                try bundle.configure(
                    ["cat", "/proc/self/mountinfo"], mounts: "," + (binds + [wrong]).joined(separator: ","))
                let outcome = try bundle.oci("run", bundle.name, code: 0)
                func flags(_ place: String) -> [String] {
                    let line = outcome.lines.first { $0.contains(" \(place) ") } ?? ""
                    let fields = line.split(separator: " ")
                    return fields.count < 7
                        ? [] : fields[5].split(separator: ",").map(String.init) + [String(fields[6])]
                }
                for (index, word) in words.enumerated() {
                    let found = flags("/w/\(index)")
                    let isThere =
                        switch word {
                        case "shared": found.last?.hasPrefix("shared:") == true
                        case "suid", "dev", "exec": !found.contains("no\(word)")
                        default: found.contains(word)
                        }
                    try bundle.require(!found.isEmpty && isThere, "\(word): \(found)")
                }
                try bundle.require(flags("/wrong").contains("ro"), "\(flags("/wrong"))")
                try bundle.require(
                    outcome.errors.contains("/wrong: unknown option \"nosiud\"")
                        && !outcome.errors.contains("sync") && !outcome.errors.contains("lazytime"),
                    outcome.errors)
            }
        }

        @Test("sixty binds in a user namespace, 1200 in none, sysctls where the pid namespace is the host's")
        func many() throws {
            try Bundle.play { bundle in
                try ensureDirectory("\(bundle.directory)/source")
                func binds(_ count: Int) -> String {
                    (0..<count).map { #",{"destination":"/w/\#($0)","source":"source","options":["bind"]}"# }
                        .joined()
                }
                let maps = ["uid", "gid"].map {
                    #""\#($0)Mappings":[{"containerID":0,"hostID":0,"size":65536}],"#
                }.joined()
                try bundle.configure(
                    ["sh", "-c", "ls /w | wc -l; cat /proc/sys/net/ipv4/ip_forward"],
                    linux: maps + #""sysctl":{"net.ipv4.ip_forward":"1"},"#, mounts: binds(70),
                    namespaces: ["user", "mount", "network", "ipc", "uts"])
                // A procfs of the host's pid namespace is not to be had there: the host's own is bound.
                let text = contents("\(bundle.directory)/config.json").replacing(
                    #"{"destination":"/proc","type":"proc","source":"proc"}"#,
                    with: #"{"destination":"/proc","source":"/proc","options":["rbind"]}"#)
                try writeFile("\(bundle.directory)/config.json", Array(text.utf8))
                let inUsers = try bundle.oci("run", bundle.name, code: 0)
                try bundle.require(inUsers.lines == ["70", "1"], "\(inUsers)")
                try bundle.configure(["sh", "-c", "ls /w | wc -l"], mounts: binds(1200))
                try bundle.require(
                    try bundle.oci("run", bundle.name, code: 0).text == "1200", "not all mounted")
                try bundle.configure(["true"], environment: ["PATH=:"])
                let nowhere = try bundle.oci("run", bundle.name, code: 1)
                try bundle.require(nowhere.errors.contains("not found in $PATH"), "\(nowhere)")
            }
        }

        @Test(
            "working directories and descriptors: none of ours inside, none reached by /proc/self/fd (CVE-2024-21626)"
        )
        func descriptors() throws {
            try Bundle.play { bundle in
                try bundle.require(
                    try bundle.run("ls /proc/self/fd").split(separator: "\n").count == 4,
                    "descriptors are inside")
                try bundle.configure(["sleep", "1000"])
                try bundle.oci("run", "-d", bundle.name, code: 0)
                for number in [3, 4, 5, 6, 7, 8, 9, 10, 12, 20] {
                    try bundle.oci("exec", "--cwd", "/proc/self/fd/\(number)", bundle.name, "true", code: 255)
                }
                let inside = try bundle.oci("exec", bundle.name, "ls", "/proc/self/fd", code: 0)
                try bundle.require(inside.lines.count == 4, inside.output)
            }
        }

        @Test(
            "the process: capabilities in five sets, ids, umask, limits, scheduler, I/O priority, personality, scores"
        )
        func process() throws {
            try Bundle.play { bundle in
                // CHOWN 0, FOWNER 3, KILL 5, SETGID 6, SETUID 7 of capability.h.
                try bundle.configure(
                    [
                        "sh", "-c",
                        "grep NoNew /proc/self/status; id -u; id -G; umask; grep 'open files' /proc/self/limits; uname -m; cat /proc/self/oom_score_adj; cut -d' ' -f19,41 /proc/self/stat",
                    ],
                    process: #"""
                        "user":{"uid":12,"gid":13,"umask":23,"additionalGids":[14,15]},"noNewPrivileges":true,"oomScoreAdj":200,
                        "capabilities":{"bounding":["CAP_KILL","CAP_CHOWN","CAP_SETUID","CAP_SETGID","CAP_FOWNER"],
                          "permitted":["CAP_KILL","CAP_CHOWN","CAP_SETUID","CAP_SETGID"],"effective":["CAP_KILL","CAP_CHOWN","CAP_FOWNER"],
                          "inheritable":["CAP_KILL","CAP_SETUID"],"ambient":["CAP_KILL","CAP_CHOWN","CAP_NO_SUCH"]},
                        "rlimits":[{"type":"RLIMIT_NOFILE","soft":77,"hard":88}],"scheduler":{"policy":"SCHED_BATCH","nice":5},
                        "ioPriority":{"class":"IOPRIO_CLASS_BE","priority":6},
                        """#, linux: #""personality":{"domain":"LINUX32"},"#)
                let outcome = try bundle.oci("run", bundle.name, code: 0)
                let machine = try Host.run(["uname", "-m"]).text
                let shown = outcome.lines.map { $0.split(separator: " ").joined(separator: " ") }
                try bundle.require(
                    shown == [
                        "NoNewPrivs:\t1", "12", "13 14 15", "0027", "Max open files 77 88 files",
                        machine == "x86_64" || shown.count < 6 ? "i686" : shown[5], "200", "5 3",
                    ], outcome.description)
                // What can't be granted is told by name.
                try bundle.require(
                    outcome.errors.contains("unavailable capabilities: CAP_NO_SUCH\n")
                        && outcome.errors.contains("and inheritable: CAP_CHOWN, CAP_FOWNER\n"),
                    outcome.errors)
                // Before the program: by its execve(2) the sets of who is not root become those of the ambient one.
                try bundle.oci("create", "--pid-file", "pid", bundle.name, code: 0)
                let pid = contents("\(bundle.directory)/pid")
                let sets = contents("/proc/\(pid)/status").split(separator: "\n").filter {
                    $0.hasPrefix("Cap")
                }.map { String($0.suffix(2)) }
                try bundle.require(sets == ["a0", "e1", "21", "e9", "20"], "\(sets)")
                let priority = try Host.run(["ionice", "-p", pid]).text
                try bundle.require(priority == "best-effort: prio 6", priority)
            }
        }

        @Test(
            "seccomp: errno, argument operators, other architectures; a notification without a listener is refused"
        )
        func seccomp() throws {
            try Bundle.play { bundle in
                try bundle.configure(
                    [
                        "sh", "-c",
                        "mkdir /tmp/a; chmod 0700 /tmp; chmod 0711 /tmp; grep Seccomp: /proc/self/status",
                    ],
                    linux: #"""
                        "seccomp":{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_AARCH64"],
                          "flags":["SECCOMP_FILTER_FLAG_LOG"],"syscalls":[
                          {"names":["mkdir","mkdirat","no_such_call"],"action":"SCMP_ACT_ERRNO","errnoRet":28},
                          {"names":["chmod"],"action":"SCMP_ACT_ERRNO","errnoRet":7,"args":[{"index":1,"value":448,"op":"SCMP_CMP_EQ"}]},
                          {"names":["fchmodat"],"action":"SCMP_ACT_ERRNO","errnoRet":7,"args":[{"index":2,"value":448,"op":"SCMP_CMP_EQ"}]}]},
                        """#)
                let outcome = try bundle.oci("run", bundle.name, code: 0)
                try bundle.require(
                    outcome.errors.contains("No space left")
                        && outcome.errors.contains("Argument list too long")
                        && outcome.output == "Seccomp:\t2\n", outcome.description)
                try bundle.require(outcome.errors.split(separator: "\n").count == 2, outcome.errors)
                try bundle.configure(
                    ["true"],
                    linux:
                        #""seccomp":{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_NOTIFY"}]},"#
                )
                let refused = try bundle.oci("run", bundle.name, code: 1)
                try bundle.require(refused.errors.contains("listenerPath"), refused.errors)
            }
        }

        @Test("sysctls, devices, masks, read-only paths, names; what has no namespace of its own is refused")
        func kernel() throws {
            try Bundle.play { bundle in
                try bundle.configure(
                    [
                        "sh", "-c",
                        "cat /proc/sys/net/ipv4/ip_forward; hostname; cat /proc/sys/kernel/domainname; stat -c '%t %T %a %u %g' /dev/thing; cat /proc/keys | wc -c; echo 1 2>/dev/null >/proc/sys/net/ipv4/ip_forward || echo ro",
                    ],
                    linux: #"""
                        "sysctl":{"net.ipv4.ip_forward":"1"},"maskedPaths":["/proc/keys","/no/such"],"readonlyPaths":["/proc/sys"],
                        "devices":[{"type":"c","path":"/dev/thing","major":1,"minor":3,"fileMode":416,"uid":7,"gid":8}],
                        """#, more: #""domainname":"dom","#)
                let outcome = try bundle.oci("run", bundle.name, code: 0)
                try bundle.require(
                    outcome.lines == ["1", "bundle", "dom", "1 3 640 7 8", "0", "ro"], outcome.description)
                for sysctl in ["kernel.hostname", "vm.swappiness", "net/../kernel", "kernel.foo"] {
                    try bundle.configure(["true"], linux: #""sysctl":{"\#(sysctl)":"1"},"#)
                    let refused = try bundle.oci("run", bundle.name, code: 1)
                    try bundle.require(
                        refused.errors.contains("not in a separate kernel namespace"), refused.errors)
                }
                for field in ["intelRdt", "memoryPolicy", "netDevices"] {
                    try bundle.configure(["true"], linux: #""\#(field)":{},"#)
                    let refused = try bundle.oci("run", bundle.name, code: 1)
                    try bundle.require(refused.errors.contains("linux.\(field)"), refused.errors)
                }
            }
        }
    }
}
