// SPDX-License-Identifier: Apache-2.0
//
// FirstPlan: what a first `up` would do, told without a controller: nothing of the project is there to observe, so no
// keeper is started only to say so. What others have made, networks and volumes, is still looked at.

public import Basics
internal import ContainerModel
internal import JSONFormat
internal import Networking
internal import Planning
internal import Volumes

/// A plan as it is shown, the `plan` event's parts.
public struct ShownPlan: Sendable {
    /// For people.
    public var text: String
    /// For machines.
    public var json: String
    /// How many operations change something.
    public var operations: Int

    public init(text: String, json: String, operations: Int) {
        self.text = text
        self.json = json
        self.operations = operations
    }

    init(_ plan: Plan) {
        text = plan.description
        json = (try? encodeJSON(plan, indented: true)).map { String(decoding: $0, as: UTF8.self) } ?? ""
        operations = plan.nodes.count { $0.operation.changesSomething }
    }
}

/// The plan of an `up` of a project of which nothing exists yet; leaves nothing behind.
/// - Parameter desired: the DesiredState's JSON, as it is sent to a controller.
/// - Throws: what `up` would refuse.
public func firstPlan(_ place: ProjectPlace, desired: [UInt8], options: UpOptions) throws(Failure)
    -> ShownPlan
{
    let wanted = try decodeDesired(desired)
    var observation = Observation(project: place.project)
    if !wanted.networks.isEmpty {
        let host = try HostNetworks(root: place.root)
        for (name, request) in wanted.networks {
            if let network = try host.network(name), network.isThere,
                network.project != place.project || request.external
            {
                observation.networks[name] = ObservedNetwork(
                    name: name, project: network.project, request: nil)
            }
        }
    }
    try VolumeStore(root: place.root).observe(for: wanted, into: &observation)
    return ShownPlan(try planUp(wanted, observed: observation, options: planning(options)))
}

func decodeDesired(_ bytes: [UInt8]) throws(Failure) -> DesiredState {
    do {
        return try decodeJSON(DesiredState.self, from: bytes)
    } catch {
        throw Failure("cannot understand the project that was sent", cause: "\(error)")
    }
}

func planning(_ options: UpOptions) -> Planning.UpOptions {
    var result = Planning.UpOptions()
    result.services = options.services
    result.forceRecreate = options.forceRecreate
    result.removeOrphans = options.removeOrphans
    result.ignoresOrphans = options.ignoresOrphans ?? false
    result.wait = options.wait != nil
    result.noDependencies = options.noDependencies
    result.noStart = options.noStart
    result.noRecreate = options.noRecreate
    result.recreateDependencies = options.recreateDependencies
    result.renewsVolumes = options.renewsVolumes
    result.timeout = options.timeout
    result.rerunsCompleted = options.rerunsCompleted ?? false
    return result
}

extension VolumeStore {
    /// Those volumes that the desired state names and that are there.
    func observe(for wanted: DesiredState, into observation: inout Observation) throws(Failure) {
        guard !wanted.volumes.isEmpty else { return }
        for volume in try list() where wanted.volumes[volume.name] != nil {
            var request = VolumeRequest(name: volume.name)
            request.labels = volume.labels.filter { $0.key != volumeProjectLabel }
            request.mounted = volume.mounted
            observation.volumes[volume.name] = ObservedVolume(
                name: volume.name, project: volume.project, request: request)
        }
    }
}
