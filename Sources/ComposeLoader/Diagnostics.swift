// SPDX-License-Identifier: Apache-2.0
//
// Diagnostics: every problem of a load is collected with its place, so that one run shows them all.

internal import Basics
internal import YAMLTree

/// What went wrong and what is only worth saying; used by one load, on one thread.
final class Diagnostics {
    private(set) var errors: [Failure] = []
    private(set) var warnings: [Failure] = []
    /// Aliases show one node at several paths: a text is said once per place.
    private var said: Set<String> = []

    func error(_ doing: String, cause: String? = nil, advice: String? = nil, at place: Place?) {
        add(Failure(doing, cause: cause, advice: advice, at: place?.location))
    }

    func add(_ failure: Failure) {
        for one in failure.flattened {
            let place = one.location.map(String.init(describing:)) ?? ""
            if said.insert("\(place) \(one.doing)").inserted { errors.append(one) }
        }
    }

    func warn(_ text: String, advice: String? = nil, at place: Place?) {
        warnings.append(Failure(text, advice: advice, at: place?.location))
    }

    /// Throws all that was collected, if anything was.
    func check() throws(Failure) {
        if let all = Failure.collect(errors) { throw all }
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
