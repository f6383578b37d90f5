// SPDX-License-Identifier: Apache-2.0
//
// JSON → RuntimeConfig, as strict as the specification's schema: types, ranges, enumerations and required fields, each
// fault with the field's name. Whether this host can do what it says is decided later.

public import JSONFormat

extension RuntimeConfig {
    /// Reads a config.json.
    public static func read(_ bytes: [UInt8]) throws(RuntimeConfigError) -> RuntimeConfig {
        try RuntimeConfig(try parsed(bytes))
    }

    /// From a text that was parsed as a part of another.
    public static func read(_ value: JSONValue) throws(RuntimeConfigError) -> RuntimeConfig {
        try RuntimeConfig(try ConfigObject(value, ""))
    }

    private static func parsed(_ bytes: [UInt8]) throws(RuntimeConfigError) -> ConfigObject {
        let value: JSONValue
        do throws(JSONSyntaxError) { value = try parseJSON(bytes) } catch {
            throw RuntimeConfigError(field: "", problem: "it is no JSON: \(error)")
        }
        return try ConfigObject(value, "")
    }

    /// A `process` object by itself, as `exec --process` takes it.
    public static func readProcess(_ bytes: [UInt8]) throws(RuntimeConfigError) -> Process {
        try Process(try parsed(bytes))
    }

    /// A `linux.resources` object by itself, as `update --resources` takes it.
    public static func readResources(_ bytes: [UInt8]) throws(RuntimeConfigError) -> RuntimeResources {
        try RuntimeResources(try parsed(bytes))
    }

    init(_ object: ConfigObject) throws(RuntimeConfigError) {
        let version = try object.required("ociVersion", object.string("ociVersion"))
        guard isVersionOne(version) else {
            throw object.wrong("ociVersion", "\"\(version)\" is not a version 1.x.y")
        }
        ociVersion = version
        if let found = try object.object("process") { process = try Process(found) }
        if let found = try object.object("root") {
            root = Root(
                path: try found.required("path", found.string("path")),
                readonly: try found.bool("readonly") ?? false)
        }
        hostname = try object.string("hostname")
        domainname = try object.string("domainname")
        for found in try object.objects("mounts") { mounts.append(try Mount(found)) }
        if let found = try object.object("hooks") { hooks = try Hooks(found) }
        annotations = try object.pairs("annotations")
        if annotations.contains(where: \.name.isEmpty) {
            throw object.wrong("annotations", "a key is empty")
        }
        if let found = try object.object("linux") { linux = try Linux(found) }
    }
}

/// Semantic Versioning 2.0.0 with the major version 1.
private func isVersionOne(_ text: String) -> Bool {
    let core = text.prefix { $0 != "-" && $0 != "+" }
    let parts = core.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 3 && parts[0] == "1"
        && parts.allSatisfy { !$0.isEmpty && $0.utf8.allSatisfy { (48...57).contains($0) } }
}

extension RuntimeConfig.Process {
    init(_ object: ConfigObject) throws(RuntimeConfigError) {
        workingDirectory = try object.required("cwd", object.string("cwd"))
        arguments = try object.strings("args")
        environment = try object.strings("env")
        terminal = try object.bool("terminal") ?? false
        if let size = try object.object("consoleSize") {
            consoleSize = (
                try size.required("height", size.number("height", UInt64.self)),
                try size.required("width", size.number("width", UInt64.self))
            )
        }
        if let found = try object.object("user") {
            user.uid = try found.number("uid", UInt32.self) ?? 0
            user.gid = try found.number("gid", UInt32.self) ?? 0
            user.umask = try found.number("umask", UInt32.self)
            user.additionalGroups = try found.numbers("additionalGids", UInt32.self)
        }
        if let found = try object.object("capabilities") {
            var sets = RuntimeConfig.Capabilities()
            sets.bounding = try found.strings("bounding")
            sets.effective = try found.strings("effective")
            sets.permitted = try found.strings("permitted")
            sets.inheritable = try found.strings("inheritable")
            sets.ambient = try found.strings("ambient")
            capabilities = sets
        }
        for found in try object.objects("rlimits") {
            let type = try found.required("type", found.string("type"))
            guard type.hasPrefix("RLIMIT_"), type.utf8.count > 7,
                type.dropFirst(7).utf8.allSatisfy({ (65...90).contains($0) })
            else {
                throw found.wrong("type", "\"\(type)\" is no RLIMIT_ name")
            }
            if rlimits.contains(where: { $0.type == type }) {
                throw found.wrong("type", "\(type) is there twice")
            }
            rlimits.append(
                .init(
                    type: type, soft: try found.required("soft", found.number("soft", UInt64.self)),
                    hard: try found.required("hard", found.number("hard", UInt64.self))))
        }
        noNewPrivileges = try object.bool("noNewPrivileges") ?? false
        oomScoreAdjustment = try object.number("oomScoreAdj", Int.self)
        apparmorProfile = try object.string("apparmorProfile").flatMap { $0.isEmpty ? nil : $0 }
        selinuxLabel = try object.string("selinuxLabel").flatMap { $0.isEmpty ? nil : $0 }
        if let found = try object.object("scheduler") { scheduler = try RuntimeConfig.Scheduler(found) }
        if let found = try object.object("ioPriority") {
            let words = ["IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"]
            ioPriority = RuntimeConfig.IOPriority(
                priorityClass: try found.required("class", found.choice("class", words)),
                priority: try found.number("priority", Int32.self) ?? 0)
        }
        if let found = try object.object("execCPUAffinity") {
            execAffinity = RuntimeConfig.ExecAffinity(
                initial: try found.processors("initial"), final: try found.processors("final"))
        }
    }
}

extension ConfigObject {
    fileprivate func processors(_ name: String) throws(RuntimeConfigError) -> String? {
        guard let text = try string(name) else { return nil }
        guard text.utf8.allSatisfy({ (48...57).contains($0) || [0x2C, 0x20, 0x2D].contains($0) }) else {
            throw wrong(name, "\"\(text)\" is no list of processors")
        }
        return text
    }

    /// "When the action doesn't support an errno, the runtime MUST print and error and fail" (config-linux.md, "Seccomp").
    fileprivate func errno(_ name: String, for action: String) throws(RuntimeConfigError) -> UInt32? {
        guard let errno = try number(name, UInt32.self) else { return nil }
        guard ["SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"].contains(action) else {
            throw wrong(name, "\(action) has no errno")
        }
        // SECCOMP_RET_DATA has 16 bits, and of an errno the kernel makes 4095 what is more (seccomp(2); linux/err.h, MAX_ERRNO).
        let most: UInt32 = action == "SCMP_ACT_ERRNO" ? 4095 : 0xffff
        guard errno <= most else { throw wrong(name, "\(errno) is more than \(action) can give, \(most)") }
        return errno
    }

    fileprivate func mappings(_ name: String) throws(RuntimeConfigError) -> [RuntimeConfig.IDMapping] {
        var result: [RuntimeConfig.IDMapping] = []
        for found in try objects(name) {
            result.append(
                .init(
                    containerID: try found.required(
                        "containerID", found.number("containerID", UInt32.self)),
                    hostID: try found.required("hostID", found.number("hostID", UInt32.self)),
                    size: try found.required("size", found.number("size", UInt32.self))))
        }
        return result
    }
}

extension RuntimeConfig.Scheduler {
    private static let policies = [
        "SCHED_OTHER", "SCHED_FIFO", "SCHED_RR", "SCHED_BATCH", "SCHED_ISO", "SCHED_IDLE", "SCHED_DEADLINE",
    ]
    private static let allFlags = [
        "SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_RECLAIM", "SCHED_FLAG_DL_OVERRUN", "SCHED_FLAG_KEEP_POLICY",
        "SCHED_FLAG_KEEP_PARAMS", "SCHED_FLAG_UTIL_CLAMP_MIN", "SCHED_FLAG_UTIL_CLAMP_MAX",
    ]

    init(_ object: ConfigObject) throws(RuntimeConfigError) {
        policy = try object.required("policy", object.choice("policy", Self.policies))
        nice = try object.number("nice", Int32.self) ?? 0
        priority = try object.number("priority", Int32.self) ?? 0
        flags = try object.choices("flags", Self.allFlags)
        runtime = try object.number("runtime", UInt64.self) ?? 0
        deadline = try object.number("deadline", UInt64.self) ?? 0
        period = try object.number("period", UInt64.self) ?? 0
    }
}

extension RuntimeConfig.Mount {
    init(_ object: ConfigObject) throws(RuntimeConfigError) {
        destination = try object.required("destination", object.string("destination"))
        type = try object.string("type").flatMap { $0.isEmpty ? nil : $0 }
        source = try object.string("source")
        options = try object.strings("options")
        uidMappings = try object.mappings("uidMappings")
        gidMappings = try object.mappings("gidMappings")
    }
}

extension RuntimeConfig.Hooks {
    init(_ object: ConfigObject) throws(RuntimeConfigError) {
        prestart = try hooks(object, "prestart")
        createRuntime = try hooks(object, "createRuntime")
        createContainer = try hooks(object, "createContainer")
        startContainer = try hooks(object, "startContainer")
        poststart = try hooks(object, "poststart")
        poststop = try hooks(object, "poststop")
    }
}

private func hooks(_ object: ConfigObject, _ name: String) throws(RuntimeConfigError) -> [RuntimeConfig.Hook]
{
    var result: [RuntimeConfig.Hook] = []
    for found in try object.objects(name) {
        let path = try found.required("path", found.string("path"))
        guard path.hasPrefix("/") else { throw found.wrong("path", "\"\(path)\" is no absolute path") }
        let timeout = try found.number("timeout", Int.self)
        if let timeout, timeout <= 0 { throw found.wrong("timeout", "it must be greater than zero") }
        result.append(
            .init(
                path: path, arguments: try found.strings("args"),
                environment: found.has("env") ? try found.strings("env") : nil, timeout: timeout))
    }
    return result
}

extension RuntimeConfig.Linux {
    init(_ object: ConfigObject) throws(RuntimeConfigError) {
        for found in try object.objects("namespaces") {
            let type = try found.required("type", found.string("type"))
            guard let kind = RuntimeConfig.NamespaceKind(rawValue: type) else {
                throw found.noneOf(RuntimeConfig.NamespaceKind.allCases.map(\.rawValue), type, "type")
            }
            if namespaces.contains(where: { $0.kind == kind }) {
                throw found.wrong("type", "namespace \"\(type)\" is there twice")
            }
            let path = try found.string("path").flatMap { $0.isEmpty ? nil : $0 }
            if let path, !path.hasPrefix("/") { throw found.wrong("path", "\"\(path)\" is no absolute path") }
            namespaces.append(.init(kind: kind, path: path))
        }
        uidMappings = try object.mappings("uidMappings")
        gidMappings = try object.mappings("gidMappings")
        if let found = try object.object("timeOffsets") {
            for clock in ["monotonic", "boottime"] {
                guard let offset = try found.object(clock) else { continue }
                timeOffsets.append(
                    .init(
                        clock: clock, seconds: try offset.number("secs", Int64.self) ?? 0,
                        nanoseconds: try offset.number("nanosecs", UInt32.self) ?? 0))
            }
        }
        for found in try object.objects("devices") { devices.append(try RuntimeConfig.Device(found)) }
        cgroupsPath = try object.string("cgroupsPath").flatMap { $0.isEmpty ? nil : $0 }
        if let found = try object.object("resources") { resources = try RuntimeResources(found) }
        rootfsPropagation = try object.choice(
            "rootfsPropagation",
            ["private", "shared", "slave", "unbindable", "rprivate", "rshared", "rslave", "runbindable"])
        if let found = try object.object("seccomp") { seccomp = try RuntimeConfig.Seccomp(found) }
        sysctl = try object.pairs("sysctl")
        maskedPaths = try object.strings("maskedPaths")
        readonlyPaths = try object.strings("readonlyPaths")
        try object.requireAbsolute(maskedPaths, "maskedPaths")
        try object.requireAbsolute(readonlyPaths, "readonlyPaths")
        mountLabel = try object.string("mountLabel").flatMap { $0.isEmpty ? nil : $0 }
        if let found = try object.object("personality") {
            personality = RuntimeConfig.Personality(
                domain: try found.choice("domain", ["LINUX", "LINUX32"]) ?? "LINUX",
                flags: try found.strings("flags"))
        }
        for name in ["intelRdt", "memoryPolicy", "netDevices"] where object.has(name) {
            _ = try object.object(name)
            unsupported.append("linux.\(name)")
        }
    }
}

extension RuntimeConfig.Device {
    init(_ object: ConfigObject) throws(RuntimeConfigError) {
        type = try object.required("type", object.choice("type", ["c", "b", "u", "p"]))
        path = try object.required("path", object.string("path"))
        guard path.hasPrefix("/") else { throw object.wrong("path", "\"\(path)\" is no absolute path") }
        major = try object.number("major", Int64.self) ?? 0
        minor = try object.number("minor", Int64.self) ?? 0
        fileMode = try object.number("fileMode", UInt32.self)
        if let fileMode, fileMode > 0o777 {
            throw object.wrong("fileMode", "\(fileMode) is no file mode")
        }
        uid = try object.number("uid", UInt32.self)
        gid = try object.number("gid", UInt32.self)
    }
}

extension RuntimeConfig.Seccomp {
    private static let actions = [
        "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_TRAP", "SCMP_ACT_ERRNO",
        "SCMP_ACT_TRACE", "SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY",
    ]
    private static let operators = [
        "SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT",
        "SCMP_CMP_MASKED_EQ",
    ]
    private static let allFlags = [
        "SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
    ]
    private static let allArchitectures = [
        "X86", "X86_64", "X32", "ARM", "AARCH64", "LOONGARCH64", "M68K", "MIPS", "MIPS64", "MIPS64N32",
        "MIPSEL", "MIPSEL64", "MIPSEL64N32", "PPC", "PPC64", "PPC64LE", "S390", "S390X", "SH", "SHEB",
        "PARISC", "PARISC64", "RISCV64",
    ].map { "SCMP_ARCH_\($0)" }

    init(_ object: ConfigObject) throws(RuntimeConfigError) {
        defaultAction = try object.required("defaultAction", object.choice("defaultAction", Self.actions))
        defaultErrno = try object.errno("defaultErrnoRet", for: defaultAction)
        architectures = try object.choices("architectures", Self.allArchitectures)
        flags = try object.choices("flags", Self.allFlags)
        listenerPath = try object.string("listenerPath").flatMap { $0.isEmpty ? nil : $0 }
        listenerMetadata = try object.string("listenerMetadata").flatMap { $0.isEmpty ? nil : $0 }
        syscalls = []
        for found in try object.objects("syscalls") {
            let names = try found.strings("names")
            if names.isEmpty { throw found.wrong("names", "it needs at least one name") }
            var arguments: [RuntimeConfig.SeccompArgument] = []
            for argument in try found.objects("args") {
                let index = try argument.required("index", argument.number("index", UInt32.self))
                if index > 5 { throw argument.wrong("index", "a system call has arguments 0 to 5") }
                arguments.append(
                    .init(
                        index: index,
                        value: try argument.required("value", argument.number("value", UInt64.self)),
                        valueTwo: try argument.number("valueTwo", UInt64.self) ?? 0,
                        comparison: try argument.required("op", argument.choice("op", Self.operators))))
            }
            let action = try found.required("action", found.choice("action", Self.actions))
            syscalls.append(
                .init(
                    names: names, action: action, errno: try found.errno("errnoRet", for: action),
                    arguments: arguments))
        }
    }
}
