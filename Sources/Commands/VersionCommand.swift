// SPDX-License-Identifier: Apache-2.0

internal import Basics
internal import Controller

/// The version of this source tree.
let coveyVersion = "0.1.0-dev"

func runVersion(_ session: Session) throws(Failure) -> Int32 {
    if session.arguments.last(.format) == "json" {
        session.out.line(
            JSONText.object([("version", .string(coveyVersion)), ("control", .number(controlVersion))])
                .compact)
    } else if session.arguments.has(.short) {
        session.out.line(coveyVersion)
    } else {
        session.out.line("covey \(coveyVersion)")
    }
    return 0
}
