// SPDX-License-Identifier: Apache-2.0
//
// `config`: the Compose file checked and printed as it was understood.

internal import Basics
internal import ComposeModel

func runConfig(_ session: Session) throws(Failure) -> Int32 {
    let project = try session.project()
    try checkServices(session.arguments.operands, project)
    if session.arguments.has(.quiet) { return 0 }
    if session.arguments.has(.services) {
        for name in project.services.keys.sorted() { session.out.line(name) }
        return 0
    }
    return 0
}
