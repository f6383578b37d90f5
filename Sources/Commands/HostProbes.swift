// SPDX-License-Identifier: Apache-2.0
//
// HostProbes: each asks the host one thing and changes nothing.

internal import Basics
internal import CLinux
internal import Kernel
internal import Networking

/// All findings, the most basic first.
func probeHost(root: String, run: String) -> [Finding] {
    [kernel(), rights()] + capabilities() + chroot() + [
        cgroups(), overlay(), stateDirectory(root), runDirectory(run), seccomp(), openat2Call(), pidfds(),
        exitCodes(), netfilter(), bridges(), forwarding(),
    ] + otherFirewalls() + libraries()
}

private func text(_ path: String) -> String? {
    (try? readText(path)).map { String($0.prefix { $0 != "\n" }) }
}

/// Major and minor of the running kernel, `6.1`.
private func release() -> (major: Int, minor: Int, text: String) {
    let text = kernelRelease()
    let numbers = text.split(separator: ".").prefix(2).map { part in Int(part.prefix { $0.isNumber }) ?? 0 }
    return (numbers.first ?? 0, numbers.count > 1 ? numbers[1] : 0, text)
}

private func kernel() -> Finding {
    let release = release()
    if (release.major, release.minor) >= (5, 14) { return Finding(.ok, "kernel", "Linux \(release.text)") }
    return Finding(.missing, "kernel", "Linux \(release.text)", "Covey needs 5.14 or later")
}

private func rights() -> Finding {
    let user = geteuid()
    return user == 0
        ? Finding(.ok, "root rights", "user id 0")
        : Finding(.missing, "root rights", "user id \(user)", "run covey with sudo")
}

private func capabilities() -> [Finding] {
    let effective = (try? effectiveCapabilitySet()) ?? 0
    // capabilities(7); the numbers are linux/capability.h's.
    let needed: [(name: String, bit: UInt64, why: String)] = [
        ("CAP_SYS_ADMIN", 21, "for namespaces and mounts"), ("CAP_NET_ADMIN", 12, "for networks"),
        ("CAP_MKNOD", 27, "for device nodes of containers and layers"),
    ]
    return needed.map { name, bit, why in
        effective >> bit & 1 == 1
            ? Finding(.ok, name, "held")
            : Finding(
                .missing, name, "not held", "it is needed \(why); in a CI container ask for a privileged one")
    }
}

/// Nothing to say of it when there is none.
private func chroot() -> [Finding] {
    guard isInChroot() else { return [] }
    return [
        Finding(
            .missing, "root directory", "a chroot, out of which containers could climb",
            "run covey outside of it; `up` refuses")
    ]
}

private func fileSystem(of path: String) -> Int64? {
    var path = path
    while !exists(path), path != "/", let slash = path.lastIndex(of: "/") {
        path = slash == path.startIndex ? "/" : String(path[..<slash])
    }
    guard let fd = try? openFile(path, flags: O_RDONLY | O_DIRECTORY) else { return nil }
    let type = linux_statfs_type(fd.raw)
    return type < 0 ? nil : type
}

// linux/magic.h
private let cgroup2Magic: Int64 = 0x6367_7270
private let overlayMagic: Int64 = 0x794c_7630
private let tmpfsMagic: Int64 = 0x0102_1994

private func cgroups() -> Finding {
    let needed = ["cpu", "memory", "pids"]
    if fileSystem(of: "/sys/fs/cgroup") == cgroup2Magic {
        let there = text("/sys/fs/cgroup/cgroup.controllers")?.split(separator: " ").map(String.init) ?? []
        let lacking = needed.filter { !there.contains($0) }
        return lacking.isEmpty
            ? Finding(.ok, "cgroups", "v2 with \(needed.joined(separator: ", "))")
            : Finding(
                .fallback, "cgroups", "v2 without \(lacking.joined(separator: ", "))",
                "limits of these are refused; check the kernel's command line and the enclosing cgroup")
    }
    let lacking = needed.filter { !exists("/sys/fs/cgroup/\($0)") }
    let kind = exists("/sys/fs/cgroup/unified") ? "v1 and v2 (hybrid)" : "v1"
    if lacking.count == needed.count {
        return Finding(.missing, "cgroups", "none at /sys/fs/cgroup", "mount cgroup2 there")
    }
    return lacking.isEmpty
        ? Finding(.fallback, "cgroups", kind, "works through v1; v2 gives cleaner limits and kills")
        : Finding(
            .fallback, "cgroups", "\(kind) without \(lacking.joined(separator: ", "))",
            "limits of these are refused")
}

private func overlay() -> Finding {
    let known = ((try? readText("/proc/filesystems")) ?? "").split(separator: "\n").contains {
        $0.hasSuffix("\toverlay")
    }
    return known
        ? Finding(.ok, "overlayfs", "in the kernel")
        : Finding(.missing, "overlayfs", "not in the kernel", "run `modprobe overlay`")
}

private func stateDirectory(_ path: String) -> Finding {
    switch fileSystem(of: path) {
    case overlayMagic:
        return Finding(
            .missing, "state directory", "\(path) is on overlayfs",
            "the kernel refuses an overlay on an overlay: put it on a volume or a tmpfs with --root")
    case tmpfsMagic:
        return Finding(
            .fallback, "state directory", "\(path) is on tmpfs", "images and volumes go with the next boot")
    case nil: return Finding(.missing, "state directory", "\(path) can't be looked at")
    default: return Finding(.ok, "state directory", path)
    }
}

private func runDirectory(_ path: String) -> Finding {
    fileSystem(of: path) == tmpfsMagic
        ? Finding(.ok, "run directory", "\(path) is on tmpfs")
        : Finding(.ok, "run directory", "\(path); records there carry the boot's id")
}

private func seccomp() -> Finding {
    exists("/proc/sys/kernel/seccomp/actions_avail")
        ? Finding(.ok, "seccomp", "filters")
        : Finding(
            .missing, "seccomp", "none", "set `security_opt: [seccomp:unconfined]`, or use another kernel")
}

private func openat2Call() -> Finding {
    do throws(SyscallError) {
        _ = try openat2(currentDirectory, "/", flags: O_PATH | O_DIRECTORY, resolve: [])
        return Finding(.ok, "openat2", "there")
    } catch {
        return Finding(
            .missing, "openat2", "\(error.errno)", "paths in a container can't be walked safely without it")
    }
}

private func pidfds() -> Finding {
    let fd = linux_pidfd_open(getpid(), 0)
    guard fd >= 0 else {
        return Finding(
            .missing, "pidfd", "\(Errno(linux_errno()))", "use a kernel or sandbox that has pidfd_open")
    }
    close(fd)
    return Finding(.ok, "pidfd", "there")
}

private func exitCodes() -> Finding {
    let release = release()
    // PIDFD_INFO_EXIT can't be asked for without a process that ended.
    return (release.major, release.minor) >= (6, 15)
        ? Finding(.ok, "exit codes by pidfd", "Linux 6.15 or later")
        : Finding(
            .fallback, "exit codes by pidfd", "before Linux 6.15",
            "if the keeper is killed, the exit codes of what runs then are unknown")
}

private func netfilter() -> Finding {
    // NFT_MSG_GETGEN (16) of subsystem nf_tables (10): 20 bytes, an nlmsghdr and an nfgenmsg (linux/netfilter/nfnetlink.h).
    let fd = linux_socket(AF_NETLINK, 3 | Int32(O_CLOEXEC), 12)
    guard fd >= 0 else {
        return Finding(
            .missing, "nf_tables", "\(Errno(linux_errno()))", "load nfnetlink: `modprobe nf_tables`")
    }
    defer { close(fd) }
    let request: [UInt8] = [20, 0, 0, 0, 16, 10, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    var answer = [UInt8](repeating: 0, count: 4096)
    guard send(fd, request, request.count, 0) == request.count else {
        return Finding(.missing, "nf_tables", "\(Errno(linux_errno()))", "run `modprobe nf_tables`")
    }
    guard let ready = try? waitReadable([fd], atMost: .seconds(1)), ready[0] else {
        return Finding(.missing, "nf_tables", "no answer", "run `modprobe nf_tables`")
    }
    let count = recv(fd, &answer, answer.count, 0)
    // NLMSG_ERROR is type 2; its code follows the head.
    if count >= 20, answer[4] == 2, answer[5] == 0 {
        let code = answer[16..<20].enumerated().reduce(UInt32(0)) {
            $0 | UInt32($1.element) << UInt32(8 * $1.offset)
        }
        let number = -Int32(bitPattern: code)
        if number != 0 {
            return Finding(
                .missing, "nf_tables", "\(Errno(number))", "run `modprobe nf_tables`, with root rights")
        }
    }
    return Finding(.ok, "nf_tables", "answers")
}

private func bridges() -> Finding {
    exists("/sys/module/bridge")
        ? Finding(.ok, "bridge", "in the kernel")
        : Finding(
            .fallback, "bridge", "not loaded",
            "the kernel loads it with the first network, if it may load modules")
}

private func forwarding() -> Finding {
    text("/proc/sys/net/ipv4/ip_forward") == "1"
        ? Finding(.ok, "ip_forward", "on")
        : Finding(.fallback, "ip_forward", "off", "it is switched on with the first network")
}

/// Nothing to say when no other firewall stands in the way.
private func otherFirewalls() -> [Finding] {
    guard let drops = try? foreignForwardDrops() else { return [] }
    return drops.map { drop in
        let rule = "nft insert rule \(drop.table) \(drop.chain)"
        return Finding(
            .missing, "other firewalls", "chain \(drop.chain) of table \(drop.table) drops what is forwarded",
            "containers reach nothing outside, and nobody reaches their published ports: let both ways pass, "
                + "`\(rule) iifname \"cvy*\" accept` and `\(rule) oifname \"cvy*\" accept`")
    }
}

private func libraries() -> [Finding] {
    let wanted: [(file: String, package: String, why: String)] = [
        ("libz.so.1", "zlib1g", "gzip layers"), ("libzstd.so.1", "libzstd1", "zstd layers"),
        ("libcrypto.so.3", "libssl3", "quick checksums"),
    ]
    return wanted.map { file, package, why in
        guard let handle = dlopen(file, RTLD_LAZY | RTLD_LOCAL) else {
            let verdict: Finding.Verdict = file.hasPrefix("libcrypto") ? .fallback : .missing
            return Finding(verdict, file, "not installed", "it is for \(why): install \(package)")
        }
        dlclose(handle)
        return Finding(.ok, file, why)
    }
}
