// SPDX-License-Identifier: Apache-2.0
//
// The network of one builder's steps: a bridge with a way out, as a project's default network is, made when the first
// step wants it and gone with the builder. It belongs to the project `build.<pid>`, which no user's project can be called;
// what a killed builder left goes with the next one. Names are answered as services' are, by the host's resolvers.

internal import Basics
internal import CLinux
internal import ContainerModel
internal import ContainerRuntime
internal import Kernel
internal import LaunchPlanning
internal import Netlink
internal import Networking

final class BuildNetwork {
    private static let prefix = "build."
    private static let servicePort: UInt16 = 61053

    private let host: HostNetworks
    private let project: String
    private let group: UInt32
    private let state: NetworkState
    /// What resolvers of steps read.
    let resolvConf: String
    var gateway: String { state.gateway.description }

    init(root: String) throws(Failure) {
        host = try HostNetworks(root: root)
        BuildNetwork.removeAbandoned(host)
        project = "\(BuildNetwork.prefix)\(getpid())"
        group = try host.reserveGroup(project: project)
        do throws(Failure) {
            state = try host.ensureNetwork(
                NetworkRequest(name: "\(project)_default"), project: project, group: group)
            try host.publish([], networks: [state], project: project)
        } catch {
            _ = host.removeProject(project, group: group)
            throw error
        }
        resolvConf = resolvConfText(host: ResolvConf(parsing: (try? readText("/etc/resolv.conf")) ?? ""))
    }

    func link(step number: Int) throws(Failure) -> StepLink {
        let name = "step-\(number)"
        let address = try host.assignAddress(network: state, project: project, container: name)
        let (host, state, project, group) = (host, state, project, group)
        let routes = containerRouteMessages(
            address: address, prefix: state.subnet.prefix, gateway: state.gateway)
        return StepLink(
            links: routes.map { PreparedLink(name: $0.linkName, messages: $0.bytes) },
            nameServiceRules: containerNameServiceRules(port: BuildNetwork.servicePort),
            nameServicePort: BuildNetwork.servicePort,
            attach: { (pid: Int32) throws(Failure) in
                // A socket of the calling thread's own: another step may be at work with the builder's.
                try HostNetworks(root: host.root).attach(
                    EndpointAttachment(
                        container: name, network: state, address: address, namespace: .pid(pid)),
                    project: project, group: group)
            },
            serve: { (loop: EventLoop, udp: SharedFD, tcp: SharedFD) throws(SyscallError) -> AnyObject in
                let service = NameService(loop: loop)
                try service.add(
                    NameServiceClient(container: name, networks: [state.name], isInternal: false), udp: udp,
                    tcp: tcp)
                return service
            })
    }

    func release(step number: Int) {
        try? host.releaseAddresses(project: project, container: "step-\(number)")
    }

    func remove() { _ = host.removeProject(project, group: group) }

    private static func removeAbandoned(_ host: HostNetworks) {
        for (project, group) in (try? host.reservedGroups()) ?? [:] where project.hasPrefix(prefix) {
            guard let pid = Int32(project.dropFirst(prefix.count)), pid > 0, !exists("/proc/\(pid)") else {
                continue
            }
            _ = host.removeProject(project, group: group)
        }
    }
}
