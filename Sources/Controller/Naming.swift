// SPDX-License-Identifier: Apache-2.0
//
// The name service of the project: who is called what, told to Networking whenever containers come or go.

internal import Basics
internal import ContainerModel
internal import Kernel
internal import Netlink
internal import Networking

extension ProjectController {
    /// Answers a container's queries on the sockets its launch opened; they are the keeper's too.
    func serveNames(of container: Container) {
        guard container.nameSockets.count == 2 else { return }
        var client = NameServiceClient(
            container: container.name, networks: container.request.networks.map(\.network),
            isInternal: isInternal(container),
            servers: container.request.dnsServers.compactMap { ResolverAddress($0) })
        if client.isInternal {
            let networks = client.networks.compactMap { networking?.networks[$0] }
            client.servers = serversWithin(networks, client.servers)
        }
        for (alias, service) in container.request.rare?.links ?? [:] {
            client.links[alias.lowercased()] = service.lowercased()
        }
        for (alias, other) in container.request.rare?.externalLinks ?? [:] {
            client.externalLinks[alias.lowercased()] = other
        }
        names.locateOthers = { [weak self] in self?.networking?.others(named: $0, on: $1) ?? [] }
        names.locate = { [weak self] in self?.networking?.locate($0, on: $1) }
        do throws(SyscallError) {
            try names.add(client, udp: container.nameSockets[0], tcp: container.nameSockets[1])
        } catch {
            log("cannot answer the name queries of container \(container.name): \(error)")
        }
        updateZone(container)
    }

    func stopServingNames(of container: Container) {
        guard !container.nameSockets.isEmpty else { return }
        names.remove(container: container.name)
        for kind in ["dns-udp:", "dns-tcp:"] { try? keeper.drop(kind + container.name) }
        container.nameSockets = []
        updateZone(container)
    }

    private func isInternal(_ container: Container) -> Bool {
        container.request.networks.allSatisfy { networking?.networks[$0.network]?.isInternal ?? false }
    }

    /// All hosts of the networks the container is on, replicas in order.
    private func updateZone(_ container: Container) {
        guard !takingDown else { return }
        var zone = names.zone
        let live = containers.values.filter { !$0.nameSockets.isEmpty }.sorted { $0.name < $1.name }
        for endpoint in container.request.networks {
            let hosts = live.compactMap { other -> Zone.Host? in
                guard let own = other.request.networks.first(where: { $0.network == endpoint.network }),
                    let networking
                else { return nil }
                let address = networking.ipv4Address(of: other.name, on: endpoint.network)
                let ipv6Address = networking.ipv6Addresses[other.name]?[endpoint.network]
                if address == nil && ipv6Address == nil { return nil }
                return Zone.Host(
                    container: other.name, names: own.aliases + [other.name], address: address,
                    ipv6Address: ipv6Address)
            }
            zone.set(endpoint.network, hosts: hosts)
        }
        names.zone = zone
    }

    /// Networks that other projects make.
    var externalNetworks: Set<String> {
        Set((desired?.networks ?? [:]).values.filter(\.external).map(\.name))
    }

    /// What a container is linked to in other projects runs, on a network they share.
    func checkExternalLinks(of container: Container, _ networking: ProjectNetworking) throws(Failure) {
        let networks = container.request.networks.map(\.network)
        for other in Set((container.request.rare?.externalLinks ?? [:]).values).sorted()
        where networking.locate(other, on: networks) == nil {
            throw Failure(
                "cannot link container \"\(container.name)\" to \"\(other)\"",
                cause: "no container of that name runs on one of its networks",
                advice:
                    "bring its project up, and give both one of the `networks`, in one of them `external: true`"
            )
        }
    }
}
