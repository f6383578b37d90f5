// SPDX-License-Identifier: Apache-2.0
//
// Diagnostics: every problem of a load is collected with its place, so that one run shows them all.

internal import Basics
internal import YAMLTree

/// What went wrong and what is only worth saying; used by one load, on one thread.
///
/// Of each kind so many are told and the rest is counted: a file of nothing but mistakes is answered as soon as another.
final class Diagnostics {
    static let limit = 100
    /// Beyond so many it is no slip any more.
    private static let suggestions = 20
    /// Each look for a nearer name costs: so many names are measured for all of them.
    private static let candidates = 20_000

    private(set) var errors: [Failure] = []
    private var uncounted = 0
    private var measured = 0
    /// Reading ended before all was looked at.
    private var endedEarly = false
    private var warned: [Failure] = []
    private var furtherWarnings = 0
    /// What loads and is not honoured here, and what is accepted without effect, each with the service it is
    /// said of: one that is switched off asks for nothing.
    private var held: [(failure: Failure, service: String?, stops: Bool)] = []
    /// The service being read.
    var service: String?
    /// Variables that were already warned about, in all files of a load.
    var unsetVariables: Set<String> = []
    /// Aliases show one node at several paths: a text is said once per place.
    private var said: Set<String> = []

    /// What is left to the whole load.
    let ports: PortAllowance

    init(ports: PortAllowance = PortAllowance()) { self.ports = ports }

    /// As many errors as are told.
    var isFull: Bool { errors.count >= Diagnostics.limit }

    func error(
        _ doing: @autoclosure () -> String, cause: String? = nil, advice: @autoclosure () -> String? = nil,
        at place: Place?
    ) {
        error(doing(), cause: cause, advice: advice(), at: place?.location)
    }

    func error(
        _ doing: @autoclosure () -> String, cause: String? = nil, advice: @autoclosure () -> String? = nil,
        at location: SourceLocation?
    ) {
        if isFull {
            uncounted += 1
        } else {
            add(Failure(doing(), cause: cause, advice: advice(), at: location))
        }
    }

    func add(_ failure: Failure) {
        for one in failure.flattened {
            if isFull {
                uncounted += 1
                continue
            }
            let place = one.location.map(String.init(describing:)) ?? ""
            if said.insert("\(place) \(one.doing)").inserted { errors.append(one) }
        }
    }

    /// A known name that may have been meant.
    func suggestion(for name: String, among known: @autoclosure () -> [String]) -> String? {
        guard errors.count < Diagnostics.suggestions, measured < Diagnostics.candidates else { return nil }
        let known = known()
        measured += known.count
        return nearest(to: name, among: known)
    }

    /// Says that nothing more is looked at: all that could be told is.
    func endEarly() { endedEarly = true }

    func warn(
        _ text: @autoclosure () -> String, advice: @autoclosure () -> String? = nil,
        at place: @autoclosure () -> Place?
    ) {
        if warned.count >= Diagnostics.limit {
            furtherWarnings += 1
        } else {
            warned.append(Failure(text(), advice: advice(), at: place()?.location))
        }
    }

    var warnings: [Failure] {
        furtherWarnings == 0 ? warned : warned + [Failure("there are \(furtherWarnings) more warnings")]
    }

    /// Says that something is understood and not honoured: it stops whoever wants to run the project.
    func refuse(_ doing: String, cause: String? = nil, advice: String? = nil, at place: Place?) {
        held.append((Failure(doing, cause: cause, advice: advice, at: place?.location), service, true))
    }

    /// Says that something is accepted and has no effect here.
    func note(_ text: String, cause: String? = nil, at place: Place?) {
        held.append((Failure(text, cause: cause, at: place?.location), service, false))
    }

    /// The same of a service that was read before.
    func note(_ text: String, cause: String? = nil, of service: String, at location: SourceLocation?) {
        held.append((Failure(text, cause: cause, at: location), service, false))
    }

    /// What was refused or noted of the services that are switched on, and of the rest of the project.
    func held(stopping: Bool, services: some Collection<String>) -> [Failure] {
        var said: Set<String> = []
        let on = Set(services)
        let all = held.filter { $0.stops == stopping && $0.service.map(on.contains) ?? true }
            .map(\.failure)
            .filter { said.insert("\($0.location.map(String.init(describing:)) ?? "") \($0.doing)").inserted }
        let further = all.count - Diagnostics.limit
        return further <= 0
            ? all
            : all.prefix(Diagnostics.limit) + [Failure("the same is to be said of \(further) more places")]
    }

    /// Throws all that was collected, if anything was.
    func check() throws(Failure) {
        var all = errors
        if endedEarly {
            all.append(Failure("there may be more problems than these", advice: "mend these first"))
        } else if uncounted > 0 {
            all.append(Failure("there are \(uncounted) more problems", advice: "mend these first"))
        }
        if let all = Failure.collect(all) { throw all }
    }
}

/// Where in the document a node stands, `services.web.ports[0]`; its text is made only for messages.
final class Path {
    private let parent: Path?
    private let name: String
    private let index: Int

    init(_ name: String, in parent: Path? = nil) {
        self.parent = parent
        self.name = name
        index = -1
    }

    init(index: Int, in parent: Path) {
        self.parent = parent
        name = ""
        self.index = index
    }

    var text: String {
        let own = index >= 0 ? "[\(index)]" : name
        guard let parent else { return own }
        let above = parent.text
        if index >= 0 { return above + own }
        return above.isEmpty ? own : above + "." + own
    }
}
