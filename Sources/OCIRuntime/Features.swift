// SPDX-License-Identifier: Apache-2.0
//
// `features`: what this runtime knows and this kernel has (features.md, features-linux.md), and `spec`: a configuration to
// begin with.

internal import Basics
internal import Cgroups
internal import JSONFormat
internal import Kernel
internal import LaunchPlanning
internal import OCIFormats
internal import SeccompCompiler

private func strings(_ items: [String]) -> JSONValue { .array(items.map(JSONValue.string)) }

private func object(_ members: [(String, JSONValue)]) -> JSONValue {
    .object(members.map { JSONValue.Member($0.0, $0.1) })
}

private func enabled(_ value: Bool) -> JSONValue { object([("enabled", .bool(value))]) }

public func runtimeFeatures() -> [UInt8] {
    let mode = ((try? CgroupHost.detect()) ?? .none).mode
    let architectures =
        SeccompArchitecture.current == .x86_64
        ? ["SCMP_ARCH_X86", "SCMP_ARCH_X86_64"] : ["SCMP_ARCH_ARM", "SCMP_ARCH_AARCH64"]
    let flags = [
        "SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
    ]
    let tree = object([
        ("ociVersionMin", .string("1.0.0")), ("ociVersionMax", .string(ociVersion)),
        (
            "hooks",
            strings([
                "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop",
            ])
        ),
        ("mountOptions", strings(MountOptions.known)),
        (
            "linux",
            object([
                ("namespaces", strings(RuntimeConfig.NamespaceKind.allCases.map(\.rawValue).sorted())),
                ("capabilities", strings(Capability.allCases.map { "CAP_\($0.name)" })),
                (
                    "cgroup",
                    object([
                        ("v1", .bool(true)), ("v2", .bool(true)), ("systemd", .bool(false)),
                        ("systemdUser", .bool(false)), ("rdma", .bool(true)),
                    ])
                ),
                (
                    "seccomp",
                    object([
                        ("enabled", .bool(exists("/proc/sys/kernel/seccomp"))),
                        (
                            "actions",
                            strings([
                                "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS",
                                "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE",
                                "SCMP_ACT_TRAP",
                            ])
                        ),
                        (
                            "operators",
                            strings([
                                "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT",
                                "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE",
                            ])
                        ),
                        ("archs", strings(architectures)), ("knownFlags", strings(flags)),
                        ("supportedFlags", strings(flags)),
                    ])
                ),
                ("apparmor", enabled(true)), ("selinux", enabled(true)), ("intelRdt", enabled(false)),
                ("mountExtensions", object([("idmap", enabled(true))])), ("netDevices", enabled(false)),
            ])
        ),
        ("annotations", object([("org.covey.cgroup.mode", .string(mode.rawValue))])),
        ("potentiallyUnsafeConfigAnnotations", strings([])),
    ])
    var bytes: [UInt8] = []
    tree.write(to: &bytes, indentation: 0)
    return bytes + [UInt8(ascii: "\n")]
}

/// A config.json that runs `sh` in a terminal, with what runc's template has.
public func configurationTemplate() -> [UInt8] {
    func mount(_ destination: String, _ type: String, _ source: String, _ options: [String]) -> JSONValue {
        var members: [(String, JSONValue)] = [
            ("destination", .string(destination)), ("type", .string(type)), ("source", .string(source)),
        ]
        if !options.isEmpty { members.append(("options", strings(options))) }
        return object(members)
    }
    let capabilities = strings(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"])
    let process = object([
        ("terminal", .bool(true)), ("user", object([("uid", .integer(0)), ("gid", .integer(0))])),
        ("args", strings(["sh"])),
        (
            "env",
            strings(["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"])
        ),
        ("cwd", .string("/")),
        (
            "capabilities",
            object([
                ("bounding", capabilities), ("effective", capabilities), ("permitted", capabilities),
            ])
        ),
        (
            "rlimits",
            .array([
                object([
                    ("type", .string("RLIMIT_NOFILE")), ("hard", .integer(1024)), ("soft", .integer(1024)),
                ])
            ])
        ),
        ("noNewPrivileges", .bool(true)),
    ])
    let mounts: [JSONValue] = [
        mount("/proc", "proc", "proc", []),
        mount("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts", "devpts", "devpts",
            ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
        mount("/dev/shm", "tmpfs", "shm", ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        mount("/dev/mqueue", "mqueue", "mqueue", ["nosuid", "noexec", "nodev"]),
        mount("/sys", "sysfs", "sysfs", ["nosuid", "noexec", "nodev", "ro"]),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", ["nosuid", "noexec", "nodev", "relatime", "ro"]),
    ]
    // As runc's: on v1 the container sees the hierarchies as they are mounted.
    let isUnified = ((try? CgroupHost.detect()) ?? .none).mode == .v2
    let linux = object([
        (
            "resources",
            object([
                ("devices", .array([object([("allow", .bool(false)), ("access", .string("rwm"))])]))
            ])
        ),
        (
            "namespaces",
            .array(
                (["pid", "network", "ipc", "uts", "mount"] + (isUnified ? ["cgroup"] : [])).map {
                    object([("type", .string($0))])
                })
        ),
        (
            "maskedPaths",
            strings([
                "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi",
            ])
        ),
        (
            "readonlyPaths",
            strings(["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"])
        ),
    ])
    let tree = object([
        ("ociVersion", .string(ociVersion)), ("process", process),
        ("root", object([("path", .string("rootfs")), ("readonly", .bool(true))])),
        ("hostname", .string("covey")), ("mounts", .array(mounts)), ("linux", linux),
    ])
    var bytes: [UInt8] = []
    tree.write(to: &bytes, indentation: 0)
    return bytes + [UInt8(ascii: "\n")]
}
