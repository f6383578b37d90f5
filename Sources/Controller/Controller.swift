// SPDX-License-Identifier: Apache-2.0
//
// Controller: observes, plans, executes and supervises one project, as one thread on one event loop. It alone changes
// the project; every command is its client. Decisions are Planning's, mechanisms are called, not written here.
//
// What belongs to whom: everything below `ProjectController` belongs to the loop's thread. A request is a connection; a
// plan is executed by a PlanRun, one at a time; a container is a `Container`, alive from its record's creation to its
// removal. State that must outlive this process is in records and with the keeper, and is read again at the start.

internal import Basics
internal import CLaunch
internal import CLinux
internal import ContainerRuntime
internal import Kernel

/// The controller's whole life, when this process was born as one; nil in any other process.
public func runController() -> Int32? {
    if covey_is_seed() != 0 {
        warmUp()
        covey_wait_for_order()
    }
    var launchSocket: Int32 = -1
    var listener: Int32 = -1
    var generation: Int32 = 0
    guard covey_is_controller(&launchSocket, &listener, &generation) != 0,
        let project = covey_keeper_argument(2), let root = covey_keeper_argument(3),
        let run = covey_keeper_argument(4)
    else { return nil }
    if let fault = covey_keeper_argument(5), String(cString: fault).hasPrefix("fault=") {
        linux_fault_arm("controller", nil)
    }
    let place = ProjectPlace(
        project: String(cString: project), root: String(cString: root), run: String(cString: run))
    do throws(Failure) {
        let controller = try ProjectController(
            place: place, keeper: KeeperChannel(taking: launchSocket),
            listener: SharedFD(OwnedFD(taking: listener)),
            generation: Int(generation))
        try controller.serve()
        return 0
    } catch {
        log("the controller ends: \(error)")
        return 1
    }
}

/// A line in the engine's log, descriptor 2. The file and the older one beside it never grow beyond a few megabytes.
func log(_ text: String) {
    covey_bound_log(2, engineLogLimit)
    let seconds = realtimeNanoseconds() / 1_000_000_000
    try? writeAll(2, "\(rfc3339(seconds: seconds)) controller: \(text)\n".utf8)
}

/// ENGINE_LOG_LIMIT of CLaunch.h, a macro that Swift does not see.
private let engineLogLimit: Int64 = 4 << 20
