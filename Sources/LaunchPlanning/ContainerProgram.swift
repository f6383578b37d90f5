// SPDX-License-Identifier: Apache-2.0
//
// The program that makes a container out of a fresh clone, and the parts it shares with `exec`.
//
// Orders that matter:
// - the cgroup first, so that all the child does is accounted to it;
// - the root is attached before anything is mounted in it, and every path in it is walked from its descriptor;
// - sysctls through a private proc mount before /proc/sys becomes read-only (CVE-2025-52881);
// - what needs nothing from outside before the wait for links, so that many children work side by side; the pivot too, as
//   letting go of the host's tree waits for an RCU grace period, and all that follows is walked from the root's descriptor;
// - masks after the last mount of ours and after the links' sysctls;
// - seccomp before the capabilities go when no_new_privs is unset (it needs CAP_SYS_ADMIN), last when it is set.

internal import CLaunch
public import ContainerModel
internal import SeccompCompiler

/// Slots every container's program is given, in order.
public enum ContainerSlots {
    public static let sync = Slot(0)
    public static let standardInput = Slot(1)
    public static let standardOutput = Slot(2)
    public static let standardError = Slot(3)
    /// Only when the container is cloned into a v2 cgroup.
    public static let cgroup = Slot(4)
}

/// The program for a container's first process.
public func containerProgram(
    for request: ContainerRequest, prepared: PreparedContainer, host: HostFacts, intoCgroup: Bool,
    ownNetwork: Bool = true, sysfs: Bool = true, endsWithParent: Bool = false
) -> LaunchProgram {
    let rare = request.rare ?? RareSettings()
    var flags: UInt64 = 0x2_0000 | 0x0200_0000 | 0x0400_0000 | 0x0800_0000 | 0x2000_0000
    if ownNetwork { flags |= 0x4000_0000 }
    for namespace in rare.hostNamespaces { flags &= ~namespace.cloneFlag }
    for join in prepared.joins { flags &= ~join.flags }
    let ownNetwork = flags & NamespaceJoin.newNetwork != 0
    var given = ["sync", "stdin", "stdout", "stderr"] + (intoCgroup ? ["cgroup"] : [])
    let firstJoin = Int32(given.count)
    given +=
        prepared.joins.map(\.title) + (prepared.sharesMemory ? ["shared memory"] : [])
        + (prepared.filesAt == nil ? [] : ["files"])
    var program = LaunchProgram(
        cloneFlags: flags, given: given, cgroup: intoCgroup ? ContainerSlots.cgroup : nil)
    program.beginProcess(
        taskFiles: prepared.cgroupTaskFiles, endsWithParent: endsWithParent,
        oomScoreAdjustment: rare.oomScoreAdjustment)
    program.addLabels(appArmor: rare.appArmorProfile, seLinux: rare.seLinuxContext)
    program.addJoins(prepared.joins, from: firstJoin)
    let shared = program.openShared(prepared.mounts)
    let root = program.addRoot(prepared, host: host)
    let proc = program.addKernelFileSystems(
        in: root, request: request, host: host, sysfs: sysfs,
        sharedMemory: rare.withoutSharedMemory
            ? .none
            : prepared.sharesMemory
                ? .given(Slot(firstJoin + Int32(prepared.joins.count)))
                : rare.hostNamespaces.contains(.ipc) ? .host : .own)
    if !prepared.devices.isEmpty { program.addDevices(prepared.devices, in: root) }
    if let path = prepared.filesAt {
        // The mount is seen in this child's mount namespace only.
        program.add(
            L_ATTACH_HOST, "mounting files", slots: [Slot(Int32(program.given.count) - 1)], texts: [path])
    }
    program.addMounts(prepared.mounts, shared, in: root, host: host)
    for (key, value) in request.sysctls.merging(
        ownNetwork ? networkSysctls : [:], uniquingKeysWith: { own, _ in own }
    )
    .sorted(by: { $0.key < $1.key }) {
        let path = "sys/" + key.split(separator: ".").joined(separator: "/")
        program.add(
            L_WRITE, "setting sysctl \(key) to \(value)", slots: [nil, proc], texts: [path],
            blob: Array(value.utf8),
            flags: networkSysctls[key] == value ? 2 : 0)
    }
    if let domainName = rare.domainName {
        program.add(
            L_WRITE, "setting the domain name \"\(domainName)\"", slots: [nil, proc],
            texts: ["sys/kernel/domainname"], blob: Array(domainName.utf8))
    }
    if !rare.hostNamespaces.contains(.uts) {
        program.addHostname(prepared.hostname)
    }
    program.add(
        L_ENSURE_DIRECTORY, "making the working directory \(request.workingDirectory)", slots: [nil, root],
        texts: [request.workingDirectory], numbers: [0o755])
    program.add(L_PIVOT, "entering the root file system", slots: [root])
    program.addNetwork(prepared, proc: proc, own: ownNetwork ? request.sysctls : nil)
    if !rare.privileged && !rare.systemPathsVisible {
        let throttles = host.thermalThrottleCPUs.map { "/sys/devices/system/cpu/cpu\($0)/thermal_throttle" }
        program.addHiding(readOnly: readOnlyPaths, masked: maskedPaths + throttles, in: root)
    }
    if request.readOnlyRoot {
        program.add(L_MOUNT_ATTR, "making the root file system read-only", slots: [root], numbers: [1, 0, 0])
    }
    if request.tty {
        program.addTerminal(
            in: root, rows: UInt64(clamping: prepared.rows), columns: UInt64(clamping: prepared.columns),
            owner: prepared.identity.uid)
    } else {
        program.addStandardStreams(nullRoot: root)
    }
    program.addProcess(
        arguments: request.arguments, environment: prepared.environment,
        workingDirectory: request.workingDirectory,
        identity: prepared.identity, capabilities: prepared.capabilities, seccomp: prepared.seccomp,
        noNewPrivileges: request.noNewPrivileges, ulimits: request.ulimits, initProcess: request.initProcess,
        takesLabel: request.rare?.appArmorProfile != nil || request.rare?.seLinuxContext != nil)
    return program
}

extension RareSettings.Namespace {
    /// CLONE_NEW* of linux/sched.h.
    public var cloneFlag: UInt64 {
        switch self {
        case .cgroup: 0x0200_0000
        case .uts: 0x0400_0000
        case .ipc: NamespaceJoin.newIPC
        case .network: NamespaceJoin.newNetwork
        case .pid: NamespaceJoin.newPID
        }
    }
}

/// What is at /dev/shm.
private enum SharedMemory {
    case own
    case host
    /// A tree out of another container.
    case given(Slot)
    case none
}

/// Docker's, set where the network namespace is the container's own.
private let networkSysctls = [
    "net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647",
]

extension LaunchProgram {
    fileprivate mutating func addHostname(_ name: String) {
        add(L_HOSTNAME, "setting the hostname \"\(name)\"", texts: [name])
    }

    mutating func beginProcess(taskFiles: [String], endsWithParent: Bool, oomScoreAdjustment: Int? = nil) {
        if endsWithParent { add(L_PARENT_DEATH, "asking to end with the parent", numbers: [9]) }
        add(L_RESET_SIGNALS, "resetting signals")
        add(L_SETSID, "starting a session")
        for path in taskFiles {
            add(L_WRITE, "entering the cgroup", texts: [path], blob: [UInt8(ascii: "0")])
        }
        // Docker's default is 0; the keeper's own may be low and is inherited.
        if let oomScoreAdjustment {
            add(
                L_WRITE, "setting the out-of-memory score to \(oomScoreAdjustment)",
                texts: ["/proc/self/oom_score_adj"], blob: Array("\(oomScoreAdjustment)".utf8))
        } else {
            add(
                L_WRITE, "resetting the out-of-memory score", texts: ["/proc/self/oom_score_adj"],
                blob: [UInt8(ascii: "0")], flags: 3)
        }
    }

    /// What the coming execve(2) changes to, written while /proc is the host's: of a container's own nobody knows what it
    /// leads to (CVE-2025-52881). apparmor(7), aa_change_onexec(2); selinux(8), setexeccon(3).
    mutating func addLabels(appArmor: String?, seLinux: String?) {
        if let profile = appArmor {
            add(
                L_WRITE, "taking the AppArmor profile \"\(profile)\"",
                texts: ["/proc/self/attr/apparmor/exec"], blob: Array("exec \(profile)".utf8))
        }
        if let context = seLinux {
            add(
                L_WRITE, "taking the SELinux context \(context)", texts: ["/proc/self/attr/exec"],
                blob: Array(context.utf8))
        }
    }

    /// Into other processes' namespaces before anything is mounted: sysfs and mqueue show those of whoever mounts them.
    fileprivate mutating func addJoins(_ joins: [NamespaceJoin], from first: Int32) {
        for (index, join) in joins.enumerated() {
            let slot = Slot(first + Int32(index))
            if join.flags & NamespaceJoin.newPID != 0 {
                // Born there. From now on it can be seen by processes that are not ours, so it keeps nothing but its own;
                // it is unreadable as the keeper is (CVE-2016-9962).
                pidNamespace = slot
                add(L_DUMPABLE, "becoming unreadable", numbers: [0])
                add(L_CLOSE_OTHERS, "closing descriptors")
            }
        }
        for (index, join) in joins.enumerated() where join.flags & ~NamespaceJoin.newPID != 0 {
            add(
                L_JOIN, "joining \(join.title)", slots: [Slot(first + Int32(index))],
                numbers: [join.flags & ~NamespaceJoin.newPID])
        }
    }

    fileprivate mutating func addRoot(_ prepared: PreparedContainer, host: HostFacts) -> Slot {
        let root = newSlot()
        let recursivePrivate: UInt64 = 1 << 18 | 1 << 14
        add(L_PROPAGATION, "making mounts private", texts: ["/"], numbers: [recursivePrivate])
        if prepared.lowers.isEmpty {
            add(L_OPEN_TREE, "mounting the root file system", slots: [root], texts: [prepared.upper])
            add(L_ATTACH_HOST, "mounting the root file system", slots: [root], texts: [prepared.mountPoint])
        } else if host.overlayLowerdirPlus, prepared.lowers.allSatisfy({ $0.utf8.count < 256 }) {
            let layers = prepared.lowers.map { ("lowerdir+", $0) }
            add(
                L_FSMOUNT, "mounting the root file system", slots: [root], texts: ["overlay"],
                blob: options(
                    [("source", "overlay")] + layers + [
                        ("upperdir", prepared.upper), ("workdir", prepared.work),
                    ] + prepared.overlayOptions),
                numbers: [0])
            add(L_ATTACH_HOST, "mounting the root file system", slots: [root], texts: [prepared.mountPoint])
        } else {
            let text =
                "lowerdir=\(prepared.lowers.map(escapeOverlay).joined(separator: ":")),upperdir="
                + "\(escapeOverlay(prepared.upper)),workdir=\(escapeOverlay(prepared.work))"
                + prepared.overlayOptions.map { $0.value.isEmpty ? ",\($0.key)" : ",\($0.key)=\($0.value)" }
                .joined()
            add(
                L_LEGACY_MOUNT, "mounting the root file system", slots: [root],
                texts: ["overlay", prepared.mountPoint, "overlay"], blob: Array(text.utf8) + [0], numbers: [0]
            )
        }
        return root
    }

    /// The OCI runtime-spec's Linux defaults with Docker's options; gives the slot of /proc.
    fileprivate mutating func addKernelFileSystems(
        in root: Slot, request: ContainerRequest, host: HostFacts, sysfs: Bool, sharedMemory: SharedMemory
    ) -> Slot {
        typealias A = MountAttribute
        // A privileged container may write to the kernel's file systems, as in Docker.
        let sealed = request.rare?.privileged == true ? 0 : A.readOnly
        let proc = addFileSystem("proc", [], A.noSetUID | A.noDevices | A.noExec, at: "/proc", in: root)
        let dev = addFileSystem(
            "tmpfs", [("mode", "755"), ("size", "65536k")], A.noSetUID | A.strictAccessTime, at: "/dev",
            in: root)
        for (name, major, minor) in defaultDevices {
            add(
                L_MKNOD, "making /dev/\(name)", slots: [dev], texts: [name],
                numbers: [0o020666, major << 8 | minor])
        }
        var directories = ["pts", "shm", "mqueue"]
        if case .none = sharedMemory { directories = ["pts", "mqueue"] }
        for name in directories {
            add(L_MKDIR, "making /dev/\(name)", slots: [dev], texts: [name], numbers: [0o755])
        }
        for (target, name) in deviceLinks {
            add(L_SYMLINK, "making /dev/\(name)", slots: [dev], texts: [target, name])
        }
        _ = addFileSystem(
            "devpts", [("newinstance", ""), ("ptmxmode", "0666"), ("mode", "0620"), ("gid", "5")],
            A.noSetUID | A.noExec,
            at: "/dev/pts", in: root)
        switch sharedMemory {
        case .own:
            _ = addFileSystem(
                "tmpfs", [("mode", "1777"), ("size", "\(request.shmSize.bytes)")],
                A.noSetUID | A.noDevices | A.noExec, at: "/dev/shm", in: root)
        case .host:
            let tree = newSlot()
            add(L_OPEN_TREE, "mounting the host's /dev/shm", slots: [tree], texts: ["/dev/shm"])
            add(
                L_ATTACH, "mounting the host's /dev/shm", slots: [tree, root], texts: ["/dev/shm"],
                flags: 1 | 4)
        case .given(let tree):
            add(
                L_ATTACH, "mounting shared memory at /dev/shm", slots: [tree, root], texts: ["/dev/shm"],
                flags: 1 | 4)
        case .none: break
        }
        _ = addFileSystem("mqueue", [], A.noSetUID | A.noDevices | A.noExec, at: "/dev/mqueue", in: root)
        // sysfs shows the network namespace it was mounted in.
        if sysfs {
            _ = addFileSystem(
                "sysfs", [], sealed | A.noSetUID | A.noDevices | A.noExec, at: "/sys", in: root)
            if host.cgroupV2 {
                _ = addFileSystem(
                    "cgroup2", [], sealed | A.noSetUID | A.noDevices | A.noExec, at: "/sys/fs/cgroup",
                    in: root)
            }
        }
        return proc
    }

    /// Makes a file system and mounts it at a real directory of the root: a link there is refused (CVE-2023-27561).
    fileprivate mutating func addFileSystem(
        _ type: String, _ settings: [(key: String, value: String)], _ attributes: UInt64, at target: String,
        in root: Slot
    ) -> Slot {
        let slot = newSlot()
        add(
            L_FSMOUNT, "mounting \(type) at \(target)", slots: [slot], texts: [type],
            blob: options([("source", target == "/dev/shm" ? "shm" : type)] + settings),
            numbers: [attributes])
        add(L_ATTACH, "mounting \(type) at \(target)", slots: [slot, root], texts: [target], flags: 1 | 4)
        return slot
    }

    fileprivate mutating func addStandardStreams(nullRoot root: Slot) {
        for (number, slot) in [
            ContainerSlots.standardInput, ContainerSlots.standardOutput, ContainerSlots.standardError,
        ]
        .enumerated() {
            add(
                L_DUPLICATE, "connecting the standard streams", slots: [slot, root], numbers: [UInt64(number)]
            )
        }
    }

    /// From inside the root to execve(2).
    mutating func addProcess(
        arguments: [String], environment: [String], workingDirectory: String, identity: ProcessIdentity,
        capabilities: UInt64, seccomp: [UInt8], noNewPrivileges: Bool, ulimits: [String: LimitPair],
        initProcess: Bool, takesLabel: Bool = false, second: SecondProcess = .early
    ) {
        add(L_CHDIR, "entering the working directory \(workingDirectory)", texts: [workingDirectory])
        for (name, limit) in ulimits.sorted(by: { $0.key < $1.key }) {
            guard let number = resourceLimits[name] else { continue }
            add(
                L_RLIMIT, "setting ulimit \(name) to \(limit.soft):\(limit.hard)",
                numbers: [number, UInt64(bitPattern: limit.soft), UInt64(bitPattern: limit.hard)])
        }
        add(L_UMASK, "setting the umask", numbers: [0o022])
        // A label waits for the next execve(2), which would be the stub's.
        var stub: Slot?
        isApart = takesLabel || !seccomp.isEmpty && !filterAllows(seccomp, .execveat)
        if !takesLabel {
            let slot = newSlot()
            add(L_STUB, "preparing the execution", slots: [slot], numbers: [UInt64(second.flags)])
            stub = slot
        }
        if !noNewPrivileges { addSeccomp(seccomp) }
        add(L_BOUNDING, "limiting capabilities", numbers: [capabilities])
        add(
            L_GROUPS, "setting groups",
            blob: identity.groups.flatMap(nativeBytes))
        add(
            L_IDENTITY, "becoming user \(identity.uid):\(identity.gid)",
            numbers: [UInt64(identity.uid), UInt64(identity.gid)])
        // Another user than root keeps none: no ambient set, as Docker does. Inheritable stays empty (CVE-2022-24769).
        let own = identity.uid == 0 ? capabilities : 0
        add(L_CAPABILITIES, "limiting capabilities", numbers: [own, own, 0])
        if initProcess { add(L_INIT, "starting the init process") }
        if noNewPrivileges {
            add(L_NO_NEW_PRIVILEGES, "setting no_new_privs")
            add(L_CLOSE_ON_EXEC, "closing descriptors", numbers: [3])
            addSeccomp(seccomp)
        } else {
            add(L_CLOSE_ON_EXEC, "closing descriptors", numbers: [3])
        }
        let candidates = executables(arguments[0], environment: environment)
        let strings = nulTerminated(candidates + arguments + environment)
        add(
            L_EXEC, "running \"\(arguments[0])\"", slots: [stub], blob: strings,
            flags: second.flags | (lookingFlags(under: seccomp) == 0 ? 0 : UInt32(LAUNCH_SHALLOW)),
            numbers: [UInt64(candidates.count), UInt64(arguments.count), UInt64(environment.count)])
    }

    fileprivate mutating func addSeccomp(_ filter: [UInt8]) {
        if !filter.isEmpty { add(L_SECCOMP, "loading the seccomp filter", blob: filter) }
    }
}

/// `key\0value\0`… for fsconfig(2); an empty value is a flag.
func options(_ settings: [(key: String, value: String)]) -> [UInt8] {
    nulTerminated(settings.flatMap { [$0.key, $0.value] })
}

/// Each string with a NUL after it, in one buffer.
func nulTerminated(_ strings: [String]) -> [UInt8] {
    var bytes: [UInt8] = []
    for string in strings {
        bytes += string.utf8
        bytes.append(0)
    }
    return bytes
}

/// overlayfs's own escapes in mount(2) data: a colon separates layers, a comma options, a backslash escapes.
func escapeOverlay(_ path: String) -> String {
    path.reduce(into: "") { text, character in
        if ":,\\".contains(character) { text.append("\\") }
        text.append(character)
    }
}

/// A number as the kernel reads it.
func nativeBytes(_ number: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: number) { [UInt8]($0) }
}

/// execvp(3)'s candidates: the name itself when it has a slash, else one for each directory of PATH.
public func executables(_ name: String, environment: [String]) -> [String] {
    if name.contains("/") { return [name] }
    let path = environment.last { $0.hasPrefix("PATH=") }.map { String($0.dropFirst(5)) } ?? defaultPath
    if path.isEmpty { return ["/\(name)"] }
    let candidates = path.split(separator: ":").map { "\($0)/\(name)" }
    // A list of nothing but separators: a place that can't be (ENOTDIR), so that nothing is found.
    return candidates.isEmpty ? ["/dev/null/\(name)"] : candidates
}

/// Of those, what a launch program can have (CLaunch/verify.c, L_FIND).
public let mostSearchedPlaces = 511

/// Arguments, and variables, that a hook in a container's namespaces can have (CLaunch/verify.c, L_HOOK).
public let mostHookStrings = 1999

/// Docker's.
public let defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

private let readOnlyPaths = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]

private let maskedPaths = [
    "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
]

/// RLIMIT_* by Compose's names; getrlimit(2).
public let resourceLimits: [String: UInt64] = [
    "cpu": 0, "fsize": 1, "data": 2, "stack": 3, "core": 4, "rss": 5, "nproc": 6, "nofile": 7, "memlock": 8,
    "as": 9,
    "locks": 10, "sigpending": 11, "msgqueue": 12, "nice": 13, "rtprio": 14, "rttime": 15,
]
