// SPDX-License-Identifier: Apache-2.0
//
// `logs`: reads the segment files itself, so that it works without a controller; with -f it is woken by inotify and
// learns of new containers from the controller.

internal import Basics
internal import Controller
internal import Kernel

func runLogs(_ session: Session) throws(Failure) -> Int32 {
    let arguments = session.arguments
    let place = try session.place()
    var tail: Int?
    if let text = arguments.last(.tail), text != "all" {
        // As Docker's: a negative number means all.
        guard let number = Int(text) else {
            throw Failure("cannot understand --tail \(text)", cause: "it is neither a number nor \"all\"")
        }
        tail = number < 0 ? nil : number
    }
    let now = realtimeNanoseconds()
    let since = try arguments.moment(.since, now: now) ?? .min
    let until = try arguments.moment(.until, now: now) ?? .max
    guard since <= until else {
        throw Failure(
            "cannot show the logs of that time", cause: "--since is later than --until",
            advice: "exchange the two")
    }
    let choice = LogChoice(services: arguments.operands, index: try arguments.number(.index, atLeast: 1))
    let feed = LogFeed(
        project: place.project, choice: choice, tail: tail,
        printer: LogPrinter(
            out: session.out, errors: session.errors,
            style: .init(prefix: !arguments.has(.noLogPrefix), times: arguments.has(.timestamps))),
        period: since...until)
    // Who follows wants to hear of what comes: without a controller another is started, as by other commands.
    let running =
        arguments.has(.follow) ? try session.controller(place) : try ControlClient.connect(to: place)
    guard let client = running else {
        let containers = try containersOnDisk(place)
        try feed.update(to: containers)
        guard !feed.isEmpty || exists(place.directory) else {
            throw Failure(
                "project \"\(place.project)\" has no logs", cause: "nothing of it is in \(place.directory)",
                advice: "run `covey up`")
        }
        try checkKnown(arguments.operands, among: containers.map(\.service), session)
        try feed.printAvailable(last: true)
        return 0
    }
    if !arguments.has(.follow) {
        let containers = try session.containers(place)
        try checkKnown(arguments.operands, among: containers.map(\.service), session)
        try feed.update(to: containers.map(LogContainer.init))
        try feed.printAvailable(last: true)
        return 0
    }
    return try followLogs(feed, choice, try StatusWatch(session, place, client, choice), session)
}

/// A name that is only not up is fine, a misspelt one is not; without Compose files the containers' names are all
/// there is to go by.
func checkKnown(_ names: [String], among present: [String], _ session: Session) throws(Failure) {
    for name in names where !present.contains(name) {
        guard let project = try? session.project() else {
            throw Failure(
                "no service \"\(name)\" in the project",
                advice: nearest(to: name, among: Set(present).sorted()).map { "did you mean \"\($0)\"?" })
        }
        try checkServices([name], project)
    }
}

private func followLogs(_ feed: LogFeed, _ choice: LogChoice, _ watch: StatusWatch, _ session: Session)
    throws(Failure) -> Int32
{
    let signals = try interruptSignals()
    var checked = false
    while true {
        let news = try watch.wait(signals: signals, logs: feed.wakeup, atMost: feed.patience)
        if let containers = news.containers {
            if !checked { try checkKnown(choice.services, among: containers.map(\.service), session) }
            checked = true
            try feed.update(to: containers.map(LogContainer.init))
        }
        try feed.printAvailable(last: news.ended)
        if news.signal != nil { return interruptedCode }
        if news.ended || watch.everyoneEnded || feed.isOver { return try feed.finish() }
    }
}

/// Which containers' logs are wanted.
struct LogChoice {
    var services: [String] = []
    var index: Int?
    /// Only these of them; empty is all.
    var only: [String] = []
    var except: [String] = []

    func wants(_ container: LogContainer) -> Bool {
        (services.isEmpty || services.contains(container.service))
            && (index == nil || index == container.index)
            && (only.isEmpty || only.contains(container.service)) && !except.contains(container.service)
    }
}

/// What the logs need to know of a container.
struct LogContainer: Equatable {
    var name: String
    var service: String
    var index: Int
    var directory: String
    /// Nanoseconds since 1970; 0 when it is not known.
    var createdAt: Int64 = 0
}

extension LogContainer {
    init(_ status: ContainerStatus) {
        self.init(
            name: status.name, service: status.service, index: status.index, directory: status.logDirectory,
            createdAt: status.createdAt)
    }
}

/// The containers whose logs are on the disk, when no controller is there to ask. One whose record can't be read is told by
/// its name, `<project>-<service>-<index>`, or with `_`; of another name, it is its own service.
func containersOnDisk(_ place: ProjectPlace) throws(Failure) -> [LogContainer] {
    let directory = "\(place.directory)/containers"
    let names: [String]
    do throws(SyscallError) {
        names = try directoryEntries(directory)
    } catch {
        if error.errno == .noEntry { return [] }
        throw Failure("cannot list the containers of project \"\(place.project)\"", error)
    }
    return names.map { name in
        var container = LogContainer(
            name: name, service: name, index: 1, directory: "\(directory)/\(name)/log")
        if let origin = place.origin(ofContainer: name) {
            (container.service, container.index) = origin
            return container
        }
        for separator in ["-", "_"] where name.hasPrefix(place.project + separator) {
            let rest = name.dropFirst(place.project.count + 1)
            guard let end = rest.lastIndex(of: Character(separator)), end > rest.startIndex,
                let index = Int(rest[rest.index(after: end)...])
            else { continue }
            container.service = String(rest[..<end])
            container.index = index
        }
        return container
    }
}
