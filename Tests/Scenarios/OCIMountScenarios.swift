// SPDX-License-Identifier: Apache-2.0
//
// What the specification says of mounts and namespaces.

import Glibc
import Kernel
import Testing

extension Scenarios.OCISpec {
    @Test(
        "rootfsPropagation: private, slave, shared and unbindable are the root mount's; another word is an error"
    )
    func propagation() throws {
        try Bundle.play { bundle in
            // Shared on the host, for a slave of nobody looks as a private mount does.
            try Host.run(["mount", "--bind", bundle.rootfs, bundle.rootfs]).orThrow()
            defer { _ = try? Host.run(["umount", bundle.rootfs]) }
            try Host.run(["mount", "--make-shared", bundle.rootfs]).orThrow()
            let marks = ["shared:", "master:", "unbindable"]
            for (word, mark) in [
                ("private", nil), ("slave", "master:"), ("shared", "shared:"),
                ("unbindable", "unbindable"),
            ] {
                try bundle.configure(
                    ["grep", " / rw", "/proc/self/mountinfo"],
                    linux: #""rootfsPropagation":"\#(word)","#)
                let line = try bundle.oci("run", bundle.name, code: 0).text
                try bundle.require(
                    marks.filter { line.contains($0) } == [mark].compactMap { $0 }, "\(word): \(line)")
            }
            try bundle.configure(["true"], linux: #""rootfsPropagation":"upwards","#)
            let refused = try bundle.oci("run", bundle.name, code: 1)
            try bundle.require(refused.errors.contains("rootfsPropagation"), refused.errors)
        }
    }

    @Test(
        "mounts by every word a runtime must know; relative places; what isn't asked for is the runtime's own"
    )
    func mountWords() throws {
        try Bundle.play { bundle in
            try ensureDirectory("\(bundle.directory)/source")
            let words = [
                "async", "atime", "bind", "defaults", "dev", "diratime", "dirsync", "exec", "iversion",
                "lazytime", "loud", "noatime", "nodev", "nodiratime", "noexec", "noiversion",
                "nolazytime",
                "norelatime", "nostrictatime", "nosuid", "private", "rbind", "relatime", "ro", "rprivate",
                "rshared", "rslave", "runbindable", "rw", "shared", "silent", "slave", "strictatime",
                "suid",
                "sync", "unbindable",
            ]
            let binds = words.enumerated().map { index, word in
                #"{"destination":"/w/\#(index)","type":"none","source":"source","options":["rbind","\#(word)"]}"#
            }
            let score = contents("/proc/self/oom_score_adj").split(separator: "\n").first ?? ""
            try bundle.configure(
                [
                    "sh", "-c",
                    "ls /w | wc -l; grep -c ' /relative ' /proc/self/mountinfo; cat /proc/self/oom_score_adj; readlink /proc/self/ns/net; cd /dev; stat -c '%n=%t:%T' null zero full random urandom tty | tr '\\n' ' '; readlink ptmx; touch /w/23/x 2>/dev/null || echo ro",
                ],
                mounts: ","
                    + (binds + [
                        #"{"destination":"relative","type":"tmpfs","source":"t","options":["sync","dirsync","lazytime","mode=755"]}"#
                    ]).joined(separator: ","),
                namespaces: ["pid", "mount", "uts"], cgroup: "/../\(bundle.name)/../\(bundle.name)-b")
            let lines = try bundle.oci("run", bundle.name, code: 0).lines
            let net = try Host.run(["readlink", "/proc/self/ns/net"]).text
            try bundle.require(
                lines.count == 6
                    && lines == [
                        "\(words.count)", "1", String(score), net,
                        "null=1:3 zero=1:5 full=1:7 random=1:8 urandom=1:9 tty=5:0 pts/ptmx", "ro",
                    ], "\(lines)")
        }
    }

    @Test(
        "a namespace type that isn't listed is the runtime's own, the mounts' too; delete leaves none of them"
    )
    func inherited() throws {
        try Bundle.play { bundle in
            let id = bundle.name
            let own = try Host.run([
                "sh", "-c",
                "for n in mnt net uts ipc cgroup user; do readlink /proc/self/ns/$n; done; hostname",
            ]).lines
            let look =
                "for n in mnt net uts ipc cgroup user; do readlink /proc/self/ns/$n; done; hostname"
            try bundle.configure(
                ["sh", "-c", look + "; ls /usr/lib | wc -l; cat /proc/1/comm >/seen; exec sleep 1000"],
                namespaces: [])
            let text = contents("\(bundle.directory)/config.json").replacing(
                "\"hostname\":\"bundle\",", with: "")
            try writeFile("\(bundle.directory)/config.json", Array(text.utf8))
            func mounts() -> Int {
                contents("/proc/self/mountinfo").split(separator: "\n").count {
                    $0.contains(bundle.directory)
                }
            }
            try bundle.oci("create", id, code: 0)
            try bundle.require(mounts() > 3, "its mounts are not ours")
            try bundle.oci("start", id, code: 0)
            try bundle.await("it runs") { !contents("\(bundle.rootfs)/seen").isEmpty }
            let exec = try bundle.oci("exec", id, "sh", "-c", "\(look); ls -d /seen", code: 0)
            try bundle.require(exec.lines == own + ["/seen"], "\(exec) for \(own)")
            // A mount of the user's above ours is not ours to take off.
            try bundle.oci("kill", id, "KILL", code: 0)
            try bundle.await("it stops") { try bundle.status() == "stopped" }
            try Host.run(["mount", "-t", "tmpfs", "tmpfs", bundle.rootfs]).orThrow()
            let covered = try bundle.oci("delete", id, code: 1)
            try bundle.require(covered.errors.contains("something else is mounted"), covered.errors)
            try Host.run(["umount", bundle.rootfs]).orThrow()
            try bundle.oci("delete", id, code: 0)
            try bundle.require(mounts() == 0, "a mount is left")
            // Those that are listed are all new; the root is to be read alone.
            try bundle.configure(
                [
                    "sh", "-c",
                    "for n in mnt net uts ipc cgroup pid time; do readlink /proc/self/ns/$n; done; touch /x",
                ],
                namespaces: ["mount", "network", "uts", "ipc", "cgroup", "pid", "time"])
            try writeFile(
                "\(bundle.directory)/config.json",
                Array(
                    contents("\(bundle.directory)/config.json").replacing(
                        #""path":"rootfs""#, with: #""path":"rootfs","readonly":true"#
                    ).utf8))
            let whole = try bundle.oci("run", id, code: 1)
            try bundle.require(whole.errors.contains("Read-only file system"), "\(whole)")
            let new = whole.lines
            let host = try Host.run([
                "sh", "-c",
                "for n in mnt net uts ipc cgroup pid time; do readlink /proc/self/ns/$n; done",
            ]).lines
            try bundle.require(
                new.count == 7 && zip(new, host).allSatisfy { $0 != $1 }, "\(new) in \(host)")
            // A bind is no peer of what it was made of: what is mounted in it is not mounted there.
            let shared = "\(bundle.directory)/shared"
            try ensureDirectory("\(shared)/in")
            try Host.run(["mount", "-t", "tmpfs", "tmpfs", shared]).orThrow()
            try Host.run(["mkdir", "\(shared)/in"]).orThrow()
            try Host.run(["mount", "--make-shared", shared]).orThrow()
            let before = mounts()
            try writeFile(
                "\(bundle.directory)/config.json",
                Array(
                    text.replacing(
                        #""mounts":["#,
                        with:
                            #""mounts":[{"destination":"/s","source":"\#(shared)","options":["rbind"]},{"destination":"/s/in","type":"tmpfs","source":"tmpfs"},"#
                    ).utf8))
            try bundle.oci("create", id, code: 0)
            let made = contents("/proc/self/mountinfo").contains(" \(shared)/in ")
            try bundle.oci("delete", "--force", id, code: 0)
            try bundle.require(!made && mounts() == before, "a mount of the container's was the host's")
            try Host.run(["umount", shared]).orThrow()
            try writeFile(
                "\(bundle.directory)/config.json",
                Array(text.replacing(#""path":"rootfs""#, with: #""path":"/""#).utf8))
            let overHost = try bundle.oci("run", id, code: 1)
            try bundle.require(overHost.errors.contains("root.path"), overHost.errors)
            // A creation that fails leaves no mount, and neither does a run.
            try writeFile(
                "\(bundle.directory)/config.json",
                Array(text.replacing("\"sh\"", with: "\"nosuch\"").utf8))
            try bundle.oci("run", id, code: 1)
            try bundle.require(mounts() == 0, "a failed creation left a mount")
            let noPivot = try bundle.oci("run", "--no-pivot", id, code: 1)
            try bundle.require(noPivot.errors.contains("--no-pivot"), noPivot.errors)
        }
    }

    @Test("a filter that refuses newer calls is no hindrance; a read-only /dev has its devices")
    func oldFilter() throws {
        try Bundle.play { bundle in
            let filter = #"""
                "seccomp":{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
                  {"names":["close_range","openat2","faccessat2","clone3","pidfd_send_signal"],"action":"SCMP_ACT_ERRNO"}]},
                """#
            try bundle.configure(
                ["sh", "-c", "touch /dev/new 2>/dev/null || echo ro; ls /dev/null /dev/pts/ptmx"],
                linux: filter,
                mounts: #"""
                    ,{"destination":"/dev","type":"tmpfs","source":"tmpfs","options":["ro","mode=755"]}
                    ,{"destination":"/dev/pts","type":"devpts","source":"devpts","options":["newinstance","ptmxmode=0666"]}
                    """#)
            let outcome = try bundle.oci("run", bundle.name, code: 0)
            try bundle.require(
                outcome.lines == ["ro", "/dev/null", "/dev/pts/ptmx"], outcome.description)
            try bundle.configure(["sleep", "1000"], linux: filter)
            try bundle.oci("create", bundle.name, code: 0)
            try bundle.oci("start", bundle.name, code: 0)
            try bundle.await("it runs") { try bundle.status() == "running" }
            try bundle.oci("exec", bundle.name, "true", code: 0)
            try bundle.oci("kill", bundle.name, "KILL", code: 0)
            try bundle.await("it stops") { try bundle.status() == "stopped" }
            try bundle.oci("kill", "--all", bundle.name, "0", code: 0)
            try bundle.oci("kill", bundle.name, "0", code: 1)
        }
    }
}
