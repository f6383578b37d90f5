// SPDX-License-Identifier: Apache-2.0
//
// How a plan's operations are named to the user, as Docker Compose names them.

internal import Planning

/// An operation for the progress display.
func plannedOperation(_ node: Plan.Node) -> PlannedOperation {
    let (kind, name, doing, done): (String, String, String, String) =
        switch node.operation {
        case .createNetwork(let network): ("Network", network.name, "Creating", "Created")
        case .removeNetwork(let name): ("Network", name, "Removing", "Removed")
        case .createVolume(let volume): ("Volume", volume.name, "Creating", "Created")
        case .removeVolume(let name): ("Volume", name, "Removing", "Removed")
        case .createContainer(let container, _): ("Container", container.name, "Creating", "Created")
        case .startContainer(let container): ("Container", container.name, "Starting", "Started")
        case .stopContainer(let container, _): ("Container", container.name, "Stopping", "Stopped")
        case .removeContainer(let container): ("Container", container.name, "Removing", "Removed")
        case .killContainer(let container, _): ("Container", container.name, "Killing", "Killed")
        case .settleUpdate(let batch): ("Service", batch.service, "Settling", "Settled")
        case .awaitCondition(let service, let condition, _):
            switch condition {
            case .started: ("Service", service, "Waiting", "Started")
            case .healthy: ("Service", service, "Waiting", "Healthy")
            case .completed: ("Service", service, "Waiting", "Completed")
            }
        }
    return PlannedOperation(kind: kind, name: name, doing: doing, done: done, reason: node.reason)
}
