// SPDX-License-Identifier: Apache-2.0
//
// Namespaces that are there already (config-linux.md, "Namespaces"), and the time namespace's offsets. We join them
// ourselves for the moment of the clone and come back: a pid or time namespace is entered by birth alone, and one that
// belongs to the host's user namespace can't be joined any more from a new one. Only a user namespace is joined by the
// child itself: nobody comes back from one.

internal import Basics
internal import CLinux
internal import Kernel
internal import LaunchPlanning
internal import OCIFormats

extension RuntimeConfig.NamespaceKind {
    /// Its name in /proc/PID/ns.
    var procName: String {
        switch self {
        case .mount: "mnt"
        case .network: "net"
        case .pid, .uts, .ipc, .user, .cgroup, .time: rawValue
        }
    }
}

/// Runs `body` in the namespaces a configuration names by path, and with its time offsets, and comes back. A process that
/// can't come back ends at once.
func inNamespaces<Result>(
    of config: RuntimeConfig, _ body: () throws(Failure) -> Result
) throws(Failure) -> Result {
    var homes: [(fd: SharedFD, flag: Int32)] = []
    var directory: SharedFD?
    defer {
        for home in homes.reversed() where linux_setns(home.fd.raw, home.flag) != 0 { abort() }
        if let directory, fchdir(directory.raw) != 0 { abort() }
    }
    // Where the child joins a user namespace and clones again, its number must be one of ours: it joins the pid
    // namespace itself, for its second process.
    let joinsUser = config.linux.namespaces.contains { $0.kind == .user && $0.path != nil }
    for namespace in config.linux.namespaces
    where namespace.kind != .user && !(joinsUser && namespace.kind == .pid) {
        let flag = Int32(namespace.kind.cloneFlag)
        let name = namespace.kind.procName
        if let path = namespace.path {
            try naming("cannot join the \(namespace.kind.rawValue) namespace \(path)") {
                () throws(SyscallError) in
                let target = try openFile(path)
                let raw = target.raw
                let home = SharedFD(try openFile("/proc/self/ns/\(name)"))
                if namespace.kind == .mount {
                    directory = SharedFD(try openFile(".", flags: O_PATH | O_DIRECTORY))
                    try retrying("unshare", "CLONE_FS") { linux_unshare(Int32(CLONE_FS)) }
                }
                try retrying("setns", path) { linux_setns(raw, flag) }
                homes.append((home, flag))
            }
        } else if namespace.kind == .time {
            try naming("cannot make the time namespace") { () throws(SyscallError) in
                let home = SharedFD(try openFile("/proc/self/ns/time"))
                try retrying("unshare", "CLONE_NEWTIME") { linux_unshare(flag) }
                homes.append((home, flag))
                if !config.linux.timeOffsets.isEmpty {
                    let lines = config.linux.timeOffsets.map {
                        "\($0.clock) \($0.seconds) \($0.nanoseconds)\n"
                    }
                    try writeControl("/proc/self/timens_offsets", lines.joined())
                }
            }
        }
    }
    return try body()
}

/// A namespace a configuration joins.
func openNamespace(_ kind: RuntimeConfig.NamespaceKind, _ config: RuntimeConfig) throws(Failure) -> SharedFD?
{
    guard let path = config.linux.namespaces.first(where: { $0.kind == kind })?.path else { return nil }
    return try naming("cannot open the \(kind.rawValue) namespace \(path)") { () throws(SyscallError) in
        SharedFD(try openFile(path))
    }
}

/// Writes a process's identity maps; user_namespaces(7), "Defining user and group ID mappings".
func writeMaps(
    of pid: Int32, uids: [RuntimeConfig.IDMapping], gids: [RuntimeConfig.IDMapping]
) throws(Failure) {
    func lines(_ maps: [RuntimeConfig.IDMapping]) -> String {
        maps.map { "\($0.containerID) \($0.hostID) \($0.size)\n" }.joined()
    }
    try naming("cannot write the identity maps") { () throws(SyscallError) in
        try writeControl("/proc/\(pid)/gid_map", lines(gids))
        try writeControl("/proc/\(pid)/uid_map", lines(uids))
    }
}

/// A user namespace with these maps, held by nothing but the descriptor: what an idmapped mount is mapped by.
func makeMappedNamespace(
    uids: [RuntimeConfig.IDMapping], gids: [RuntimeConfig.IDMapping]
) throws(Failure) -> SharedFD {
    let child = try BundleChild(namespaceHolderProgram(), descriptors: [])
    defer { child.killAndReap() }
    try writeMaps(of: child.pid, uids: uids, gids: gids)
    return try naming("cannot open the namespace of the mapped mounts") { () throws(SyscallError) in
        SharedFD(try openFile("/proc/\(child.pid)/ns/user"))
    }
}
