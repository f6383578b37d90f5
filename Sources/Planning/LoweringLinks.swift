// SPDX-License-Identifier: Apache-2.0
//
// A service's links.

import Basics
import ComposeModel
import ContainerModel

extension ServiceLowering {
    /// Alias to service. A link without an alias says nothing that the service's own name doesn't; the dependency that
    /// each link is was made when the file was read.
    func links() throws(Failure) -> [String: String] {
        var links: [String: String] = [:]
        for link in service.links {
            let parts = link.split(separator: ":").map(String.init)
            guard let name = parts.first, let other = project.services[name] else { continue }
            if networkNames(of: other).isDisjoint(with: networkNames(of: service)) {
                throw mistake(
                    "links", "links to \(quoted(name)) and can't reach it", cause: "they share no network",
                    advice: "put both on one of the `networks`, or remove the link")
            }
            if parts.count > 1 { links[parts[1]] = name }
        }
        return links
    }

    /// The real names: two keys may be of one network.
    private func networkNames(of service: Service) -> Set<String> {
        Set(service.networks.keys.map { project.networks[$0]?.name ?? $0 })
    }

    /// Alias to container; without an alias it is called as it is.
    func externalLinks() throws(Failure) -> [String: String]? {
        var links: [String: String] = [:]
        for link in service.externalLinks {
            let parts = link.split(separator: ":").map(String.init)
            guard let container = parts.first, let alias = parts.last else { continue }
            if service.networks.isEmpty {
                throw mistake(
                    "external_links", "links to container \(quoted(container)) and has no network",
                    advice: "give it one of the `networks` that container is on")
            }
            links[alias] = container
        }
        return links.isEmpty ? nil : links
    }
}
