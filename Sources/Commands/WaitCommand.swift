// SPDX-License-Identifier: Apache-2.0
//
// `wait`: stays until the services' containers have ended, and ends with the code of the first that did.

internal import Basics
internal import Controller
internal import Kernel

func runWait(_ session: Session) throws(Failure) -> Int32 {
    let client = try session.runningController()
    let place = try session.place()
    let services = session.arguments.operands
    let watch = try StatusWatch(session, place, client)
    var awaited: Set<String>?
    var first: Int32?
    /// The code to end with once these states say that nothing is left to wait for.
    func code(after all: [ContainerStatus]) throws(Failure) -> Int32? {
        let own = all.filter { services.contains($0.service) }
        if awaited == nil {
            try checkKnown(services, among: all.map(\.service), session)
            for name in services
            where !own.contains(where: { $0.service == name && (!$0.oneOff || $0.state.isUp) }) {
                throw Failure("service \"\(name)\" has no container", advice: "bring it up with `covey up`")
            }
            // A one-off container that has ended lies there until it is removed: nobody waits for it.
            awaited = Set(own.filter { !$0.oneOff || $0.state.isUp }.map(\.name))
        }
        for container in own where container.state == .exited || container.state == .restarting {
            guard awaited?.remove(container.name) != nil else { continue }
            let code = container.exitCodeKnown ? container.exitCode : nil
            session.out.line("\(container.name) exited with code \(code.map(String.init) ?? "unknown")")
            if first == nil { first = Int32(clamping: code ?? 1) }
            if session.arguments.has(.downProject) {
                _ = try takeDown(session, services: [])
                return first ?? 0
            }
        }
        // Removed before it was seen to end: nobody can tell how.
        awaited?.formIntersection(own.map(\.name))
        return awaited?.isEmpty ?? false ? first ?? 1 : nil
    }
    while true {
        let news = try watch.wait(atMost: nil)
        for states in news.states {
            if let code = try code(after: states) { return code }
        }
        if news.ended { break }
    }
    if let first { return first }
    throw session.hangup(place)
}
