// SPDX-License-Identifier: Apache-2.0
//
// `spec`: a configuration to begin with, in runc's words.

internal import Cgroups
internal import JSONFormat

/// No device but the default ones.
private let noDevices = object([
    ("devices", .array([object([("allow", .bool(false)), ("access", .string("rwm"))])]))
])

/// Root inside is this id outside.
private func mapping(_ id: UInt32) -> JSONValue {
    .array([
        object([("containerID", .integer(0)), ("hostID", .integer(Int64(id))), ("size", .integer(1))])
    ])
}

/// A config.json that runs `sh` in a terminal, with what runc's template has; for a user, with a user namespace whose root
/// is that one, and without what only the host's root may ask for.
public func configurationTemplate(usersOf user: (uid: UInt32, gid: UInt32)? = nil) -> [UInt8] {
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
            ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]
                + (user == nil ? ["gid=5"] : [])),
        mount("/dev/shm", "tmpfs", "shm", ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        mount("/dev/mqueue", "mqueue", "mqueue", ["nosuid", "noexec", "nodev"]),
        // A sysfs belongs to a network namespace of the same user namespace (sysfs_init_fs_context, fs/sysfs/mount.c).
        user == nil
            ? mount("/sys", "sysfs", "sysfs", ["nosuid", "noexec", "nodev", "ro"])
            : mount("/sys", "none", "/sys", ["rbind", "nosuid", "noexec", "nodev", "ro"]),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", ["nosuid", "noexec", "nodev", "relatime", "ro"]),
    ]
    // As runc's: on v1 the container sees the hierarchies as they are mounted.
    let isUnified = ((try? CgroupHost.detect()) ?? .none).mode == .v2
    let namespaces =
        ["pid", user == nil ? "network" : "user", "ipc", "uts", "mount"] + (isUnified ? ["cgroup"] : [])
    let rights =
        user.map { [("uidMappings", mapping($0.uid)), ("gidMappings", mapping($0.gid))] }
        ?? [("resources", noDevices)]
    let linux = object(
        rights + [
            ("namespaces", .array(namespaces.map { object([("type", .string($0))]) })),
            (
                "maskedPaths",
                strings([
                    "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware",
                    "/proc/scsi",
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
