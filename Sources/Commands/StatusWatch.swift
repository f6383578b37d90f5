// SPDX-License-Identifier: Apache-2.0
//
// StatusWatch: the controller's `watch`, the containers' states as they change. A controller that dies costs nothing: the
// one that comes after it is asked, and is started when nobody else does. The end is that the project is down.

internal import Basics
internal import Controller
internal import Kernel

final class StatusWatch {
    private let session: Session
    private let place: ProjectPlace
    private let choice: LogChoice
    private var client: ControlClient
    private var latest: [ContainerStatus] = []

    struct News {
        /// Each state that was told, the latest last; none when nothing changed.
        var states: [[ContainerStatus]] = []
        var signal: Int32?
        /// The project is down.
        var ended = false

        var containers: [ContainerStatus]? { states.last }
    }

    /// - choice: whose end `everyoneEnded` is about.
    init(
        _ session: Session, _ place: ProjectPlace, _ client: ControlClient, _ choice: LogChoice = LogChoice()
    ) throws(Failure) {
        self.session = session
        self.place = place
        self.client = client
        self.choice = choice
        try client.send(.watch)
    }

    /// Every container that is wanted has ended and none will start again; false while there is none.
    var everyoneEnded: Bool {
        let wanted = latest.filter { choice.wants(LogContainer($0)) }
        return !wanted.isEmpty && wanted.allSatisfy { $0.state == .exited || $0.state == .dead }
    }

    /// Waits for a state, a signal, bytes in the logs or another descriptor, room in a target, or the time.
    func wait(
        signals: SignalStream? = nil, logs: LogWatch? = nil, also other: Int32 = -1,
        orWritable target: Int32 = -1, atMost limit: Duration?
    ) throws(Failure) -> News {
        let isUnread = client.hasBuffered || client.isGone
        let ready = try kernel("cannot wait for the controller") { () throws(SyscallError) in
            try waitReadable(
                [client.descriptor, signals?.raw ?? -1, logs?.raw ?? -1, other], orWritable: target,
                atMost: isUnread ? .zero : limit)
        }
        var news = News()
        if ready[1] { news.signal = signals?.next() }
        guard ready[0] || isUnread else { return news }
        let hungUp = ready[0] ? try !client.fill() : false
        while let (event, _) = try client.nextBuffered() {
            switch event {
            case .status(let states):
                news.states.append(states)
                latest = states
            case .failed(let failure): throw failure
            case .done: news.ended = true
            default: break
            }
        }
        if hungUp || client.isGone, !news.ended { news.ended = try !reopen() }
        return news
    }

    /// False when nothing of the project is there any more.
    private func reopen() throws(Failure) -> Bool {
        guard let next = try session.controller(place) else { return false }
        client = next
        try client.send(.watch)
        return !client.isGone
    }
}
