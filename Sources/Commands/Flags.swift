// SPDX-License-Identifier: Apache-2.0
//
// Flags as data: one table per command, from which parsing, help and completions are made. What a flag means is
// the command's; here is only how it is written.

internal import Basics

/// Every flag by its long name.
enum FlagName: String {
    case alias = "as", ansi, build, detach, env, environment, file, follow, format, hash, help, images, index,
        interactive, json, models, networks, output, profile, profiles, progress,
        project = "project-name"
    case prune, quiet, root, run, scale, services, signal, since, tail, timeout, timestamps, tty, until, user,
        variables, version, volumes, wait, watch,
        workdir, all
    case envFile = "env-file"
    case forceRecreate = "force-recreate"
    case lockImageDigests = "lock-image-digests"
    case noCache = "no-cache"
    case noColor = "no-color"
    case noConsistency = "no-consistency"
    case noEnvResolution = "no-env-resolution"
    case noInterpolate = "no-interpolate"
    case noLogPrefix = "no-log-prefix"
    case noNormalize = "no-normalize"
    case noPathResolution = "no-path-resolution"
    case noTTY = "no-tty"
    case projectDirectory = "project-directory"
    case removeOrphans = "remove-orphans"
    case renewVolumes = "renew-anon-volumes"
    case resolveImageDigests = "resolve-image-digests"
    case waitTimeout = "wait-timeout"
    // Of one-off containers and of attaching.
    case capAdd = "cap-add"
    case capDrop = "cap-drop"
    case envFromFile = "env-from-file"
    case noDependencies = "no-deps"
    case remove = "rm"
    case servicePorts = "service-ports"
    case useAliases = "use-aliases"
    case entrypoint, label, name, publish, volume
    case abortOnExit = "abort-on-container-exit"
    case abortOnFailure = "abort-on-container-failure"
    case alwaysRecreateDependencies = "always-recreate-deps"
    case detachKeys = "detach-keys"
    case downProject = "down-project"
    case exitCodeFrom = "exit-code-from"
    case noAttach = "no-attach"
    case noInput = "no-stdin"
    case noRecreate = "no-recreate"
    case noStart = "no-start"
    case noUp = "no-up"
    case noStream = "no-stream"
    case proto = "protocol"
    case proxySignals = "sig-proxy"
    case quietBuild = "quiet-build"
    case attach, force, stop
    // Of lists and of what they leave out.
    case noTruncation = "no-trunc"
    case filter, orphans, short, status
    case noBuild = "no-build"
    case removeImages = "rmi"
    case privileged, yes
    // Of images and registries.
    case ignoreBuildable = "ignore-buildable"
    case ignorePullFailures = "ignore-pull-failures"
    case ignorePushFailures = "ignore-push-failures"
    case includeDependencies = "include-deps"
    case quietPull = "quiet-pull"
    case passwordInput = "password-stdin"
    case policy, pull, username, password
    case buildCache = "build-cache"
    case inputFile = "input"
    case archive, author, compression, locked, message
    // Of builds.
    case buildArgument = "build-arg"
    case cacheFrom = "cache-from"
    case cacheTo = "cache-to"
    case builder, provenance, push, sbom
    case printOnly = "print"
    case withDependencies = "with-dependencies"
    case check, secret, ssh
    case unit
    // Of all commands.
    case allResources = "all-resources"
    case compatibility
    case dryRun = "dry-run"
    case parallel
    // Of `up`, `cp` and `commit`.
    case attachDependencies = "attach-dependencies"
    case menu
    case followLink = "follow-link"
    case change, pause
    // Of the OCI runtime.
    case additionalGids = "additional-gids"
    case blkioWeight = "blkio-weight"
    case cgroupManager = "cgroup-manager"
    case consoleSocket = "console-socket"
    case cpuBurst = "cpu-burst"
    case cpuIdle = "cpu-idle"
    case cpuPeriod = "cpu-period"
    case cpuQuota = "cpu-quota"
    case cpuRealtimePeriod = "cpu-rt-period"
    case cpuRealtimeRuntime = "cpu-rt-runtime"
    case cpuShare = "cpu-share"
    case cpusetProcessors = "cpuset-cpus"
    case cpusetNodes = "cpuset-mems"
    case ignorePaused = "ignore-paused"
    case logFormat = "log-format"
    case memoryReservation = "memory-reservation"
    case memorySwap = "memory-swap"
    case noNewKeyring = "no-new-keyring"
    case noNewPrivileges = "no-new-privs"
    case noPivot = "no-pivot"
    case noSubreaper = "no-subreaper"
    case pidFile = "pid-file"
    case pidsLimit = "pids-limit"
    case preserveDescriptors = "preserve-fds"
    case processLabel = "process-label"
    case rootless
    case systemdCgroup = "systemd-cgroup"
    case apparmor, bundle, cap, cgroup, config, cwd, debug, interval, keep, log, memory, process, regex,
        resources
    case stats
}

/// One flag as it is written and described.
struct Flag: Sendable {
    enum Value: Sendable {
        /// On or off.
        case none
        /// One value; the last one counts. The text is its placeholder in help.
        case one(String)
        /// As often as wanted.
        case many(String)
        /// One of these.
        case choice([String])
    }
    let name: FlagName
    let short: Character?
    let value: Value
    let help: String
    /// Taken for the habit's sake and not shown.
    let hidden: Bool

    init(_ name: FlagName, _ short: Character?, _ value: Value, _ help: String) {
        self.init(name, short, help, hidden: false, value: value)
    }

    init(_ name: FlagName, _ short: Character?, _ help: String, hidden: Bool = false, value: Value = .none) {
        self.name = name
        self.short = short
        self.value = value
        self.help = help
        self.hidden = hidden
    }

    var takesValue: Bool {
        if case .none = value { return false }
        return true
    }

    /// `-n, --tail N`
    var spelling: String {
        let short = short.map { "-\($0), " } ?? "    "
        switch value {
        case .none: return "\(short)--\(name.rawValue)"
        case .one(let placeholder), .many(let placeholder): return "\(short)--\(name.rawValue) \(placeholder)"
        case .choice(let choices): return "\(short)--\(name.rawValue) \(choices.joined(separator: "|"))"
        }
    }
}

/// How many arguments beside its flags a command takes.
struct Operands: Sendable {
    let usage: String
    let least: Int
    let most: Int?

    static let none = Operands(usage: "", least: 0, most: 0)
    static let services = Operands(usage: "[SERVICE…]", least: 0, most: nil)
    static func exactly(_ usage: String, _ count: Int) -> Operands {
        Operands(usage: usage, least: count, most: count)
    }
    static func atLeast(_ usage: String, _ count: Int) -> Operands {
        Operands(usage: usage, least: count, most: nil)
    }
}

/// What `--dry-run` makes of a command.
enum DryRun: Sendable {
    /// It says what it would do.
    case told
    /// It changes nothing anyway.
    case harmless
    /// It can't say: refused by name.
    case refused
}

/// One command: its name (two words for `image ls`), its flags and what runs it.
struct CommandDefinition: Sendable {
    let name: String
    /// Another name it answers to.
    let alias: String?
    let summary: String
    let operands: Operands
    /// Further text of its help.
    let details: String
    let flags: [Flag]
    /// Touches the kernel or the state directory.
    let needsRoot: Bool
    /// Flags end at the first operand: what follows is another program's.
    let passesRest: Bool
    /// Refused whatever is asked of it: its flags are not looked at.
    let isRefused: Bool
    let dryRun: DryRun
    let run: @Sendable (Session) throws(Failure) -> Int32

    /// Its operands are services of the project.
    var namesServices: Bool { operands.usage == Operands.services.usage }

    init(
        _ name: String, alias: String? = nil, _ summary: String, operands: Operands = .none,
        details: String = "",
        flags: [Flag] = [],
        needsRoot: Bool = true, passesRest: Bool = false, isRefused: Bool = false,
        dryRun: DryRun = .refused,
        run: @escaping @Sendable (Session) throws(Failure) -> Int32
    ) {
        self.name = name
        self.alias = alias
        self.summary = summary
        self.operands = operands
        self.details = details
        self.flags = flags
        self.needsRoot = needsRoot
        self.passesRest = passesRest
        self.isRefused = isRefused
        self.dryRun = dryRun
        self.run = run
    }
}

/// What the user wrote, understood.
struct Arguments {
    // In the order they were written: there are few, and the last of a name counts.
    private var switches: [(name: FlagName, isOn: Bool)] = []
    private var values: [(name: FlagName, text: String)] = []
    var operands: [String] = []

    mutating func set(_ name: FlagName, _ value: Bool) { switches.append((name, value)) }
    mutating func add(_ name: FlagName, _ value: String) { values.append((name, value)) }

    /// nil where the user did not write it.
    func switched(_ name: FlagName) -> Bool? { switches.last { $0.name == name }?.isOn }
    func has(_ name: FlagName) -> Bool { switched(name) ?? false }
    /// Switched off by `--name=false`.
    func isOff(_ name: FlagName) -> Bool { switched(name) == false }
    func last(_ name: FlagName) -> String? { values.last { $0.name == name }?.text }
    func all(_ name: FlagName) -> [String] { values.filter { $0.name == name }.map(\.text) }

    /// A flag's whole number, nil when it isn't given.
    func number(_ name: FlagName, atLeast least: Int = 0) throws(Failure) -> Int? {
        guard let text = last(name) else { return nil }
        guard let number = Int(text), number >= least else {
            throw Failure(
                "cannot understand --\(name.rawValue) \(text)",
                cause: "it is no whole number from \(least) on")
        }
        return number
    }

    /// Seconds (`10`) or a Compose duration (`1m30s`), nil when it isn't given. Longer than a century is a century: no clock
    /// counts to its end.
    func duration(_ name: FlagName) throws(Failure) -> Duration? {
        guard let text = last(name) else { return nil }
        let century = Duration.seconds(100 * 365 * 86_400)
        if let seconds = Int64(text), seconds >= 0 { return min(.seconds(seconds), century) }
        if let duration = Duration(compose: text, saturates: true) { return min(duration, century) }
        throw Failure(
            "cannot understand --\(name.rawValue) \(text)", cause: "it is neither seconds nor a duration",
            advice: "write seconds, or a duration such as 1m30s")
    }
}
