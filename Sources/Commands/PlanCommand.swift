// SPDX-License-Identifier: Apache-2.0
//
// `plan`, and `--dry-run` of what the controller does by itself: a plan is asked for and printed, and nothing changes.

internal import Basics
internal import ComposeModel
internal import Controller

func runPlan(_ session: Session) throws(Failure) -> Int32 {
    var project = try session.project()
    let services = session.arguments.operands
    try checkServices(services, project)
    try applyScale(session, to: &project)
    var options = UpOptions()
    options.services = services
    if session.arguments.has(.pull) {
        for line in try pullChanges(session, project, services: withDependencies(services, project)) {
            session.errors.line(line)
        }
    }
    let plan = try BringUp(session, project, options, title: "plan").plan()
    if session.arguments.last(.format) == "json" {
        session.out.write(plan.json.hasSuffix("\n") ? plan.json : "\(plan.json)\n")
    } else {
        show(plan, of: project.name, session)
    }
    return plan.operations == 0 ? 0 : 2
}

func show(_ plan: ShownPlan, of project: String, _ session: Session) {
    if plan.operations == 0 {
        session.out.line("nothing to do: project \"\(project)\" is as declared")
    } else {
        session.out.write(plan.text.hasSuffix("\n") ? plan.text : "\(plan.text)\n")
    }
}

/// `--dry-run` of a request to a project that is up: prints what it would do.
func rehearse(_ request: ControlRequest, _ session: Session) throws(Failure) -> Int32 {
    let client = try session.runningController()
    let progress = Progress("dry run", mode: .quiet, output: session.errors)
    try client.send(.rehearse(request))
    guard let plan = try follow(client, try session.place(), progress).plan else {
        throw session.hangup(try session.place())
    }
    if plan.operations == 0 {
        session.out.line("nothing to do")
    } else {
        session.out.write(plan.text.hasSuffix("\n") ? plan.text : "\(plan.text)\n")
    }
    return 0
}
