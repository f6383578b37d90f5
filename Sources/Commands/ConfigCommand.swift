// SPDX-License-Identifier: Apache-2.0
//
// `config`: the Compose file checked and printed as it was understood.

internal import Basics
internal import ComposeLoader
internal import ComposeModel

func runConfig(_ session: Session) throws(Failure) -> Int32 {
    var project = try session.project()
    let names = session.arguments.operands
    try checkServices(names, project)
    if session.arguments.has(.quiet) { return 0 }
    if !names.isEmpty {
        let wanted = withDependencies(names, project)
        project.services = project.services.filter { wanted.contains($0.key) }
    }
    if session.arguments.has(.services) {
        for name in project.services.keys.sorted() { session.out.line(name) }
        return 0
    }
    let text = session.arguments.last(.format) == "json" ? renderJSON(project) : renderYAML(project)
    session.out.write(text.hasSuffix("\n") ? text : "\(text)\n")
    return 0
}
