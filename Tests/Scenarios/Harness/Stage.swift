// SPDX-License-Identifier: Apache-2.0
//
// Stage: where one scenario plays: state directories of its own, a network namespace of its own as "the host", a
// project name of its own, a copy of its project's files, and the binary run in it as a person would run it.
//
// The scenario's contract: a step reads as a sentence; what is checked is what can be observed; waiting is
// `eventually`, bounded, never a fixed sleep. After the scenario the census must be what it was before. When a step
// throws, everything that helps to understand is kept under .build/scenario-artifacts, and the stage is cleared by force.

import FoundationEssentials
import Glibc
import Kernel
import Testing

/// A row of `covey ps --format json`.
struct ContainerRow: Decodable, Sendable {
    var Name: String
    var Service: String
    var State: String
    var Health: String
    var ExitCode: Int?
    var OOMKilled: Bool
    var Pid: Int?
    var Restarts: Int
    var CreatedAt: String?
}

final class Stage {
    let scenario: String
    /// Unique on this machine; a directory, a cgroup and a name at once.
    let project: String
    let directory: String
    /// The project's files, copied here; commands run here.
    var files: String { "\(directory)/files" }
    let host: String
    private(set) var transcript: [String] = []
    private var running: [RunningProgram] = []
    private var peers: [String] = []
    private(set) var environment: [String]

    /// Plays a scenario: `steps` on a fresh stage with the files of `projects/NAME`, then `down -v` and the leak check.
    static func play(_ scenario: String, _ steps: (Stage) throws -> Void) throws {
        let stage = try Stage(scenario)
        do {
            let before = try stage.census()
            try steps(stage)
            // By name: the files may declare less by now than they did.
            try stage.covey("-p", stage.project, "down", "-v", "--timeout", "2")
            for program in stage.running where program.ended() == nil { program.signal(SIGKILL) }
            for program in stage.running { _ = try? program.wait() }
            try stage.eventually("nothing is left behind") {
                try stage.census().more(than: before).isEmpty
            } orSay: {
                try stage.census().more(than: before).joined(separator: "\n")
            }
        } catch {
            stage.keepArtifacts(error)
            stage.clearByForce()
            throw error
        }
        stage.remove()
    }

    private init(_ scenario: String) throws {
        guard Host.lacks.isEmpty else {
            throw ScenarioError("the host lacks \(Host.lacks.joined(separator: ", "))")
        }
        var template = Array("/var/tmp/covey-scenario.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw ScenarioError("mkdtemp: \(String(cString: strerror(errno)))")
        }
        directory = String(decoding: template.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        self.scenario = scenario
        let suffix = directory.suffix(6).lowercased()
        project = "t-\(scenario.prefix(20))-\(suffix)"
        host = "covey-t-\(suffix)"
        environment = [
            "PATH=\(Host.path)", "HOME=\(directory)", "COVEY_ROOT=\(directory)/root",
            "COVEY_RUN=\(directory)/run",
            "COVEY_NAMESPACES=caller", "COMPOSE_PROJECT_NAME=\(project)", "NO_COLOR=1", "TERM=dumb",
            "LC_ALL=C",
        ]
        for name in ["root", "run", "files", "scratch"] { try ensureDirectory("\(directory)/\(name)") }
        try Host.run(["ip", "netns", "add", host]).orThrow()
        try inHost(["ip", "link", "set", "lo", "up"]).orThrow()
        let source = "\(Host.repository)/Tests/Scenarios/projects/\(scenario)"
        if exists(source) { try Host.run(["cp", "-a", "\(source)/.", files]).orThrow() }
        try covey("image", "import", "dir:\(try Host.rootfs.get())", "bb:1")
    }

    // MARK: - Running

    /// Runs the binary to its end; throws unless it ends with `code`.
    @discardableResult
    func covey(
        _ arguments: String..., code: Int32 = 0, variables: [String] = [], input: String = "/dev/null",
        limit: Duration = .seconds(60)
    ) throws -> Outcome {
        let outcome = try start(arguments, variables: variables, input: input).wait(limit: limit)
        transcript.append(outcome.description)
        guard outcome.code == code else { throw ScenarioError("expected exit \(code):\n\(outcome)") }
        return outcome
    }

    /// As `covey`, whatever its exit code.
    func attempt(_ arguments: String..., variables: [String] = [], limit: Duration = .seconds(60)) throws
        -> Outcome
    {
        let outcome = try start(arguments, variables: variables).wait(limit: limit)
        transcript.append(outcome.description)
        return outcome
    }

    /// Builds a Dockerfile beside the project's own, as an image of that name, whatever comes of it.
    func attemptBuild(_ dockerfile: String, as image: String = "beside:1") throws -> Outcome {
        try write("beside.Dockerfile", dockerfile)
        try write(
            "beside.yaml",
            "services: {x: {build: {context: ., dockerfile: beside.Dockerfile}, image: '\(image)'}}\n")
        return try attempt("-f", "beside.yaml", "build")
    }

    /// As `attemptBuild`; throws unless there is an image.
    func build(_ dockerfile: String, as image: String) throws {
        try attemptBuild(dockerfile, as: image).orThrow()
    }

    /// Starts the binary and leaves it running; ended by force at the end of the scenario.
    func start(_ arguments: [String], variables: [String] = [], input: String = "/dev/null") throws
        -> RunningProgram
    {
        // The first of two of a name would count.
        let names = Set(variables.map { $0.prefix { $0 != "=" } })
        let inherited = environment.filter { !names.contains($0.prefix { $0 != "=" }) }
        // nsenter becomes the program: its pid is the binary's, for signals.
        let program = try RunningProgram(
            ["nsenter", "--net=/run/netns/\(host)", Host.covey ?? "covey"] + arguments,
            environment: inherited + variables, directory: files, scratch: "\(directory)/scratch",
            input: input)
        running.append(program)
        return program
    }

    /// Starts the binary in a terminal of its own, as a person does.
    func startInTerminal(_ arguments: [String]) throws -> UserTerminal {
        let user = try UserTerminal(
            ["nsenter", "--net=/run/netns/\(host)", Host.covey ?? "covey"] + arguments,
            environment: environment, directory: files, scratch: "\(directory)/scratch")
        running.append(user.program)
        return user
    }

    /// Runs a program of the machine on "the host": in the scenario's network namespace.
    func inHost(_ command: [String]) throws -> Outcome {
        let outcome = try RunningProgram(
            ["nsenter", "--net=/run/netns/\(host)"] + command, environment: environment, directory: files,
            scratch: "\(directory)/scratch"
        ).wait()
        transcript.append(outcome.description)
        return outcome
    }

    /// Starts a program of the machine on "the host" and leaves it running; ended by force at the end.
    @discardableResult
    func serve(_ command: [String]) throws -> RunningProgram {
        let program = try RunningProgram(
            ["nsenter", "--net=/run/netns/\(host)"] + command, environment: environment, directory: files,
            scratch: "\(directory)/scratch")
        running.append(program)
        return program
    }

    /// Another machine on the host's network: 192.0.2.2, the host being 192.0.2.1. Runs a program there.
    func inNeighbour(_ command: [String]) throws -> Outcome {
        let neighbour = "\(host)-n"
        if !peers.contains(neighbour) {
            try Host.run(["ip", "netns", "add", neighbour]).orThrow()
            peers.append(neighbour)
            let link = [
                "ip", "link", "add", "up0", "type", "veth", "peer", "name", "up0", "netns", neighbour,
            ]
            try inHost(link).orThrow()
            for (name, address) in [(host, "192.0.2.1/24"), (neighbour, "192.0.2.2/24")] {
                try Host.run(["ip", "-n", name, "address", "add", address, "dev", "up0"]).orThrow()
                try Host.run(["ip", "-n", name, "link", "set", "up0", "up"]).orThrow()
            }
            try Host.run(["ip", "-n", neighbour, "route", "add", "default", "via", "192.0.2.1"]).orThrow()
        }
        return try Host.run(["nsenter", "--net=/run/netns/\(neighbour)"] + command)
    }

    /// Takes the neighbour away again, so that the census sees only the product's links.
    func dismissNeighbour() throws {
        for peer in peers { try Host.run(["ip", "netns", "delete", peer]) }
        _ = try inHost(["ip", "link", "delete", "up0"])
        peers = []
    }

    /// Runs a shell line in a service's container and gives what it wrote; throws unless it ends with 0.
    @discardableResult
    func exec(_ service: String, _ line: String, index: Int? = nil) throws -> String {
        let which = index.map { ["--index", "\($0)"] } ?? []
        let outcome = try start(["exec", "-T"] + which + [service, "sh", "-c", line]).wait()
        transcript.append(outcome.description)
        guard outcome.succeeded else { throw ScenarioError("in \(service): \(outcome)") }
        return outcome.text
    }

    /// Whether a shell line in a service's container ends with 0.
    func execSucceeds(_ service: String, _ line: String) throws -> Bool {
        let outcome = try start(["exec", "-T", service, "sh", "-c", line]).wait()
        transcript.append(outcome.description)
        return outcome.succeeded
    }

    // MARK: - Observing

    /// All containers of the project, stopped ones too, sorted by name.
    func containers(of other: String? = nil) throws -> [ContainerRow] {
        try covey("-p", other ?? project, "ps", "-a", "--format", "json").lines
            .map { try JSONDecoder().decode(ContainerRow.self, from: Data($0.utf8)) }
            .sorted { $0.Name < $1.Name }
    }

    func container(_ service: String) throws -> ContainerRow {
        guard let row = try containers().first(where: { $0.Service == service }) else {
            throw ScenarioError("service \(service) has no container")
        }
        return row
    }

    /// What identifies each running container: the process itself, with its start time.
    func processes() throws -> [String: String] {
        var result: [String: String] = [:]
        for row in try containers() {
            guard let pid = row.Pid else { continue }
            let fields = statFields(Int32(pid))  // field 22 is the start time
            result[row.Name] = "\(pid) since \(fields.count > 19 ? fields[19] : "?")"
        }
        return result
    }

    /// Both streams; standard output first, for `logs` sends each where the container sent it.
    func logs(_ arguments: String...) throws -> String {
        let outcome = try start(["logs"] + arguments).wait()
        transcript.append(outcome.description)
        guard outcome.succeeded else { throw ScenarioError("\(outcome)") }
        return outcome.output + outcome.errors
    }

    /// Pids of the binary's own processes that look after the project: keeper first, then controller.
    func engine(of other: String? = nil) -> [pid_t] {
        let project = other ?? project
        let found = ((try? directoryEntries("/proc")) ?? []).compactMap { pid_t($0) }.filter { pid in
            let groups = contents("/proc/\(pid)/cgroup")
            // In a hierarchy where it needs nothing a container stays where it was born.
            return groups.contains("/covey/\(project)/engine") && !groups.contains("/covey/\(project)/ctr-")
                && !isZombie(pid)
        }
        // By its record: after a loss the keeper may be the younger, and parent of nobody here.
        let record = contents("\(directory)/run/\(project)/keeper.json")
        let keeper = record.drop { !$0.isNumber }.prefix { $0.isNumber }
        return found.filter { "\($0)" == keeper } + found.filter { "\($0)" != keeper }
    }

    /// Keeper and controller at once: of two either would start the other again.
    func killEngine(of other: String? = nil) throws {
        try eventually("keeper and controller are gone") {
            for pid in engine(of: other).reversed() { kill(pid, SIGKILL) }
            return engine(of: other).isEmpty
        }
    }

    /// Arms a fault point (Sources/CLinux/include/linux_fault.h) for commands given `faults` as variables.
    func armFault(_ text: String) throws { try writeFile("\(directory)/fault", Array(text.utf8)) }

    /// Whether the armed fault point was passed, and struck.
    var faultStruck: Bool { !exists("\(directory)/fault") }

    var faults: [String] { ["COVEY_FAULT=\(directory)/fault"] }

    func census() throws -> Census { try Census.take(project: project, state: directory, host: host) }

    /// Asks until it is true; throws when it is not within `limit`.
    func eventually(
        within limit: Duration = .seconds(20), _ what: String, _ condition: () throws -> Bool,
        orSay: () throws -> String = { "" }
    ) throws {
        let deadline = ContinuousClock.now + limit
        var pause: UInt32 = 5000
        while try !condition() {
            guard ContinuousClock.now < deadline else {
                throw ScenarioError("not within \(limit): \(what)\n\(try orSay())")
            }
            usleep(pause)
            pause = min(pause * 2, 200_000)
        }
    }

    /// Fails the step unless the condition holds.
    func require(_ condition: Bool, _ what: @autoclosure () throws -> String) throws {
        if !condition { throw ScenarioError(try what()) }
    }

    /// Whether the controllers are those of cgroup v2.
    var isUnified: Bool { !exists("/sys/fs/cgroup/memory/memory.limit_in_bytes") }

    /// A control file of a service's first container, of v1 with its hierarchy; empty when there is none.
    func cgroupFile(_ service: String, _ file: String) -> String {
        let parts = file.split(separator: "/")
        let mount = parts.count > 1 ? "/sys/fs/cgroup/\(parts[0])" : "/sys/fs/cgroup"
        return String(
            contents("\(mount)/covey/\(project)/ctr-\(project)-\(service)-1/\(parts[parts.count - 1])")
                .prefix { $0 != "\n" })
    }

    // MARK: - Files

    func write(_ name: String, _ text: String) throws { try writeFile("\(files)/\(name)", Array(text.utf8)) }

    /// Replaces text in the project's compose.yaml; the text must be there.
    func edit(_ old: String, _ new: String, in name: String = "compose.yaml") throws {
        let text = contents("\(files)/\(name)")
        guard let range = text.firstRange(of: old) else { throw ScenarioError("\(name) has no \(old)") }
        try write(name, text.replacingCharacters(in: range, with: new))
    }

    // MARK: - The end

    private func keepArtifacts(_ error: any Error) {
        let kept = "\(Host.repository)/.build/scenario-artifacts/\(project)"
        try? ensureDirectory(kept)
        var text = transcript.joined(separator: "\n")
        text += "\n\nfailed: \(error)\n"
        for program in running where program.ended() == nil {
            text += "\nstill running: \(program.command.joined(separator: " "))\n\(program.soFar)\n"
        }
        text += "\ncensus:\n" + ((try? census().found.sorted().joined(separator: "\n")) ?? "none")
        text += "\nlinks:\n\((try? inHost(["ip", "address"]))?.output ?? "")"
        text += "\nnft:\n\((try? inHost(["nft", "list", "ruleset"]))?.output ?? "")"
        for path in tree("\(directory)/run") + tree("\(directory)/root/projects", depth: 6)
        where (try? fileStatus(path))?.isRegular == true {
            text += "\n--- \(path)\n\(contents(path, atMost: 20_000))"
        }
        try? writeFile("\(kept)/transcript.txt", Array(text.utf8))
        _ = try? Host.run(["cp", "-a", files, kept])
        say("scenario \(scenario): artifacts in .build/scenario-artifacts/\(project)")
    }

    /// Ends what this scenario's project left running, by the pids in its own cgroups and its own namespace.
    private func clearByForce() {
        for program in running where program.ended() == nil { program.signal(SIGKILL) }
        for program in running { _ = try? program.wait(limit: .seconds(5)) }
        // A scenario that fails half-way may have brought up others beside its own.
        let projects = Set([project] + ((try? directoryEntries("\(directory)/root/projects")) ?? []))
        for name in projects {
            _ = try? attempt("-p", name, "down", "-v", "--timeout", "1", limit: .seconds(20))
        }
        for name in projects { killAll(of: name) }
        remove()
    }

    private func killAll(of project: String) {
        for _ in 0..<50 {
            let left = ((try? directoryEntries("/proc")) ?? []).compactMap { pid_t($0) }.filter {
                contents("/proc/\($0)/cgroup").contains("/covey/\(project)")
            }
            if left.isEmpty { break }
            for pid in left where pid != getpid() { kill(pid, SIGKILL) }
            usleep(20_000)
        }
        let hierarchies =
            ["/sys/fs/cgroup"]
            + (((try? directoryEntries("/sys/fs/cgroup")) ?? []).map { "/sys/fs/cgroup/\($0)" })
        for hierarchy in hierarchies {
            let group = "\(hierarchy)/covey/\(project)"
            for path in (tree(group).reversed() + [group]) { rmdir(path) }
        }
    }

    private func remove() {
        for name in peers + [host] { _ = try? Host.run(["ip", "netns", "delete", name]) }
        try? removeTree(directory)
    }
}

extension Outcome {
    @discardableResult
    func orThrow() throws -> Outcome {
        guard succeeded else { throw ScenarioError(description) }
        return self
    }
}

extension String {
    fileprivate func replacingCharacters(in range: Range<String.Index>, with text: String) -> String {
        String(self[..<range.lowerBound]) + text + String(self[range.upperBound...])
    }
}
