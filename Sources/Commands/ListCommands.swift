// SPDX-License-Identifier: Apache-2.0
//
// `ps` and `ls`: what is there, as tables for people and JSON for machines.

internal import Basics
internal import Controller
internal import JSONFormat
internal import Kernel

func runPs(_ session: Session) throws(Failure) -> Int32 {
    let place = try session.place()
    for warning in engineWarnings(place) { session.errors.line("warning: \(warning)") }
    var containers = try session.containers(place) { session.errors.line("warning: \($0)") }
    let wanted = session.arguments.operands
    try checkKnown(wanted, among: containers.map(\.service), session)
    if !wanted.isEmpty { containers.removeAll { !wanted.contains($0.service) } }
    let states = try wantedStates(session.arguments)
    if !states.isEmpty {
        containers.removeAll { !states.contains($0.state) }
    } else if !session.arguments.has(.all) {
        containers.removeAll { !$0.state.isUp }
    }
    if session.arguments.isOff(.orphans) {
        let declared = try session.project()
        containers.removeAll { declared.services[$0.service] == nil }
    }
    if session.arguments.has(.services) {
        var seen: Set<String> = []
        for container in containers where seen.insert(container.service).inserted {
            session.out.line(container.service)
        }
    } else if session.arguments.has(.quiet) {
        for container in containers { session.out.line(container.name) }
    } else {
        let now = realtimeNanoseconds()
        switch session.arguments.last(.format) {
        case nil, "table":
            session.out.write(
                containerTable(containers, now: now, whole: session.arguments.has(.noTruncation)))
        case "json":
            for container in containers {
                session.out.line(containerJSON(container, project: place.project, now: now).compact)
            }
        case let format?:
            let rows = containers.map { containerFields($0, project: place.project, now: now) }
            session.out.write(try RowTemplate(format).text(of: rows))
        }
    }
    return 0
}

/// What `--status` and `--filter status=` ask for; none is every state that `ps` shows.
private func wantedStates(_ arguments: Arguments) throws(Failure) -> Set<ContainerStatus.State> {
    var states: Set<ContainerStatus.State> = []
    for text in arguments.all(.status) + (try filters(arguments, by: "status")) {
        guard let state = ContainerStatus.State(rawValue: text) else {
            throw Failure(
                "cannot list containers in state \"\(text)\"", cause: "there is no such state",
                advice: "use \(ContainerStatus.State.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        states.insert(state)
    }
    return states
}

/// The values of `--filter KEY=VALUE`.
private func filters(_ arguments: Arguments, by key: String) throws(Failure) -> [String] {
    var values: [String] = []
    for text in arguments.all(.filter) {
        guard text.hasPrefix("\(key)=") else {
            throw Failure("cannot understand --filter \(text)", advice: "write \(key)=VALUE")
        }
        values.append(String(text.dropFirst(key.count + 1)))
    }
    return values
}

extension ContainerStatus.State {
    /// Shown by `ps` without -a.
    var isUp: Bool {
        switch self {
        case .starting, .running, .paused, .restarting, .stopping: true
        case .created, .exited, .dead: false
        }
    }
}

/// The table of `ps`, with Docker Compose's columns.
///
/// - Parameter whole: commands are not shortened.
func containerTable(_ containers: [ContainerStatus], now: Int64, whole: Bool = false) -> String {
    table(
        ["NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED", "STATUS", "PORTS"],
        containers.map {
            let command = onOneLine($0.command.joined(separator: " "))
            return [
                $0.name, $0.image, "\"\(whole ? command : shortened(command, to: 20))\"", $0.service,
                "\(humanDuration(nanoseconds: now - $0.createdAt)) ago", statusText($0, now: now),
                portsText($0.ports),
            ]
        })
}

/// `Up 2 minutes (healthy)`, `Exited (1) 3 seconds ago`.
func statusText(_ container: ContainerStatus, now: Int64) -> String {
    let since = container.startedAt.map { humanDuration(nanoseconds: now - $0) }
    let ended = container.finishedAt.map { " \(humanDuration(nanoseconds: now - $0)) ago" } ?? ""
    let code = container.exitCodeKnown ? container.exitCode.map(String.init) ?? "?" : "unknown"
    let health = container.health.map { $0 == .starting ? " (health: starting)" : " (\($0.rawValue))" } ?? ""
    switch container.state {
    case .created: return "Created"
    case .starting: return "Starting"
    case .paused: return "Up" + (since.map { " \($0)" } ?? "") + " (Paused)"
    case .running: return "Up" + (since.map { " \($0)" } ?? "") + health
    case .restarting: return "Restarting (\(code))\(ended)"
    case .stopping: return "Stopping"
    case .exited: return "Exited (\(code))\(ended)" + (container.oomKilled ? ", out of memory" : "")
    case .dead: return "Dead"
    }
}

/// `0.0.0.0:8080->80/tcp, 127.0.0.1:53->53/udp`
func portsText(_ ports: [PublishedPortStatus]) -> String {
    ports.map { port in
        let host = port.hostAddress.contains(":") ? "[\(port.hostAddress)]" : port.hostAddress
        return "\(host):\(port.hostPort)->\(port.containerPort)/\(port.proto.rawValue)"
    }.joined(separator: ", ")
}

/// One container for machines.
func containerJSON(_ container: ContainerStatus, project: String, now: Int64) -> JSONText {
    .object(containerFields(container, project: project, now: now).map { ($0.name, $0.value) })
}

/// A container's fields for JSON and templates: Docker Compose's names, with what its own list says under them, and ours.
private func containerFields(_ container: ContainerStatus, project: String, now: Int64) -> [(
    name: String, value: JSONText
)] {
    func moment(_ value: Int64?) -> JSONText { value.map { .string(rfc3339(nanoseconds: $0)) } ?? .null }
    let addresses = container.addresses.sorted { $0.key < $1.key }
    return [
        ("Name", .string(container.name)),
        ("Project", .string(project)),
        ("Service", .string(container.service)),
        ("Index", .number(container.index)),
        ("OneOff", .bool(container.oneOff)),
        ("Image", .string(container.image)),
        ("Command", .string(container.command.joined(separator: " "))),
        ("State", .string(container.state.rawValue)),
        ("Status", .string(statusText(container, now: now))),
        ("Health", .string(container.health?.rawValue ?? "")),
        ("HealthOutput", .optional(container.healthOutput)),
        ("ExitCode", container.exitCodeKnown ? .number(container.exitCode ?? 0) : .null),
        ("OOMKilled", .bool(container.oomKilled)),
        ("Pid", container.pid.map { .number($0) } ?? .null),
        ("Restarts", .number(container.restarts)),
        ("CreatedAt", moment(container.createdAt)),
        ("StartedAt", moment(container.startedAt)),
        ("FinishedAt", moment(container.finishedAt)),
        ("ID", .string(container.name)),
        ("Names", .string(container.name)),
        ("RunningFor", .string("\(humanDuration(nanoseconds: now - container.createdAt)) ago")),
        ("Networks", .string(addresses.map(\.key).joined(separator: ","))),
        ("Addresses", .object(addresses.map { ($0.key, .string($0.value)) })),
        ("Ports", .string(portsText(container.ports))),
        (
            "Publishers",
            .array(
                container.ports.map {
                    .object([
                        ("URL", .string($0.hostAddress)), ("TargetPort", .number(Int64($0.containerPort))),
                        ("PublishedPort", .number(Int64($0.hostPort))),
                        ("Protocol", .string($0.proto.rawValue)),
                    ])
                })
        ),
    ]
}

/// One project as `ls` shows it.
struct ProjectSummary: Equatable {
    var name: String
    /// `running(3)`, `exited(1), running(2)`; `unattended(3)` when no controller looks after it.
    var status: String
    var running: Bool
    var files: [String]
}

func runLs(_ session: Session) throws(Failure) -> Int32 {
    let directory = "\(session.root)/projects"
    var names: [String] = []
    do throws(SyscallError) {
        names = try directoryEntries(directory)
    } catch {
        if error.errno != .noEntry { throw Failure("cannot list the projects", error) }
    }
    var found: [ProjectSummary] = []
    let texts = try filters(session.arguments, by: "name")
    for name in names where texts.isEmpty || texts.contains(where: { name.contains($0) }) {
        found.append(try summary(session, session.place(name)))
    }
    if !session.arguments.has(.all) { found.removeAll { !$0.running } }
    if session.arguments.has(.quiet) {
        for project in found { session.out.line(project.name) }
    } else if session.arguments.last(.format) == "json" {
        session.out.line(
            JSONText.array(
                found.map {
                    .object([
                        ("Name", .string($0.name)), ("Status", .string($0.status)),
                        ("ConfigFiles", .string($0.files.joined(separator: ","))),
                    ])
                }
            ).compact)
    } else {
        session.out.write(
            table(
                ["NAME", "STATUS", "CONFIG FILES"],
                found.map { [$0.name, $0.status, $0.files.joined(separator: ",")] }))
    }
    return 0
}

/// The little `ls` reads of a project's record.
private struct ProjectFiles: Decodable { var files: [String]? }

private func summary(_ session: Session, _ place: ProjectPlace) throws(Failure) -> ProjectSummary {
    let record = (try? readFile("\(place.directory)/project.json")) ?? []
    let files = (try? decodeJSON(ProjectFiles.self, from: record))?.files ?? []
    // No controller is started for a list: a project that lost its own says so.
    guard let client = try ControlClient.connect(to: place) else {
        let count = ((try? directoryEntries("\(place.directory)/containers")) ?? []).count
        return ProjectSummary(
            name: place.project, status: "unattended(\(count))", running: count > 0, files: files)
    }
    let containers = try session.containers(place, client)
    return ProjectSummary(
        name: place.project, status: stateCounts(containers), running: containers.contains { $0.state.isUp },
        files: files)
}

/// `exited(1), running(2)`
func stateCounts(_ containers: [ContainerStatus]) -> String {
    var counts: [String: Int] = [:]
    for container in containers { counts[container.state.rawValue, default: 0] += 1 }
    return counts.sorted { $0.key < $1.key }.map { "\($0.key)(\($0.value))" }.joined(separator: ", ")
}
