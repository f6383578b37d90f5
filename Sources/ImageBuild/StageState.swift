// SPDX-License-Identifier: Apache-2.0
//
// What a stage is at one point of its Dockerfile: files, config, variables. The instructions that change no file
// are carried out here; nothing in this file touches the disk.

internal import Basics
internal import DockerfileSyntax
internal import OCIFormats

struct StageState {
    var layers = LayerStack()
    var config = ImageConfig.Defaults()
    var environment = Environment()
    var arguments = Scope()
    var history: [ImageConfig.History] = []
    var author: String?
    var architecture = hostArchitecture
    var variant: String?
    /// Of the last step that changed a file.
    var created: String?
    /// The steps it is made of, those of the stages it stands on included.
    var steps: [KeptStep] = []
    /// True when this stage said `CMD` itself: `ENTRYPOINT` only clears an inherited one.
    private var commandIsOwn = false

    static let defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    /// `FROM scratch`.
    init() {
        environment["PATH"] = StageState.defaultPath
        config.workingDir = "/"
    }

    init(_ image: ImageConfig, _ layers: LayerStack) {
        self.layers = layers
        config = image.config ?? .init()
        environment = Environment(config.env ?? [])
        if environment["PATH"] == nil { environment["PATH"] = StageState.defaultPath }
        history = image.history ?? []
        author = image.author
        architecture = image.architecture
        variant = image.variant
        created = image.created
    }

    /// `FROM` an earlier stage: everything but what that stage knew of its own `CMD`.
    func derived() -> StageState {
        var state = self
        state.commandIsOwn = false
        return state
    }

    var workingDirectory: String { config.workingDir.flatMap { $0.isEmpty ? nil : $0 } ?? "/" }
    var shell: [String] { config.shell.flatMap { $0.isEmpty ? nil : $0 } ?? ["/bin/sh", "-c"] }

    func lookUp(_ name: String) -> String? { environment[name] ?? arguments.value(name) }

    /// An absolute path for one that counts from the working directory.
    func absolute(_ path: String) -> String {
        joinedPath(workingDirectory, path)
    }

    /// `ENV` and the arguments in effect, as a program gets them.
    var runEnvironment: [String] {
        var result = environment
        for (name, value) in arguments.declared where environment[name] == nil {
            if let value { result[name] = value }
        }
        return result.list
    }

    /// The image's config document.
    func imageConfig(labels: [String: String], epoch: Int64?) -> ImageConfig {
        var image = ImageConfig(architecture: architecture)
        image.variant = variant
        image.created = epoch.map { rfc3339(seconds: $0) } ?? created
        image.author = author
        var defaults = config
        defaults.env = environment.list
        for (name, value) in labels {
            defaults.labels = (defaults.labels ?? [:]).merging([name: value]) { $1 }
        }
        image.config = defaults
        image.rootfs.diffIDs = layers.diffIDs
        image.history = history
        return image
    }

    /// - created: nil for the time of the last step that changed a file.
    mutating func remember(_ text: String, emptyLayer: Bool, created time: String? = nil) {
        var entry = ImageConfig.History(createdBy: text, emptyLayer: emptyLayer ? true : nil)
        entry.created = time ?? created
        history.append(entry)
    }

    // MARK: Instructions that change no file

    mutating func apply(_ action: Action, _ words: Substitution) throws(Failure) {
        switch action {
        case .env(let values):
            // All values of one instruction see the environment from before it.
            var pairs: [(String, String)] = []
            for each in values { pairs.append(try expand(each, "ENV", words)) }
            for (name, value) in pairs { environment[name] = value }
        case .label(let values):
            var labels = config.labels ?? [:]
            for each in values {
                let (name, value) = try expand(each, "LABEL", words)
                labels[name] = value
            }
            config.labels = labels
        case .command(let line):
            config.cmd = arguments(of: line)
            commandIsOwn = true
        case .entrypoint(let line):
            config.entrypoint = arguments(of: line)
            if !commandIsOwn { config.cmd = nil }
        case .shell(let shell): config.shell = shell
        case .user(let word): config.user = try expanded(word, "USER", words)
        case .expose(let ports):
            var all = config.exposedPorts ?? [:]
            for word in ports {
                for text in try words.expandAndSplit(word) {
                    for port in try StageState.ports(text, at: word.location) { all[port] = .init() }
                }
            }
            config.exposedPorts = all
        case .volume(let paths):
            var all = config.volumes ?? [:]
            for word in paths { all[try expanded(word, "VOLUME", words)] = .init() }
            config.volumes = all
        case .stopSignal(let word):
            let signal = try expanded(word, "STOPSIGNAL", words)
            guard SignalNames.isSignal(signal) else {
                let near = nearest(to: signal.uppercased(), among: SignalNames.all)
                throw Failure(
                    "`\(signal)` is not a signal", advice: near.map { "did you mean `\($0)`?" },
                    at: word.location)
            }
            config.stopSignal = signal
        case .healthcheck(let check): config.healthcheck = healthcheck(check)
        case .maintainer(let name): author = name
        case .onBuild(let trigger): config.onBuild = (config.onBuild ?? []) + [trigger]
        case .arg, .copy, .add, .run, .workdir: break
        }
    }

    private func expand(_ pair: NamedValue, _ instruction: String, _ words: Substitution) throws(Failure)
        -> (String, String)
    {
        (try expanded(pair.name, instruction, words), try words.expand(pair.value))
    }

    private func expanded(_ word: Word, _ instruction: String, _ words: Substitution) throws(Failure)
        -> String
    {
        let text = try words.expand(word)
        guard !text.isEmpty else {
            throw Failure(
                "`\(instruction)` is empty",
                cause: "`\(word.text)` is nothing once its variables are replaced",
                at: word.location)
        }
        return text
    }

    func arguments(of line: CommandLine) -> [String] {
        switch line {
        case .exec(let words): words
        case .shell(let text): shell + [text]
        }
    }

    private func healthcheck(_ check: Healthcheck) -> ImageConfig.Healthcheck {
        var result = ImageConfig.Healthcheck()
        switch check {
        case .none: result.test = ["NONE"]
        case .check(let options, let line):
            switch line {
            case .exec(let words): result.test = ["CMD"] + words
            case .shell(let text): result.test = ["CMD-SHELL", text]
            }
            result.interval = options.interval?.nanoseconds
            result.timeout = options.timeout?.nanoseconds
            result.startPeriod = options.startPeriod?.nanoseconds
            result.startInterval = options.startInterval?.nanoseconds
            result.retries = options.retries
        }
        return result
    }

    /// `port[-port][/protocol]` as the config's keys, `80/tcp`; what stands before it is the host's and left out.
    private static func ports(_ given: String, at place: SourceLocation) throws(Failure) -> [String] {
        let text = given[(given.lastIndex(of: ":").map { given.index(after: $0) } ?? given.startIndex)...]
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        let proto = parts.count > 1 ? parts[1].lowercased() : "tcp"
        let ends = parts[0].split(separator: "-", omittingEmptySubsequences: false).map { UInt16($0) }
        guard parts.count <= 2, ["tcp", "udp", "sctp"].contains(proto), (1...2).contains(ends.count),
            let low = ends[0], low > 0, let high = ends[ends.count - 1], low <= high
        else {
            throw Failure(
                "`\(given)` is not a port", cause: "`EXPOSE` takes port[-port][/tcp|/udp|/sctp]", at: place)
        }
        return (low...high).map { "\($0)/\(proto)" }
    }
}

/// Signals by name and number (signal(7)).
enum SignalNames {
    static let all = [
        "SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGIOT", "SIGBUS", "SIGFPE",
        "SIGKILL",
        "SIGUSR1", "SIGSEGV", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGTERM", "SIGSTKFLT", "SIGCHLD", "SIGCONT",
        "SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF",
        "SIGWINCH", "SIGIO", "SIGPOLL", "SIGPWR", "SIGSYS", "SIGRTMIN", "SIGRTMAX",
    ]

    static func isSignal(_ text: String) -> Bool {
        if let number = Int(text) { return (1...64).contains(number) }
        var name = text.uppercased()
        if !name.hasPrefix("SIG") { name = "SIG" + name }
        if all.contains(name) { return true }
        for (base, sign) in [("SIGRTMIN", "+"), ("SIGRTMAX", "-")] where name.hasPrefix(base + sign) {
            return Int(name.dropFirst(base.count + 1)).map { (0...30).contains($0) } ?? false
        }
        return false
    }
}
