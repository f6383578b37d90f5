// SPDX-License-Identifier: Apache-2.0
//
// Networking: bridges, endpoints, addresses, NAT, published ports, name service, in the caller's current network
// namespace. It executes; what ought to exist is decided above it. No helper program is run.
//
// API, in the order of a container's life:
//
//   HostNetworks(root:)                         sockets in the caller's namespace, records under <root>/{networks,leases}
//     reserveGroup(project:)                    the project's link group; once per project
//     ensureNetwork(_:project:group:)           bridge + subnet + record → NetworkState
//     assignAddresses(_:network:project:)       lowest free addresses, one write for many containers
//     attach(_:)                                veth for a waiting child by pid; the child then sends
//                                               containerRouteMessages and containerNameServiceRules (Netlink)
//     removeProjectLinks(project:group:)        all links of a project in one delete
//     removeProject(_:group:)                   links, firewall elements, records, leases: nothing is left
//   Firewall(tag:)                              the shared table `inet covey`: apply, unpublish, withdraw, drift
//   reservingPorts(…)                           a bound socket, so that other programs see a published port as taken
//   NameService(loop:resolvers:)                answers at 127.0.0.11 in containers from a Zone, forwards the rest
//   resolvConfText, hostsText                   the two files a container's resolver reads
//
// What does not belong here: starting containers, restart policies, which container is on which network.
