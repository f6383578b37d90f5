// SPDX-License-Identifier: Apache-2.0
//
// One container on the real kernel, launched without a keeper: what it sees from inside.

import Basics
import ContainerModel
import ContainerRuntime
import Glibc
import Kernel
import LaunchPlanning
import Testing

/// A root file system of one static busybox, and a place for a container's state; gone with the value.
struct Bench: ~Copyable {
    let path: String
    var rootfs: String { path + "/rootfs" }

    init() throws {
        path = "/tmp/covey-runtime-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
        try ensureDirectory(rootfs + "/bin")
        let busybox = try readFile("/bin/busybox")
        try writeFile(rootfs + "/bin/busybox", busybox, mode: 0o755)
        for name in [
            "sh", "cat", "ls", "id", "true", "mount", "touch", "grep", "hostname", "wc", "stat", "mknod",
            "unshare", "env", "ps", "kill", "readlink", "head",
        ] {
            symlink("busybox", rootfs + "/bin/" + name)
        }
        try ensureDirectory(rootfs + "/etc")
        try writeFile(
            rootfs + "/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1001::/home/web:/bin/sh\n".utf8
        )
        try writeFile(rootfs + "/etc/group", "root:x:0:\nweb:x:1001:\nlog:x:2000:web\n".utf8)
    }

    deinit { try? removeTree(path) }

    /// Runs a container to its end; gives its output and how it ended.
    func run(
        _ script: String, goesOn: Bool = false, _ change: (inout ContainerRequest) -> Void = { _ in }
    ) throws -> (output: String, end: ProcessEnd) {
        var request = ContainerRequest(
            image: ImageFacts(reference: "test", id: Digest(of: []), layers: [rootfs]),
            arguments: ["sh", "-c", script])
        change(&request)
        let directories = ContainerDirectories(state: path + "/state", run: path + "/run")
        var setup = ContainerSetup(name: "bench-1", request: request, directories: directories)
        setup.contents = [Digest(of: []): []]
        setup.hostsText = "127.0.0.1 localhost\n"
        setup.goesOn = goesOn
        var filters = SeccompFilters()
        let host = HostFacts.probe()
        let prepared = try prepareContainer(setup, host: host, filters: &filters)
        let program = containerProgram(
            for: request, prepared: prepared, host: host, intoCgroup: false, endsWithParent: true)
        let pipe = try makePipe()
        let null = try openFile("/dev/null", flags: O_RDWR)
        let child = try DirectChild(program, descriptors: [null.raw, pipe.second.raw, pipe.second.raw])
        try child.waitForExec()
        let reader = try pipe.first.duplicate()
        close(consume pipe)
        let output = String(decoding: try readAll(reader.raw), as: UTF8.self)
        return (output, try child.wait())
    }

    private func close(_ pipe: consuming OwnedFDPair) {}
}

@Suite(
    "a container on this kernel",
    .enabled(if: getuid() == 0 && exists("/bin/busybox"), "needs root and a static busybox"))
struct RuntimeTests {
    @Test("runs as pid 1 in namespaces of its own and exits with its program's code")
    func ownNamespaces() throws {
        let bench = try Bench()
        let (output, end) = try bench.run("echo $$; hostname; ls /proc/self/fd | wc -l; exit 7")
        #expect(output == "1\nbench-1\n4\n")
        #expect(end == .exited(7))
    }

    @Test("a signal that ends it is told as that signal")
    func signalled() throws {
        let bench = try Bench()
        #expect(try bench.run("kill -9 $$; sleep 1", { $0.initProcess = true }).end == .exited(137))
    }

    @Test("what it wrote is there again within a boot; an upper directory of another boot is not believed")
    func upper() throws {
        let bench = try Bench()
        let look = "cat /mark 2>/dev/null; ls -d /etc; echo kept >/mark; head -n 9 /proc/self/mountinfo"
        #expect(try bench.run(look).output.hasPrefix("/etc\n"))
        let again = try bench.run(look, goesOn: true).output
        #expect(again.hasPrefix("kept\n/etc\n"), "\(again)")
        // Whoever keeps nothing over a boot need not sync: no container's end waits for the disk.
        #expect(again.contains("volatile"), "\(again)")
        #expect(try bench.run(look).output.hasPrefix("/etc\n"))
        #expect(try bench.run(look, goesOn: true).output.hasPrefix("kept\n/etc\n"))
    }

    @Test("an image of more layers than fit in one page of mount options")
    func manyLayers() throws {
        let bench = try Bench()
        var layers = [bench.rootfs]
        for number in 0..<80 {
            let layer = "\(bench.path)/layers/\(String(repeating: "d", count: 64))\(number)/fs"
            try ensureDirectory(layer)
            try writeFile("\(layer)/of-\(number)", "\(number)\n".utf8)
            layers.insert(layer, at: 0)
        }
        let output = try bench.run("cat /of-0 /of-79", { $0.image.layers = layers }).output
        #expect(output == "0\n79\n")
    }

    @Test("has the OCI's devices and file systems with Docker's options")
    func fileSystems() throws {
        let bench = try Bench()
        let output = try bench.run(
            "cat /proc/self/mounts; ls -l /dev/null /dev/ptmx /dev/fd; echo x >/dev/null && cat /etc/hosts"
        ).output
        for line in [
            "proc /proc proc rw,nosuid,nodev,noexec", "tmpfs /dev tmpfs rw,nosuid",
            "devpts /dev/pts devpts rw,nosuid,noexec",
            "shm /dev/shm tmpfs rw,nosuid,nodev,noexec,relatime,size=65536k",
            "mqueue /dev/mqueue mqueue rw,nosuid,nodev,noexec",
            "sysfs /sys sysfs ro,nosuid,nodev,noexec", "proc /proc/sys proc ro", "127.0.0.1 localhost",
        ] { #expect(output.contains(line), "\(line) in \(output)") }
    }

    @Test("has Docker's capabilities, none inheritable, and a seccomp filter")
    func capabilities() throws {
        let bench = try Bench()
        let output = try bench.run("grep -E '^(Cap|Seccomp:|NoNewPrivs)' /proc/self/status").output
        #expect(output.contains("CapInh:\t0000000000000000"))
        #expect(output.contains("CapPrm:\t00000000a80425fb"))
        #expect(output.contains("CapEff:\t00000000a80425fb"))
        #expect(output.contains("CapBnd:\t00000000a80425fb"))
        #expect(output.contains("CapAmb:\t0000000000000000"))
        #expect(output.contains("Seccomp:\t2"))
        #expect(output.contains("NoNewPrivs:\t0"))
    }

    @Test("no_new_privs is set where asked, with the filter still loaded")
    func noNewPrivileges() throws {
        let bench = try Bench()
        let output = try bench.run(
            "grep -E '^(Seccomp:|NoNewPrivs)' /proc/self/status", { $0.noNewPrivileges = true }
        ).output
        #expect(output == "NoNewPrivs:\t1\nSeccomp:\t2\n")
    }

    @Test("hides what Docker hides and cannot write kernel settings")
    func masks() throws {
        let bench = try Bench()
        let output = try bench.run(
            "wc -c </proc/keys; ls /sys/firmware | wc -l; (echo 1 >/proc/sys/kernel/hostname) 2>&1"
        ).output
        #expect(output.hasPrefix("0\n0\n"))
        #expect(output.contains("/proc/sys/kernel/hostname: Read-only file system"))
    }

    @Test("a user by name gets its groups and no capability")
    func user() throws {
        let bench = try Bench()
        let output = try bench.run("id; grep CapEff /proc/self/status; env | grep HOME", { $0.user = "web" })
            .output
        #expect(
            output
                == "uid=1000(web) gid=1001(web) groups=1001(web),2000(log)\nCapEff:\t0000000000000000\nHOME=/home/web\n"
        )
    }

    @Test(
        "a user that is neither a number nor known is refused",
        arguments: [" 1000", "1000:", "-1", "4294967295", "0x0", "1000x", "4294967296"])
    func badUser(user: String) throws {
        let bench = try Bench()
        #expect(throws: Failure.self) { try bench.run("id", { $0.user = user }) }
    }

    @Test("a read-only root refuses writes, a tmpfs in it takes them")
    func readOnly() throws {
        let bench = try Bench()
        let output = try bench.run("touch /x 2>&1; touch /tmp/x && echo wrote") {
            $0.readOnlyRoot = true
            $0.mounts = [
                MountRequest(
                    source: .tmpfs(size: ByteSize(bytes: 1 << 20), mode: nil, uid: nil, gid: nil),
                    target: "/tmp")
            ]
        }.output
        #expect(output == "touch: /x: Read-only file system\nwrote\n")
    }

    @Test("a file given with owner and mode has them")
    func grants() throws {
        let bench = try Bench()
        let output = try bench.run("stat -c '%u %g %a' /run/secrets/key; touch /run/secrets/key 2>&1") {
            $0.files = [
                FileRequest(
                    title: "secret \"key\"", content: Digest(of: []), target: "/run/secrets/key", uid: 1000,
                    gid: 2000, mode: 0o440)
            ]
        }.output
        #expect(output == "1000 2000 440\ntouch: /run/secrets/key: Read-only file system\n")
    }

    @Test(
        "a bind mount through links of the image stays inside the root",
        arguments: ["/escape/file", "/up/etc/covey-test"])
    func bindThroughLink(target: String) throws {
        let bench = try Bench()
        symlink("/etc", bench.rootfs + "/escape")
        symlink("../../../../..", bench.rootfs + "/up")
        try writeFile(bench.path + "/given", "given".utf8)
        let (output, _) = try bench.run("cat \(target)") {
            $0.mounts = [
                MountRequest(
                    source: .bind(path: bench.path + "/given", createHostPath: false, propagation: nil),
                    target: target)
            ]
        }
        #expect(output == "given")
        #expect(!exists("/etc/file") && !exists("/etc/covey-test"))
    }

    @Test(
        "an image whose /proc or /dev is a link is refused (CVE-2023-27561, CVE-2026-41579)",
        arguments: ["proc", "dev", "sys"])
    func linkedKernelDirectory(name: String) throws {
        let bench = try Bench()
        try ensureDirectory(bench.path + "/victim")
        symlink(bench.path + "/victim", bench.rootfs + "/" + name)
        #expect(throws: Failure.self) { try bench.run("true") }
        #expect(try directoryEntries(bench.path + "/victim").isEmpty)
    }

    @Test("a working directory outside the root is refused (CVE-2024-21626)", arguments: Array(3...12))
    func leakedDirectory(number: Int) throws {
        let bench = try Bench()
        #expect(throws: Failure.self) {
            try bench.run("true", { $0.workingDirectory = "/proc/self/fd/\(number)" })
        }
    }

    @Test("a program that isn't there is named in the error")
    func missingProgram() throws {
        let bench = try Bench()
        let failure = #expect(throws: Failure.self) { try bench.run("", { $0.arguments = ["nginxx"] }) }
        #expect(failure?.description.contains("running \"nginxx\" failed") == true)
        #expect(failure?.description.contains("ENOENT") == true)
    }

    @Test("init reaps orphans and passes the code on")
    func initProcess() throws {
        let bench = try Bench()
        let (output, end) = try bench.run(
            "(sh -c 'true &' ); i=0; while [ $i -lt 300 ] && ps -o stat | grep -q Z; do i=$((i+1)); done; ps -o stat | grep -c Z; echo $$; exit 3",
            { $0.initProcess = true })
        #expect(output == "0\n2\n")
        #expect(end == .exited(3))
    }

    @Test("sysctls and ulimits are set")
    func settings() throws {
        let bench = try Bench()
        let output = try bench.run(
            "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/core/somaxconn; ulimit -n"
        ) {
            $0.sysctls = ["net.core.somaxconn": "123"]
            $0.ulimits = ["nofile": LimitPair(soft: 100, hard: 200)]
        }.output
        #expect(output == "0\n123\n100\n")
    }

    @Test("nothing stays mounted on the host, and the program's text holds no environment value")
    func nothingLeft() throws {
        let bench = try Bench()
        _ = try bench.run("true")
        #expect(try !readText("/proc/self/mountinfo").contains(bench.path))
    }
}
