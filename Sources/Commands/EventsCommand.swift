// SPDX-License-Identifier: Apache-2.0
//
// `events`: what happened and happens to the project, a line for each, as `docker compose events` writes them.

internal import Basics
internal import CLinux
internal import Controller
internal import Kernel

func runEvents(_ session: Session) throws(Failure) -> Int32 {
    let now = realtimeNanoseconds()
    var options = EventOptions()
    options.since = try session.arguments.moment(.since, now: now)
    options.until = try session.arguments.moment(.until, now: now)
    options.services = session.arguments.operands
    options.follow = options.until.map { $0 > now } ?? true
    let place = try session.place()
    let signals = try interruptSignals()
    let client = try session.runningController()
    if !options.services.isEmpty {
        try checkKnown(options.services, among: try session.containers(place).map(\.service), session)
    }
    return try EventFeed(session, place, options, signals).show(client)
}

private final class EventFeed {
    private let session: Session
    private let place: ProjectPlace
    private var options: EventOptions
    private let signals: SignalStream
    private let json: Bool

    init(_ session: Session, _ place: ProjectPlace, _ options: EventOptions, _ signals: SignalStream) {
        self.session = session
        self.place = place
        self.options = options
        self.signals = signals
        json = session.arguments.has(.json)
    }

    func show(_ first: ControlClient) throws(Failure) -> Int32 {
        // What happens while a controller comes back is in its log.
        let begun = options.since ?? realtimeNanoseconds()
        var client = first
        while true {
            try client.send(.events(options))
            if client.isGone { return 0 }
            if let code = try showOne(client) { return code }
            options.since = max(options.since ?? begun, begun)
            guard let next = try session.controller(place) else { return 0 }
            client = next
        }
    }

    /// nil when the controller hung up and another may follow.
    private func showOne(_ client: ControlClient) throws(Failure) -> Int32? {
        while true {
            while let (event, _) = try client.nextBuffered() {
                switch event {
                case .event(let event):
                    session.out.line(json ? eventJSON(event, place.project) : eventText(event))
                    options.since = event.time + 1
                case .failed(let failure): throw failure
                case .done: return 0
                default: break
                }
            }
            // What is past is told to its end, however long that takes.
            var left: Duration?
            if let until = options.until, options.follow {
                left = .nanoseconds(max(0, until - realtimeNanoseconds()))
            }
            if left == .zero { return 0 }
            let ready = try kernel("cannot wait for events") { () throws(SyscallError) in
                try waitReadable([client.descriptor, signals.raw], atMost: left)
            }
            if ready[1], signals.next() != nil { return interruptedCode }
            if ready[0], try !client.fill() { return nil }
        }
    }
}

/// `2026-01-02 15:04:05.000000 container start shop-web-1 (image=web:1, service=web)`, in the time of this place.
func eventText(_ event: ProjectEvent) -> String {
    var attributes = event.attributes.sorted { $0.key < $1.key }.map { "\($0.key)=\(onOneLine($0.value))" }
    if let service = event.service { attributes.append("service=\(service)") }
    let rest = attributes.isEmpty ? "" : " (\(attributes.joined(separator: ", ")))"
    return "\(localTime(event.time)) \(event.kind.rawValue) \(event.action) \(event.name)\(rest)"
}

func eventJSON(_ event: ProjectEvent, _ project: String) -> String {
    JSONText.object([
        ("time", .string(rfc3339(nanoseconds: event.time))),
        ("type", .string(event.kind.rawValue)),
        ("action", .string(event.action)),
        ("id", .string(event.name)),
        ("service", .optional(event.service)),
        ("project", .string(project)),
        (
            "attributes",
            .object(event.attributes.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) })
        ),
    ]).compact
}

/// `2026-01-02 15:04:05.000000` where this process is (TZ).
func localTime(_ nanoseconds: Int64) -> String {
    var seconds = time_t(nanoseconds / 1_000_000_000)
    var parts = tm()
    localtime_r(&seconds, &parts)
    func pad(_ number: Int64, _ width: Int = 2) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, width - text.count)) + text
    }
    let fields = [parts.tm_mon + 1, parts.tm_mday].map { pad(Int64($0)) }
    let clock = [parts.tm_hour, parts.tm_min, parts.tm_sec].map { pad(Int64($0)) }
    return "\(pad(Int64(parts.tm_year) + 1900, 4))-\(fields.joined(separator: "-")) "
        + "\(clock.joined(separator: ":")).\(pad(nanoseconds % 1_000_000_000 / 1000, 6))"
}
