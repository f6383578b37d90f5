// SPDX-License-Identifier: Apache-2.0
//
// A plan as JSON for machines: one flat object per operation, so that a script needs no knowledge of Swift's
// own shape for enums. `after` holds indices from 0 into `nodes`.

import Basics
import ContainerModel

extension Plan.Node: Codable {
    private struct Record: Codable {
        var operation: Kind
        var name: String?
        var service: String?
        var index: Int?
        var network: NetworkRequest?
        var volume: VolumeRequest?
        var configHash: Digest?
        var timeoutNanoseconds: Int64?
        var signal: String?
        var condition: DependencyRequest.Condition?
        var required: Bool?
        var update: UpdateBatch?
        var reason: String
        var after: [Int]

        mutating func put(_ container: ContainerReference) {
            name = container.name
            service = container.service
            index = container.index
        }
    }

    private enum Kind: String, Codable {
        case createNetwork, removeNetwork, createVolume, removeVolume
        case createContainer, startContainer, stopContainer, removeContainer, killContainer, awaitCondition
        case settleUpdate
    }

    public func encode(to encoder: any Encoder) throws {
        var record = Record(operation: .createNetwork, reason: reason, after: dependencies)
        switch operation {
        case .createNetwork(let network):
            record.name = network.name
            record.network = network
        case .removeNetwork(let name):
            record.operation = .removeNetwork
            record.name = name
        case .createVolume(let volume):
            record.operation = .createVolume
            record.name = volume.name
            record.volume = volume
        case .removeVolume(let name):
            record.operation = .removeVolume
            record.name = name
        case .createContainer(let container, let hash):
            record.operation = .createContainer
            record.put(container)
            record.configHash = hash
        case .startContainer(let container):
            record.operation = .startContainer
            record.put(container)
        case .stopContainer(let container, let timeout):
            record.operation = .stopContainer
            record.put(container)
            record.timeoutNanoseconds = timeout.nanoseconds
        case .removeContainer(let container):
            record.operation = .removeContainer
            record.put(container)
        case .killContainer(let container, let signal):
            record.operation = .killContainer
            record.put(container)
            record.signal = signal
        case .awaitCondition(let service, let condition, let required):
            record.operation = .awaitCondition
            record.service = service
            record.condition = condition
            record.required = required
        case .settleUpdate(let batch):
            record.operation = .settleUpdate
            record.update = batch
        }
        try record.encode(to: encoder)
    }

    public init(from decoder: any Decoder) throws {
        let record = try Record(from: decoder)
        func need<Value>(_ value: Value?, _ field: String) throws -> Value {
            guard let value else {
                throw DecodingError.dataCorrupted(
                    .init(
                        codingPath: decoder.codingPath,
                        debugDescription: "`\(record.operation.rawValue)` without `\(field)`"))
            }
            return value
        }
        func container() throws -> ContainerReference {
            ContainerReference(
                name: try need(record.name, "name"), service: try need(record.service, "service"),
                index: try need(record.index, "index"))
        }
        let operation: Operation
        switch record.operation {
        case .createNetwork: operation = .createNetwork(try need(record.network, "network"))
        case .removeNetwork: operation = .removeNetwork(name: try need(record.name, "name"))
        case .createVolume: operation = .createVolume(try need(record.volume, "volume"))
        case .removeVolume: operation = .removeVolume(name: try need(record.name, "name"))
        case .createContainer:
            operation = .createContainer(
                try container(), configHash: try need(record.configHash, "configHash"))
        case .startContainer: operation = .startContainer(try container())
        case .stopContainer:
            operation = .stopContainer(
                try container(),
                timeout: .nanoseconds(try need(record.timeoutNanoseconds, "timeoutNanoseconds")))
        case .removeContainer: operation = .removeContainer(try container())
        case .killContainer:
            operation = .killContainer(try container(), signal: try need(record.signal, "signal"))
        case .settleUpdate: operation = .settleUpdate(try need(record.update, "update"))
        case .awaitCondition:
            operation = .awaitCondition(
                service: try need(record.service, "service"),
                condition: try need(record.condition, "condition"),
                required: try need(record.required, "required"))
        }
        self.init(operation: operation, reason: record.reason, dependencies: record.after)
    }
}
