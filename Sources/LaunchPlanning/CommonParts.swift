// SPDX-License-Identifier: Apache-2.0
//
// Parts of a program that a project's container and a bundle's have alike: the default devices, what is hidden and
// protected, and the terminal.

internal import CLaunch

/// Character devices every container has: name, major, minor (config-linux.md, "Default Devices").
let defaultDevices: [(name: String, major: UInt64, minor: UInt64)] = [
    ("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0),
]

/// Target and name of the links in /dev (config-linux.md, "Dev symbolic links"; runtime-linux.md).
let deviceLinks: [(target: String, name: String)] = [
    ("/proc/self/fd", "fd"), ("/proc/self/fd/0", "stdin"), ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"), ("pts/ptmx", "ptmx"), ("/proc/kcore", "core"),
]

/// Flag 8 of L_ATTACH, nothing mounted in procfs (CVE-2019-16884), but where lxcfs and its like may: runc's list.
func refusesProc(_ target: String) -> UInt32 {
    let allowed = [
        "cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg", "slabinfo",
        "sys/kernel/ns_last_pid", "sys/crypto/fips_enabled",
    ]
    return allowed.contains { target == "/proc/\($0)" } ? 0 : 8
}

extension LaunchProgram {
    /// Makes paths read-only and hides others: files by the root's /dev/null, which is opened once and looked at each time
    /// (CVE-2025-31133), directories by an empty one.
    mutating func addHiding(readOnly: [String], masked: [String], in root: Slot) {
        let empty = newSlot()
        let null = newSlot()
        if !masked.isEmpty {
            add(
                L_FSMOUNT, "preparing masks", slots: [empty], texts: ["tmpfs"],
                blob: options([("source", "tmpfs"), ("size", "0"), ("mode", "755")]),
                numbers: [
                    MountAttribute.readOnly | MountAttribute.noExec | MountAttribute.noDevices
                        | MountAttribute.noSetUID
                ])
            let opath: UInt64 = 0o1000_0000
            let noSymlinks: UInt64 = 0x04 | 0x10  // RESOLVE_NO_SYMLINKS | RESOLVE_IN_ROOT
            add(
                L_OPEN, "preparing masks", slots: [null, root], texts: ["dev/null"],
                numbers: [opath, 0, noSymlinks])
        }
        // The kernel's own directories have no links on the way to such a place, so one is somebody's attempt; elsewhere it may
        // be the image's, and what it leads to in there is meant.
        func linkFlag(_ path: String) -> UInt32 {
            ["/proc", "/sys"].contains { path == $0 || path.hasPrefix("\($0)/") } ? 0 : 1
        }
        for path in readOnly {
            add(
                L_READONLY_PATH, "protecting \(path)", slots: [nil, root], texts: [path],
                flags: linkFlag(path))
        }
        for path in masked {
            add(
                L_MASK_PATH, "hiding \(path)", slots: [empty, root, null], texts: [path],
                flags: linkFlag(path))
        }
    }

    /// A terminal of the container's own /dev/pts as streams and console; its master goes up.
    /// - Parameters:
    ///   - controls: it becomes the controlling terminal here, not by the stub.
    ///   - owner: nil leaves it root's.
    mutating func addTerminal(
        in root: Slot, console: Bool = true, controls: Bool = true, rows: UInt64 = 24, columns: UInt64 = 80,
        owner: UInt32? = nil
    ) {
        let master = newSlot()
        let slave = newSlot()
        add(L_PTY, "opening a terminal", slots: [master, root, slave], numbers: [rows, columns])
        // Without: root's, as devpts makes it. Who opens /dev/stdout, or the terminal by its name, is asked for the right to.
        if let owner, owner != 0 {
            add(
                L_OWNER, "giving the terminal to its user", slots: [slave], flags: 1,
                numbers: [UInt64(owner), UInt64(UInt32.max)])
        }
        if console {
            let tree = newSlot()
            add(L_OPEN_TREE, "mounting /dev/console", slots: [tree, slave])
            add(
                L_ATTACH, "mounting /dev/console", slots: [tree, root], texts: ["/dev/console"], flags: 2 | 4)
        }
        add(
            L_SEND, "handing over the terminal", blob: nativeBytes(master.number),
            numbers: [UInt64(LaunchTag.terminal)])
        if controls { add(L_CONTROLLING_TTY, "taking the terminal", slots: [slave]) }
        for number in 0..<3 {
            add(L_DUPLICATE, "connecting the terminal", slots: [slave], numbers: [UInt64(number)])
        }
    }
}
