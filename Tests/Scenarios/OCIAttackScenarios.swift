// SPDX-License-Identifier: Apache-2.0
//
// Attacks on `covey oci` from inside a bundle's container, and by whoever can write to its root file system while it is
// being mounted: what fails is that one gets through.

import Glibc
import Kernel
import Testing

extension Scenarios {
    @Suite("attacks on bundles")
    struct BundleAttacks {
        @Test(
            "hooks, the first program and exec hold nothing of ours, and inherit no capability (CVE-2024-21626, CVE-2022-29162)"
        )
        func born() throws {
            try Bundle.play { bundle in
                let kinds = [
                    "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop",
                ]
                let hooks = kinds.map { kind in
                    let (shell, root) =
                        kind == "startContainer" ? ("/bin/sh", "") : ("/bin/sh", bundle.rootfs)
                    let line = "\(root)/bin/attacker born >\(root)/tmp/\(kind)"
                    return #""\#(kind)":[{"path":"\#(shell)","args":["sh","-c","\#(line)"]}]"#
                }
                try bundle.configure(
                    ["sh", "-c", "attacker born >/tmp/main; exec sleep 1000"],
                    more: #""hooks":{\#(hooks.joined(separator: ","))},"#)
                try bundle.oci("run", "-d", bundle.name, code: 0)
                let exec = try bundle.oci("exec", bundle.name, "attacker", "born", code: 0)
                try bundle.require(holdsNothing(exec.output + "Groups: 0"), "exec: \(exec)")
                let asked = try bundle.oci(
                    "exec", "--cap", "CAP_NET_RAW", bundle.name, "attacker", "born", code: 0)
                try bundle.require(holdsNothing(asked.output + "Groups: 0"), "exec --cap: \(asked)")
                try bundle.oci("delete", "--force", bundle.name, code: 0)
                for way in ["main"] + kinds {
                    let text = contents("\(bundle.rootfs)/tmp/\(way)") + "Groups: 0"
                    try bundle.require(holdsNothing(text), "\(way): \(text)")
                }
            }
        }

        /// The loader and libraries are an attacker's to bring, so they are there: without them executing the binary would
        /// fail whatever protects it.
        @Test(
            "a program, script, loader or startContainer hook that is /proc/self/exe is no binary of the host, also under a filter without execveat (CVE-2019-5736)"
        )
        func ownBinary() throws {
            try Bundle.play { bundle in
                let binary = Host.covey ?? "covey"
                let before = try Host.run(["sha256sum", binary]).text
                try takeLibraries(of: binary, into: bundle.rootfs)
                try Host.run(["cp", binary, "\(bundle.rootfs)/copy"]).orThrow()
                try bundle.configure(["/copy", "--help"])
                let possible = try bundle.oci("run", bundle.name, code: 0)
                try bundle.require(possible.output.contains("Usage"), "it would not run anyway: \(possible)")

                for (name, interpreter) in [("script", "/proc/self/exe"), ("nested", "/script")] {
                    try writeFile(
                        "\(bundle.rootfs)/\(name)", Array("#! \(interpreter) --help\n".utf8), mode: 0o755)
                }
                try Host.run(["ln", "-s", "/proc/self/exe", "\(bundle.rootfs)/link"]).orThrow()
                let programs = ["/proc/self/exe", "/link", "/script", "/nested"]
                for filter in ["", refusingExecveat] {
                    for program in programs {
                        try bundle.configure([program, "--help"], linux: filter)
                        let first = try bundle.oci("run", bundle.name)
                        try bundle.require(first.code != 0 && first.output.isEmpty, "\(first)")
                        let hook = #"{"path":"\#(program)","args":["covey","--help"]}"#
                        try bundle.configure(
                            ["true"], linux: filter, more: #""hooks":{"startContainer":[\#(hook)]},"#)
                        let hooked = try bundle.oci("run", bundle.name)
                        try bundle.require(hooked.code != 0 && hooked.output.isEmpty, "\(hooked)")
                    }
                    try bundle.configure(["sleep", "1000"], linux: filter)
                    try bundle.oci("run", "-d", bundle.name, code: 0)
                    for program in programs {
                        let outcome = try bundle.oci("exec", bundle.name, program, "--help")
                        try bundle.require(outcome.code != 0 && outcome.output.isEmpty, "\(outcome)")
                    }
                    try bundle.oci("delete", "--force", bundle.name, code: 0)
                }
                // A program whose loader it is (PT_INTERP). Loaded as one our binary would not get far, so what counts is the refusal.
                try takeLoader(of: "/bin/cat", as: "/proc/self/exe", into: "\(bundle.rootfs)/loaded")
                for filter in ["", refusingExecveat, refusingPread] {
                    try bundle.configure(["/loaded"], linux: filter)
                    let first = try bundle.oci("run", bundle.name)
                    // Loaded by the stub it ends at once, with the stub's own code.
                    try bundle.require(
                        filter == refusingExecveat
                            ? first.errors.contains("exec /loaded: permission denied") : first.code != 0,
                        "\(first)")
                    let hook = #""hooks":{"startContainer":[{"path":"/loaded"}]},"#
                    try bundle.configure(["true"], linux: filter, more: hook)
                    let hooked = try bundle.oci("run", bundle.name)
                    try bundle.require(hooked.code != 0, "\(hooked)")
                }
                // While a hook runs inside, the process that waits for it still is the runtime: its binary is read-only.
                let line = "exec 9</proc/$PPID/exe; echo x >/proc/self/fd/9"
                try bundle.configure(
                    ["true"],
                    more: #""hooks":{"startContainer":[{"path":"/bin/sh","args":["sh","-c","\#(line)"]}]},"#)
                let written = try bundle.oci("run", bundle.name)
                try bundle.require(written.errors.contains("Read-only file system"), "\(written)")
                try bundle.require(try Host.run(["sha256sum", binary]).text == before, "the binary changed")
            }
        }

        @Test(
            "a spy with CAP_SYS_PTRACE sees nothing of the host's in who joins (CVE-2016-9962, CVE-2019-5736)"
        )
        func spy() throws {
            try Bundle.play { bundle in
                let sets = ["bounding", "effective", "permitted"].map {
                    #""\#($0)":["CAP_SYS_PTRACE","CAP_DAC_OVERRIDE","CAP_KILL"]"#
                }.joined(separator: ",")
                try bundle.configure(
                    ["attacker", "watch", "/tmp/stop", "/tmp/told"],
                    process: #""capabilities":{\#(sets)},"#)
                try bundle.oci("run", "-d", bundle.name, code: 0)
                let loop =
                    "for n in $(seq 250); do \(bundle.runtime) --root \(bundle.state) exec \(bundle.name) true; done"
                let execs = try Host.run(["sh", "-c", "(\(loop)) </dev/null 2>&1 | cat"])
                try bundle.require(execs.output.isEmpty, "\(execs)")
                try bundle.oci("exec", bundle.name, "touch", "/tmp/stop", code: 0)
                let told = "\(bundle.rootfs)/tmp/told"
                for _ in 0..<200 where !contents(told).contains("seen") { usleep(10_000) }
                let lines = contents(told).split(separator: "\n")
                try bundle.require(
                    lines.count == 1 && lines[0] != "seen 0",
                    "what the spy saw: \(Set(lines).sorted().prefix(20))")
            }
        }

        @Test(
            "devices, console and mount points that flip 10,000 times lead to nothing of the host's (CVE-2025-31133, CVE-2025-52565, CVE-2021-30465)"
        )
        func flipping() throws {
            try Bundle.play { bundle in
                let victim = "\(bundle.directory)/victim"
                try ensureDirectory(victim)
                try writeFile("\(victim)/secret", Array("of the host\n".utf8), mode: 0o600)
                let root = bundle.rootfs
                try ensureDirectory("\(root)/dev/pts")
                try ensureDirectory("\(root)/mnt/swap")
                for (link, target) in [
                    ("dev/.null", "\(victim)/secret"), ("dev/.console", "../../../../../..\(victim)/secret"),
                    ("dev/.zero", "/proc/sysrq-trigger"), ("mnt/.swap", victim),
                ] {
                    try Host.run(["ln", "-s", target, "\(root)/\(link)"]).orThrow()
                }
                try Host.run(["mknod", "-m", "666", "\(root)/dev/null", "c", "1", "3"]).orThrow()
                try Host.run(["mknod", "-m", "666", "\(root)/dev/zero", "c", "1", "5"]).orThrow()
                try writeFile("\(root)/dev/console", [])
                try bundle.configure(
                    [
                        "sh", "-c",
                        "echo masked=$(wc -c </proc/keys); echo x 2>/dev/null >/proc/sys/kernel/hostname || echo sealed; timeout 1 cat /mnt/swap/* /dev/console /dev/null 2>/dev/null; true",
                    ], process: #""terminal":true,"#,
                    linux: #"""
                        "maskedPaths":["/proc/keys","/proc/kcore"],"readonlyPaths":["/proc/sys"],
                        "devices":[{"type":"c","path":"/dev/zero","major":1,"minor":5,"fileMode":416}],
                        """#,
                    mounts: #"""
                        ,{"destination":"/mnt/swap/inner","type":"bind","source":"config.json","options":["bind"]}
                        ,{"destination":"/mnt/swap/new/deep","type":"tmpfs","source":"tmpfs"}
                        """#, ownDevices: false)
                let pairs = ["null", "console", "zero"].flatMap { ["dev/\($0)", "dev/.\($0)"] }
                let flipper = try RunningProgram(
                    [
                        "\(root)/bin/attacker", "flip", "\(bundle.directory)/stop",
                        "\(bundle.directory)/count",
                    ] + pairs.map { "\(root)/\($0)" } + ["\(root)/mnt/swap", "\(root)/mnt/.swap"],
                    environment: [], directory: "/", scratch: "\(bundle.directory)/scratch")
                defer {
                    flipper.signal(SIGKILL)
                    _ = try? flipper.wait()
                }
                var (rounds, started) = (0, 0)
                while rounds < 10 || started == 0 || flips(contents("\(bundle.directory)/count")) < 10_000 {
                    rounds += 1
                    try bundle.require(
                        flipper.ended() == nil && rounds < 1000, "no race: \(flipper.soFar), \(started)")
                    // `script` gives it a terminal; the words are ours alone.
                    let line = "\(bundle.runtime) --root \(bundle.state) run \(bundle.name)"
                    let run = try RunningProgram(
                        ["script", "-qec", line, "/dev/null"], environment: ["PATH=\(Host.path)"],
                        directory: bundle.directory, scratch: "\(bundle.directory)/scratch"
                    ).wait(limit: .seconds(30))
                    let status = try fileStatus("\(victim)/secret")
                    try bundle.require(
                        try directoryEntries(victim) == ["secret"] && status.st_mode & 0o7777 == 0o600
                            && status.st_size == 12 && !run.output.contains("of the host"),
                        "\(tree(victim)) \(status.st_mode) \(run)")
                    guard run.code == 0 else { continue }
                    started += 1
                    try bundle.require(
                        run.output.contains("masked=0") && run.output.contains("sealed"), "\(run)")
                }
            }
        }

        @Test(
            "settings are written to the kernel's own files or not at all (CVE-2025-52881, CVE-2019-16884, CVE-2019-19921)"
        )
        func redirected() throws {
            try Bundle.play { bundle in
                try Host.run(["ln", "-s", "/proc", "\(bundle.rootfs)/link"]).orThrow()
                try writeFile("\(bundle.directory)/false", Array("unwritten".utf8))
                for (target, type) in [
                    ("/proc/sys", "tmpfs"), ("/proc/sys/net", "tmpfs"), ("/proc/self/attr/exec", "bind"),
                    ("/link/sys/net/ipv4", "tmpfs"), ("/link/self/attr/exec", "bind"),
                    ("/proc/sys/net/ipv4/ip_forward", "bind"),
                ] {
                    let mount =
                        #"{"destination":"\#(target)","type":"\#(type)","source":"false","options":[\#(type == "bind" ? #""bind""# : "")]}"#
                    try bundle.configure(
                        ["true"], linux: #""sysctl":{"net.ipv4.ip_forward":"1"},"#, mounts: ",\(mount)")
                    let run = try bundle.oci("run", bundle.name)
                    try bundle.require(
                        run.code == 1 && contents("\(bundle.directory)/false") == "unwritten",
                        "\(target): \(run)")
                }
            }
        }

        @Test(
            "a root that is moved, not pivoted to, leaves no procfs or sysfs whose masks can be left behind")
        func moved() throws {
            try Bundle.play { bundle in
                chmod(bundle.directory, 0o755)
                try ensureDirectory("\(bundle.rootfs)/mnt/proc")
                try ensureDirectory("\(bundle.rootfs)/mnt/sys")
                let tries =
                    "mount -t proc none /mnt/proc; mount -t sysfs none /mnt/sys; ls /mnt/proc /mnt/sys"
                let maps = "\"size\":65536,\"containerID\":0,\"hostID\":100000"
                for users in [false, true] {
                    try bundle.configure(
                        ["sh", "-c", "echo in; unshare -mnrpf sh -c '\(tries)'; ls /proc/self/"],
                        process: #""user":{"uid":1000,"gid":1000},"#,
                        linux: #""maskedPaths":["/proc/kcore"],"#
                            + (users ? #""uidMappings":[{\#(maps)}],"gidMappings":[{\#(maps)}],"# : ""),
                        extraNamespaces: users ? #"{"type":"user"}"# : "")
                    for flags in [[], ["--no-pivot"]] {
                        let run = try bundle.oci(["run"] + flags + [bundle.name])
                        try bundle.require(
                            run.code == 0 && run.output.hasPrefix("in\n") && run.output.contains("mountinfo")
                                && !run.output.contains("sysrq") && !run.output.contains("kernel")
                                && run.errors.contains("ermission denied"), "\(users) \(flags): \(run)")
                    }
                }
                // What the launcher's own mounts were is as it was.
                try bundle.require(exists("/proc/self/mountinfo") && exists("/sys/fs"), "the host's /proc")
            }
        }

        @Test(
            "users that are no numbers are refused (CVE-2026-30892); state is root's alone (CVE-2021-41103)"
        )
        func usersAndModes() throws {
            try Bundle.play { bundle in
                try bundle.configure(["sleep", "1000"])
                try bundle.oci("run", "-d", bundle.name, code: 0)
                for user in [
                    " 1000", "1000:", ":", "-1", "4294967295", "4294967296", "0x0", "1000x", "1000:-1", "app",
                    "1:4294967296", "18446744073709551616", "+0",
                ] {
                    let exec = try bundle.oci("exec", "-u", user, bundle.name, "id")
                    try bundle.require(exec.code != 0 && exec.output.isEmpty, "\(exec)")
                }
                let exec = try bundle.oci("exec", "-u", "2147483648:7", bundle.name, "id", "-u", code: 0)
                try bundle.require(exec.text == "2147483648", "\(exec)")
                chmod(bundle.directory, 0o755)
                let look = try Host.run([
                    "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "find", bundle.state,
                ])
                // `--root` itself was given; what is in it is ours.
                try bundle.require(look.lines.count <= 2, "nobody sees: \(look)")
            }
        }
    }
}

/// A program of the host's with another loader in its header.
private func takeLoader(of program: String, as loader: String, into place: String) throws {
    let script = #"""
        import struct, sys
        program, loader, place = sys.argv[1:]
        image = bytearray(open(program, "rb").read())
        start, count = struct.unpack_from("<Q", image, 32)[0], struct.unpack_from("<H", image, 56)[0]
        part = next(start + 56 * i for i in range(count) if struct.unpack_from("<I", image, start + 56 * i)[0] == 3)
        offset, size = struct.unpack_from("<Q", image, part + 8)[0], struct.unpack_from("<Q", image, part + 32)[0]
        image[offset:offset + size] = loader.encode().ljust(size, b"\0")
        open(place, "wb").write(image)
        """#
    try Host.run(["python3", "-c", script, program, loader, place]).orThrow()
    chmod(place, 0o755)
}

private let refusingPread = #"""
    "seccomp":{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["execveat","pread64"],"action":"SCMP_ACT_ERRNO"}]},
    """#

private let refusingExecveat = #"""
    "seccomp":{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["execveat"],"action":"SCMP_ACT_ERRNO"}]},
    """#
