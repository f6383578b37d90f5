// SPDX-License-Identifier: Apache-2.0
//
// The name service of the project: who is called what, told to Networking whenever containers come or go.

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
            servers: container.request.dnsServers.compactMap(ResolverAddress.init))
        for (alias, service) in container.request.rare?.links ?? [:] {
            client.links[alias.lowercased()] = service.lowercased()
        }
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
                    let address = networking?.addresses[other.name]?[endpoint.network]
                else { return nil }
                return Zone.Host(
                    container: other.name, names: own.aliases + [other.name], address: address,
                    ipv6Address: networking?.ipv6Addresses[other.name]?[endpoint.network])
            }
            zone.set(endpoint.network, hosts: hosts)
        }
        names.zone = zone
    }
}
