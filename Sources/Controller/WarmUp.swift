// SPDX-License-Identifier: Apache-2.0
//
// WarmUp: what the first `up` would do for the first time, done before by the seed (CLaunch/start.c) on the other processor
// while the client reads its files: types' metadata made, pages of the program mapped, Docker's filter compiled. The
// controller is a copy of the seed and has it all. It asks the host nothing but what its kernel can do, and for its cgroups,
// which are believed by the first controller alone: others that begin from the same keeper may find them otherwise. That was
// 2 ms of an `up` (docs/decisions/002).

internal import Basics
internal import Cgroups
internal import ContainerModel
internal import ContainerRuntime
internal import JSONFormat
internal import LaunchPlanning
internal import Netlink
internal import Planning

/// The cgroups of the host when the keeper began.
let cgroupsAtBirth = try? CgroupHost.detect()

/// Takes a project of one service, one network and one volume the whole way, in memory alone.
func warmUp() {
    do {
        let bytes = try encodeJSON(sample())
        let wanted = try decodeDesired(bytes)
        let head = try encodeJSON(RequestHead(version: controlVersion, blobs: 1, request: .up(UpOptions())))
        _ = try decodeJSON(RequestHead.self, from: head)
        let plan = try planUp(
            wanted, observed: Observation(project: wanted.project), options: planning(UpOptions()))
        _ = try Frame.bytes(json: ControlEvent.planned(plan.nodes.map { plannedOperation($0) }))
        for event in [ControlEvent.operation(index: 0, .started), .done(changed: true)] {
            _ = try Frame.bytes(json: event)
        }
        for service in wanted.services.values { try warmUpLaunch(service) }
        _ = overlayTakesLowerdirPlus
        _ = cgroupsAtBirth
        _ = try encodeJSON(ContainerStatusRecord(bootID: ""))
    } catch {
        // Cold, the same is done again where it counts, and its failure told there.
    }
}

private func warmUpLaunch(_ service: ServiceRequest) throws(Failure) {
    let host = HostFacts(overlayLowerdirPlus: true, cgroupV2: true, boundingCapabilities: ~0)
    var filters = SeccompFilters()
    let context = try processContext(
        named: service.name, service.container, terminal: false, roots: [], host: host, filters: &filters)
    var prepared = PreparedContainer(lowers: ["/"], upper: "/", work: "/", mountPoint: "/")
    prepared.identity = context.identity
    prepared.environment = context.environment
    prepared.capabilities = context.capabilities
    prepared.seccomp = context.seccomp
    let gateway = IPv4Address(10, 0, 0, 1)
    prepared.links = containerRouteMessages(links: [
        ContainerLink(name: "eth0", address: IPv4Address(10, 0, 0, 2), prefix: 24, gateway: gateway)
    ]).map { PreparedLink(name: $0.linkName, messages: $0.bytes) }
    prepared.awaitsLinks = true
    prepared.nameServiceRules = containerNameServiceRules(port: nameServicePort)
    prepared.nameServicePort = nameServicePort
    _ = containerProgram(for: service.container, prepared: prepared, host: host, intoCgroup: true).encoded()
    let record = ContainerRecord(name: service.name, index: 1, service: service, createdAt: 0, oneOff: nil)
    do { _ = try encodeJSON(record) } catch { throw Failure("cannot write a record", cause: "\(error)") }
}

private func sample() -> DesiredState {
    let image = ImageFacts(reference: "image", id: Digest(of: []), layers: ["/"])
    var container = ContainerRequest(image: image, arguments: ["sh"])
    container.environment = ["A=b"]
    container.labels = ["a": "b"]
    container.networks = [EndpointRequest(network: "network", aliases: ["alias"])]
    container.mounts = [MountRequest(source: .volume(name: "volume"), target: "/data")]
    var desired = DesiredState(project: "sample", directory: "/", files: ["/compose.yaml"])
    desired.services = [
        "service": ServiceRequest(name: "service", container: container, configHash: image.id)
    ]
    desired.networks = ["network": NetworkRequest(name: "network")]
    desired.volumes = ["volume": VolumeRequest(name: "volume")]
    return desired
}
