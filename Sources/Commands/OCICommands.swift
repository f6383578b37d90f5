// SPDX-License-Identifier: Apache-2.0
//
// `covey oci …`, or the binary under a runtime's name: flags to OCIRuntime's values, its answers to text, errors also to
// --log. Kept apart from the other commands: nothing of a project is loaded, nobody is asked.

internal import Basics
internal import CLinux
internal import Kernel
internal import OCIRuntime

/// Whom we are called as: by a link of our own name or of those whose place we take, for callers that name no path.
enum OCIName {
    /// The link's name, or nil.
    static let link: String? = {
        guard let path = CommandLine.arguments.first?.utf8 else { return nil }
        let name = path.lastIndex(of: UInt8(ascii: "/")).map { path[path.index(after: $0)...] } ?? path[...]
        let called = String(decoding: name, as: UTF8.self)
        return called == "covey-oci" || called == "runc" || called == "crun" ? called : nil
    }()

    static var manners: Manners { link == "runc" ? .runc : link == "crun" ? .crun : .specification }

    /// What a user writes before a command.
    static var written: String { link ?? "covey oci" }
}

/// What follows `oci`, or all of it when we were called as a runtime; nil when neither is so.
func ociWords(_ arguments: [String]) -> [String]? {
    if OCIName.link != nil { return arguments }
    return arguments.first == "oci" ? Array(arguments.dropFirst()) : nil
}

func runOCI(_ words: [String], _ invocation: Invocation) -> Int32 {
    let plain = Output(fd: invocation.output, colours: false, isTerminal: false)
    var log = RuntimeLog(file: nil, json: false)
    var failureCode: Int32 = 1
    do throws(Failure) {
        switch try parse(
            words, commands: ociCommandTable, globals: ociGlobalFlags, program: OCIName.written)
        {
        case .help(let command?): plain.write(ociHelp(command))
        case .help, .groupHelp: plain.write(ociHelpText)
        case .version: plain.write(ociVersionText)
        case .run(let command, let arguments):
            log = RuntimeLog(
                file: arguments.last(.log).map(invocation.absolute),
                json: arguments.last(.logFormat) == "json")
            if arguments.has(.debug) {
                log.trace("\(OCIName.written) \(words.joined(separator: " "))", invocation.errors)
            }
            if command.name == "exec" { failureCode = 255 }
            try refuseOtherManagers(arguments)
            if command.needsRoot { try requireRoot("oci \(command.name)") }
            return try command.run(Session(invocation, command, arguments))
        }
        return 0
    } catch {
        let errors = Output(fd: invocation.errors, colours: false, isTerminal: false)
        let lines = error.flattened.map { [$0.doing, $0.cause].compactMap { $0 }.joined(separator: ": ") }
        for line in lines { log.write("error", line) }
        // Engines show the last line they find: without a terminal an error is one line.
        if isTerminal(invocation.errors) {
            errors.line(error.description)
        } else {
            for line in lines { errors.line("error: \(line)") }
        }
        return failureCode
    }
}

private func refuseOtherManagers(_ arguments: Arguments) throws(Failure) {
    let manager = arguments.last(.cgroupManager) ?? "cgroupfs"
    if arguments.has(.systemdCgroup) || manager != "cgroupfs" {
        throw Failure(
            "cannot use the cgroup manager \"\(arguments.has(.systemdCgroup) ? "systemd" : manager)\"",
            cause: "only cgroupfs is served: cgroups are made in the file system itself",
            advice: "use --cgroup-manager=cgroupfs")
    }
}

/// The file of --log: one line each, as runc writes it, for those who read it (conmon, containerd).
struct RuntimeLog {
    let file: String?
    let json: Bool

    func write(_ level: String, _ message: String) {
        guard let file else { return }
        let line = logLine(level, message, json: json)
        // A log that can't be written is no reason to fail what was asked for.
        guard let fd = try? openFile(file, flags: O_WRONLY | O_CREAT | O_APPEND, mode: 0o600) else { return }
        try? writeAll(fd.raw, line)
    }

    /// What --debug tells, on standard error where there is no log.
    func trace(_ message: String, _ errors: Int32) {
        if file != nil { return write("debug", message) }
        try? writeAll(errors, logLine("debug", message, json: json))
    }
}

extension Session {
    func ociSettings() throws(Failure) -> RuntimeSettings {
        var settings = RuntimeSettings(root: invocation.absolute(arguments.last(.root) ?? "/run/covey-oci"))
        settings.noPivot = arguments.has(.noPivot)
        settings.sessionKeyring = !arguments.has(.noNewKeyring)
        settings.preservedDescriptors = try arguments.number(.preserveDescriptors) ?? 0
        settings.manners = OCIName.manners
        settings.activation.listening = environmentValue("LISTEN_FDS")
        settings.activation.names = environmentValue("LISTEN_FDNAMES")
        settings.activation.readinessSocket = environmentValue("NOTIFY_SOCKET")
        let log = RuntimeLog(
            file: arguments.last(.log).map(invocation.absolute), json: arguments.last(.logFormat) == "json")
        let errors = invocation.errors
        settings.warn = { text in
            log.write("warning", text)
            if log.file == nil { try? writeAll(errors, Array("warning: \(text)\n".utf8)) }
        }
        if arguments.has(.debug) { settings.trace = { log.trace($0, errors) } }
        return settings
    }

    fileprivate var id: String { arguments.operands.first ?? "" }

    fileprivate func creation() -> Creation {
        var creation = Creation(
            id: id, bundle: invocation.absolute(arguments.last(.bundle) ?? "."),
            time: rfc3339(nanoseconds: realtimeNanoseconds()))
        creation.configuration = arguments.last(.config)
        creation.consoleSocket = arguments.last(.consoleSocket).map(invocation.absolute)
        creation.pidFile = arguments.last(.pidFile).map(invocation.absolute)
        creation.isDetached = command.name == "create" || arguments.has(.detach)
        return creation
    }
}

func runOCICreate(_ session: Session) throws(Failure) -> Int32 {
    try createContainer(session.creation(), session.ociSettings())
    return 0
}

func runOCIRun(_ session: Session) throws(Failure) -> Int32 {
    try runContainer(
        session.creation(), session.ociSettings(), keep: session.arguments.has(.keep))
}

func runOCIStart(_ session: Session) throws(Failure) -> Int32 {
    try startContainer(session.id, session.ociSettings())
    return 0
}

func runOCIState(_ session: Session) throws(Failure) -> Int32 {
    session.out.write(try containerState(session.id, session.ociSettings()).json + [UInt8(ascii: "\n")])
    return 0
}

func runOCIKill(_ session: Session) throws(Failure) -> Int32 {
    let operands = session.arguments.operands
    try killContainer(
        session.id, signal: operands.count > 1 ? operands[1] : "SIGTERM", all: session.arguments.has(.all),
        session.ociSettings())
    return 0
}

func runOCIDelete(_ session: Session) throws(Failure) -> Int32 {
    if session.arguments.has(.regex) {
        try deleteContainers(
            matching: session.id, session.ociSettings(), force: session.arguments.has(.force))
        return 0
    }
    try deleteContainer(session.id, session.ociSettings(), force: session.arguments.has(.force))
    return 0
}

func runOCIEvents(_ session: Session) throws(Failure) -> Int32 {
    if session.arguments.has(.stats) {
        session.out.write(try containerUsage(session.id, session.ociSettings()))
        return 0
    }
    let interval = try session.arguments.duration(.interval) ?? .seconds(5)
    guard interval > .zero else {
        throw Failure(
            "cannot watch container \"\(session.id)\"", cause: "duration interval must be greater than 0",
            advice: "give --interval a time such as 5s")
    }
    try followContainer(session.id, each: interval, session.ociSettings()) { (line) throws(Failure) in
        session.out.write(line)
    }
    return 0
}

func runOCIPause(_ session: Session) throws(Failure) -> Int32 {
    try pauseContainer(session.id, session.ociSettings())
    return 0
}

func runOCIResume(_ session: Session) throws(Failure) -> Int32 {
    try resumeContainer(session.id, session.ociSettings())
    return 0
}

func runOCIFeatures(_ session: Session) throws(Failure) -> Int32 {
    session.out.write(runtimeFeatures())
    return 0
}

func runOCISpec(_ session: Session) throws(Failure) -> Int32 {
    let path = session.invocation.absolute((session.arguments.last(.bundle) ?? ".") + "/config.json")
    if exists(path) {
        throw Failure(
            "cannot write \(path)", cause: "file config.json exists. Remove it first",
            advice: "or name another directory with --bundle")
    }
    try naming("cannot write \(path)") { () throws(SyscallError) in
        try writeFile(
            path,
            configurationTemplate(usersOf: session.arguments.has(.rootless) ? (geteuid(), getegid()) : nil),
            mode: 0o666)
    }
    return 0
}

/// `checkpoint` and `restore`: what was asked for is named, with all its options.
func runOCICheckpoint(_ session: Session) throws(Failure) -> Int32 {
    throw Failure(
        "cannot run `\(OCIName.written) \(([session.command.name] + session.arguments.operands).joined(separator: " "))`",
        cause: "checkpoints are made by CRIU, a program that covey neither contains nor starts",
        advice: "stop the container and start it anew, or use a runtime with CRIU for it")
}

func runOCIExec(_ session: Session) throws(Failure) -> Int32 {
    let arguments = session.arguments
    var execution = Execution(id: session.id)
    execution.arguments = Array(arguments.operands.dropFirst())
    execution.environment = arguments.all(.env)
    execution.workingDirectory = arguments.last(.cwd)
    execution.user = arguments.last(.user)
    for text in arguments.all(.additionalGids).flatMap({ $0.split(separator: ",") }) {
        guard let group = UInt32(text), group != .max else {
            throw Failure("cannot use group \"\(text)\"", cause: "it is no number from 0 to 4294967294")
        }
        execution.additionalGroups.append(group)
    }
    execution.terminal = arguments.has(.tty)
    execution.capabilities = arguments.all(.cap)
    execution.noNewPrivileges = arguments.has(.noNewPrivileges)
    execution.apparmorProfile = arguments.last(.apparmor)
    execution.selinuxLabel = arguments.last(.processLabel)
    if let file = arguments.last(.process) {
        sealBinary(beforeReading: file == "-" ? nil : session.invocation.absolute(file))
        execution.processDocument = try document(file, session)
    }
    execution.consoleSocket = arguments.last(.consoleSocket).map(session.invocation.absolute)
    execution.pidFile = arguments.last(.pidFile).map(session.invocation.absolute)
    execution.detached = arguments.has(.detach)
    execution.cgroups = arguments.all(.cgroup)
    execution.ignorePaused = arguments.has(.ignorePaused)
    return try executeInContainer(execution, session.ociSettings())
}

func document(_ file: String, _ session: Session) throws(Failure) -> [UInt8] {
    try naming("cannot read \(file)") { () throws(SyscallError) in
        file == "-" ? try readAll(session.invocation.input) : try readFile(session.invocation.absolute(file))
    }
}

func runOCIUpdate(_ session: Session) throws(Failure) -> Int32 {
    let bytes: [UInt8]
    if let file = session.arguments.last(.resources) {
        bytes = try document(file, session)
    } else {
        bytes = try resourcesDocument(session.arguments)
    }
    try updateContainer(session.id, document: bytes, session.ociSettings())
    return 0
}

func runOCIList(_ session: Session) throws(Failure) -> Int32 {
    let list = listContainers(try session.ociSettings())
    if session.arguments.has(.quiet) {
        for container in list { session.out.line(container.id) }
    } else if session.arguments.last(.format) == "json" {
        session.out.write(containerListJSON(list) + [UInt8(ascii: "\n")])
    } else {
        let rows = list.map {
            [$0.id, "\($0.pid)", $0.status.rawValue, $0.bundle, $0.created, "root"]
        }
        session.out.write(table(["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"], rows))
    }
    return 0
}
