// SPDX-License-Identifier: Apache-2.0
//
// A bundle's configuration, and whether this host and this runtime can do what it says: what can't be is refused by
// name before anything is made.

internal import Basics
internal import CLinux
internal import Kernel
internal import LaunchPlanning
internal import OCIFormats
internal import SeccompCompiler

struct Bundle {
    /// Absolute.
    var path: String
    var bytes: [UInt8]
    var config: RuntimeConfig
    /// Absolute, without links.
    var rootfs: String

    init(_ path: String, configuration: String? = nil) throws(Failure) {
        self.path = path
        let name = configuration ?? "config.json"
        let file = name.hasPrefix("/") ? name : "\(path)/\(name)"
        if configuration != nil { sealBinary(beforeReading: file) }
        do throws(SyscallError) { bytes = try readFile(file, limit: 16 << 20) } catch {
            throw Failure(
                "cannot read the bundle's configuration",
                cause: error.errno == .noEntry
                    ? "open \(file): no such file or directory" : error.description,
                advice: error.errno == .noEntry ? "`covey oci spec` writes one" : nil)
        }
        do throws(RuntimeConfigError) { config = try RuntimeConfig.read(bytes) } catch {
            throw Failure(
                "cannot use \(file)", cause: "\(error)", advice: "see the OCI runtime specification")
        }
        guard let root = config.root else {
            throw Failure("cannot use \(file)", cause: "root: it is missing")
        }
        let place = root.path.hasPrefix("/") ? root.path : "\(path)/\(root.path)"
        do throws(SyscallError) {
            rootfs = try canonicalPath(place)
        } catch {
            throw Failure(
                "cannot use the root file system \(root.path)",
                cause: error.errno == .noEntry
                    ? "stat \(place): no such file or directory" : error.description)
        }
        try check(file)
    }

    private func check(_ file: String) throws(Failure) {
        func refuse(_ cause: String, _ advice: String? = nil) -> Failure {
            Failure("cannot use \(file)", cause: cause, advice: advice)
        }
        let linux = config.linux
        if let field = linux.unsupported.first {
            throw refuse("\(field): not supported by this runtime", "leave it out")
        }
        if let process = config.process {
            if process.arguments.isEmpty || process.arguments[0].isEmpty {
                throw refuse("process.args: args must not be empty")
            }
            try checkProcess(process, file)
        }
        func has(_ kind: RuntimeConfig.NamespaceKind) -> Bool {
            linux.namespaces.contains { $0.kind == kind }
        }
        func isNew(_ kind: RuntimeConfig.NamespaceKind) -> Bool {
            linux.namespaces.contains { $0.kind == kind && $0.path == nil }
        }
        if !has(.mount), rootfs == "/" {
            throw refuse(
                "root.path: over / nothing can be mounted that is then found there",
                "add {\"type\": \"mount\"}, or give another root")
        }
        if !has(.mount), has(.user) {
            throw refuse(
                "linux.namespaces: in a user namespace nothing can be mounted without a mount namespace",
                "add {\"type\": \"mount\"}")
        }
        if !(config.hostname ?? "").isEmpty, !has(.uts) {
            throw refuse("hostname: unable to set hostname without a private UTS namespace")
        }
        if !(config.domainname ?? "").isEmpty, !has(.uts) {
            throw refuse("domainname: unable to set domainname without a private UTS namespace")
        }
        if isNew(.user), linux.uidMappings.isEmpty || linux.gidMappings.isEmpty {
            throw refuse("linux.uidMappings: a new user namespace needs uidMappings and gidMappings")
        }
        if !has(.user), !linux.uidMappings.isEmpty || !linux.gidMappings.isEmpty {
            throw refuse(
                "linux.uidMappings: user namespace mappings specified, but user namespace isn't enabled in the config"
            )
        }
        if !linux.timeOffsets.isEmpty, !isNew(.time) {
            throw refuse(
                "linux.timeOffsets: time namespace offsets specified, but time namespace isn't enabled in the config"
            )
        }
        for setting in linux.sysctl { try checkSysctl(setting.name, has: has, file) }
        // MINORBITS, linux/kdev_t.h.
        let (majors, minors) = (Int64(0)...0xfff, Int64(0)...0xf_ffff)
        for device in linux.devices
        where !majors.contains(device.major) || !minors.contains(device.minor) {
            throw refuse("linux.devices: \(device.path) has no number a device can have")
        }
        func check(_ kind: String, _ list: [RuntimeConfig.Hook]) throws(Failure) {
            for (index, hook) in list.enumerated()
            where max(hook.arguments.count, hook.environment?.count ?? 0) > mostHookStrings {
                throw refuse(
                    "hooks.\(kind)[\(index)]: more than \(mostHookStrings) arguments or variables")
            }
        }
        let hooks = config.hooks
        try check("createContainer", hooks.createContainer)
        try check("startContainer", hooks.startContainer)
        try check("prestart", hooks.prestart)
        try check("createRuntime", hooks.createRuntime)
        try check("poststart", hooks.poststart)
        try check("poststop", hooks.poststop)
    }

    private func checkSysctl(
        _ name: String, has: (RuntimeConfig.NamespaceKind) -> Bool, _ file: String
    ) throws(Failure) {
        let parts = sysctlPath(name).split(separator: "/", omittingEmptySubsequences: false)
        let isPath = !parts.contains { ["", ".", ".."].contains($0) }
        let dotted = parts.joined(separator: ".")
        let ofIPC = [
            "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall",
            "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced",
        ]
        let needed: RuntimeConfig.NamespaceKind?
        if ofIPC.contains(dotted) || dotted.hasPrefix("fs.mqueue.") {
            needed = .ipc
        } else if dotted.hasPrefix("net.") {
            needed = .network
        } else if dotted == "kernel.domainname" {
            needed = .uts
        } else if dotted.hasPrefix("user.") {
            needed = .user
        } else {
            needed = nil
        }
        guard isPath, let needed, has(needed) else {
            throw Failure(
                "cannot use \(file)",
                cause: "linux.sysctl: sysctl \"\(name)\" is not in a separate kernel namespace",
                advice: needed.map { "add the \($0.rawValue) namespace, or leave it out" })
        }
    }
}

/// What is wrong with a process whoever starts it.
func checkProcess(_ process: RuntimeConfig.Process, _ file: String) throws(Failure) {
    func refuse(_ cause: String) -> Failure { Failure("cannot use \(file)", cause: cause) }
    if process.workingDirectory.isEmpty { throw refuse("process.cwd: Cwd property must not be empty") }
    if !process.workingDirectory.hasPrefix("/") {
        throw refuse("process.cwd: Cwd must be an absolute path")
    }
    for limit in process.rlimits
    where resourceLimits[limit.type.dropFirst(7).lowercased()] == nil {
        throw refuse("process.rlimits: \(limit.type) is no limit this kernel has")
    }
    if process.user.uid == .max || process.user.gid == .max || process.user.additionalGroups.contains(.max) {
        throw refuse("process.user: 4294967295 is no id")
    }
    if process.arguments.count + process.environment.count > 15_000 {
        throw refuse("process.args: more than 15000 arguments and variables")
    }
    let places = executables(process.arguments.first ?? "", environment: process.environment).count
    if places > mostSearchedPlaces {
        throw refuse(
            "process.env: PATH has \(places) directories, of which \(mostSearchedPlaces) can be searched")
    }
}

/// Descriptor numbers have 16 bits at most, and three are the standard ones.
private let mostPreserved = (1 << 16) - 3

/// Numbers that shall be handed over and that the caller left free are taken, so that no descriptor of ours comes to be
/// among them (CVE-2024-21626). These close at the execve(2), as long as which they must stay.
private func reserveNumbers(_ count: Int) throws(Failure) {
    guard count > 0 else { return }
    try naming("cannot hand over \(count) descriptors") { () throws(SyscallError) in
        let null = try openFile("/dev/null")
        let raw = null.raw
        for number in Int32(3)..<Int32(3 + count) where linux_fcntl_int(number, F_GETFD, 0) < 0 {
            _ = try retrying("fcntl", "F_DUPFD_CLOEXEC") { linux_fcntl_int(raw, F_DUPFD_CLOEXEC, number) }
        }
    }
}

/// realpath(3) for a directory, by opening it.
func canonicalPath(_ path: String) throws(SyscallError) -> String {
    let directory = try openFile(path, flags: O_PATH | O_DIRECTORY)
    return try readLink("/proc/self/fd/\(directory.raw)")
}

extension BundleProcess {
    /// With scheduler and the like as numbers, and LISTEN_FDS passed on.
    init(
        _ process: RuntimeConfig.Process, settings: RuntimeSettings, rootfs: String
    ) throws(Failure) {
        self.init(process)
        var counts = [settings.preservedDescriptors]
        if let count = settings.activation.listening.flatMap({ Int($0) }), count > 0 {
            // sd_listen_fds(3): the program is the one they are for, whatever its number outside is.
            self.process.environment.append("LISTEN_FDS=\(count)")
            self.process.environment.append("LISTEN_PID=1")
            if let names = settings.activation.names {
                self.process.environment.append("LISTEN_FDNAMES=\(names)")
            }
            counts.append(count)
        }
        for count in counts {
            guard count <= mostPreserved - preserved else {
                throw Failure(
                    "cannot hand over \(count) descriptors",
                    cause:
                        "more than \(mostPreserved)\(preserved > 0 ? " with the \(preserved) before them" : "")",
                    advice: "ask for fewer with --preserve-fds and LISTEN_FDS")
            }
            preserved += count
        }
        try reserveNumbers(preserved)
        if !process.environment.contains(where: { $0.hasPrefix("HOME=") }) {
            let home = (try? resolveHome(process.user.uid, rootfs)) ?? "/"
            self.process.environment.append("HOME=\(home)")
        }
        if let scheduler = process.scheduler { self.scheduler = try schedulerAttributes(scheduler) }
        if let io = process.ioPriority { ioPriority = try ioPriorityNumber(io) }
    }

    /// Apart from the rest, for what can't be granted is told: that comes once, when no command is executed anew any more.
    mutating func grantCapabilities(warn: (String) -> Void) {
        capabilities = capabilitySets(process.capabilities ?? RuntimeConfig.Capabilities(), warn: warn)
    }

    /// What the container has for all its processes: filter and personality.
    mutating func take(_ linux: RuntimeConfig.Linux, _ manners: Manners) throws(Failure) {
        if let seccomp = linux.seccomp {
            filter = try LoadedFilter(
                seccomp, kernel: kernelRelease(), alwaysListens: manners.alwaysHandsListenerOver)
        }
        if let given = linux.personality { personality = try personalityNumber(given) }
    }
}
