// SPDX-License-Identifier: Apache-2.0
//
// `update_config` and `rollback_config` of `deploy`: what they leave unsaid is the Compose specification's default (deploy.md).
// Its `monitor: 0s` would have a failure_action judge before a container can fail; who writes one and no `monitor` gets the
// five seconds that `docker service update` has.

import Basics
import ComposeModel
import ContainerModel

extension ServiceLowering {
    func update(_ update: Deploy.Update?, _ attribute: String) throws(Failure) -> UpdateRequest? {
        guard let update else { return nil }
        var request = UpdateRequest()
        request.parallelism = max(0, update.parallelism ?? 1)
        request.delay = update.delay ?? .zero
        request.monitor = update.monitor ?? (update.failureAction == nil ? .zero : .seconds(5))
        request.maximumFailureRatio = update.maximumFailureRatio ?? 0
        request.startsFirst = update.order == "start-first"
        if let action = update.failureAction, let known = UpdateRequest.FailureAction(rawValue: action) {
            request.failureAction = known
        }
        if attribute == "rollback_config", request.failureAction == .rollback {
            throw mistake(
                "deploy.rollback_config", "would roll a rollback back",
                advice: "`failure_action` of `rollback_config` is `pause` or `continue`")
        }
        if request.startsFirst, let single = singular {
            throw mistake(
                "deploy.\(attribute)", "starts new containers before the old ones go",
                cause: "\(single) can be only one container's at a time",
                advice: "remove it, or write `order: stop-first`")
        }
        return request
    }

    /// What two containers of the service can't have at once.
    private var singular: String? {
        if service.containerName != nil { return "`container_name`" }
        if let port = service.ports.first(where: { $0.published.map { $0.count <= replicas } ?? false }),
            let published = port.published
        {
            return published.count == 1
                ? "the host's port \(published.lowerBound)"
                : "each of the host's ports \(published.lowerBound) to \(published.upperBound)"
        }
        for endpoint in service.networks.values {
            if endpoint.ipv4Address != nil { return "`ipv4_address`" }
            if endpoint.ipv6Address != nil { return "`ipv6_address`" }
            if endpoint.macAddress != nil { return "`mac_address`" }
            if !endpoint.linkLocalAddresses.isEmpty { return "an address of `link_local_ips`" }
        }
        if service.macAddress != nil { return "`mac_address`" }
        return nil
    }
}
