// SPDX-License-Identifier: Apache-2.0
//
// Operation: one idempotent step on one resource. Carrying one out needs the operation and the desired state,
// and no decision: what is already as it says is left as it is.

public import Basics
public import ContainerModel

/// One container of a service.
public struct ContainerReference: Hashable, Codable, Sendable {
    public var name: String
    public var service: String
    /// From 1.
    public var index: Int

    public init(name: String, service: String, index: Int) {
        self.name = name
        self.service = service
        self.index = index
    }
}

public enum Operation: Hashable, Sendable {
    case createNetwork(NetworkRequest)
    case removeNetwork(name: String)
    case createVolume(VolumeRequest)
    case removeVolume(name: String)
    /// Prepares the container its service's request describes; nothing runs yet.
    case createContainer(ContainerReference, configHash: Digest)
    case startContainer(ContainerReference)
    /// Sends the stop signal, and SIGKILL after `timeout`; takes it from its restart policy as well.
    case stopContainer(ContainerReference, timeout: Duration)
    /// Removes a container that does not run, its anonymous volumes too.
    case removeContainer(ContainerReference)
    case killContainer(ContainerReference, signal: String)
    /// Waits until every wanted container of `service` is as `condition` says: those numbered 1 to its replicas;
    /// one that is only on its way out does not count.
    ///
    /// When not `required` it waits for the operations before it to end in whatever way, and never fails itself.
    case awaitCondition(service: String, condition: DependencyRequest.Condition, required: Bool)
    /// Looks at the new containers of an update until they are well, or have failed.
    case settleUpdate(UpdateBatch)

    /// False for mere waiting.
    public var changesSomething: Bool {
        switch self {
        case .awaitCondition, .settleUpdate: false
        default: true
        }
    }

    /// The service whose container this is about; nil for networks and volumes.
    public var service: String? {
        switch self {
        case .createNetwork, .removeNetwork, .createVolume, .removeVolume: nil
        case .createContainer(let container, _), .startContainer(let container),
            .stopContainer(let container, _), .removeContainer(let container),
            .killContainer(let container, _):
            container.service
        case .awaitCondition(let service, _, _): service
        case .settleUpdate(let batch): batch.service
        }
    }
}

extension Operation: CustomStringConvertible {
    public var description: String {
        switch self {
        case .createNetwork(let network): "create network \(network.name)"
        case .removeNetwork(let name): "remove network \(name)"
        case .createVolume(let volume): "create volume \(volume.name)"
        case .removeVolume(let name): "remove volume \(name)"
        case .createContainer(let container, _): "create container \(container.name)"
        case .startContainer(let container): "start container \(container.name)"
        case .stopContainer(let container, let timeout):
            "stop container \(container.name) within \(timeout.composeText)"
        case .removeContainer(let container): "remove container \(container.name)"
        case .killContainer(let container, let signal): "send \(signal) to container \(container.name)"
        case .awaitCondition(let service, let condition, let required):
            "await \(service) \(condition.word)\(required ? "" : " if it can be")"
        case .settleUpdate(let batch): "settle \(batch.containers.joined(separator: ", "))"
        }
    }
}

extension DependencyRequest.Condition {
    var word: String {
        switch self {
        case .started: "started"
        case .healthy: "healthy"
        case .completed: "completed"
        }
    }
}
