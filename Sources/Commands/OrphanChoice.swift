// SPDX-License-Identifier: Apache-2.0
//
// What becomes of containers whose services are no longer declared, when something is brought up: --remove-orphans, or
// where it is not given COMPOSE_REMOVE_ORPHANS and COMPOSE_IGNORE_ORPHANS, as Docker Compose reads them. `down` takes them
// along in any case.

internal import Basics

enum OrphanChoice: Equatable {
    case told, removed, ignored

    /// - given: what the flag says, nil without it.
    init(given: Bool?, _ variables: [String: String]) throws(Failure) {
        let isRemoved = given ?? isYes(variables["COMPOSE_REMOVE_ORPHANS"])
        let isIgnored = isYes(variables["COMPOSE_IGNORE_ORPHANS"])
        if isRemoved, isIgnored {
            throw Failure(
                "cannot both remove orphans and ignore them",
                cause: "COMPOSE_IGNORE_ORPHANS is set",
                advice: given == true
                    ? "leave --remove-orphans out, or unset it" : "unset one of the two variables")
        }
        self = isRemoved ? .removed : isIgnored ? .ignored : .told
    }
}

/// The words that Docker Compose takes for a yes.
private func isYes(_ text: String?) -> Bool { ["1", "true", "y", "yes"].contains(text?.lowercased()) }

extension Session {
    func orphanChoice() throws(Failure) -> OrphanChoice {
        var variables = try variables()
        // Only of commands that have the flag, whose default it is.
        if !command.flags.contains(where: { $0.name == .removeOrphans }) {
            variables["COMPOSE_REMOVE_ORPHANS"] = nil
        }
        return try OrphanChoice(given: arguments.switched(.removeOrphans), variables)
    }
}
