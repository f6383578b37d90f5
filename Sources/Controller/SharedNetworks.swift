// SPDX-License-Identifier: Apache-2.0
//
// Containers of other projects on a project's networks, its own or external ones.

internal import Basics
internal import Networking

extension ProjectNetworking {
    /// Running ones on a network of this project.
    func guests(on name: String) -> [String] {
        do throws(Failure) {
            return try host.guests(on: name, besides: project)
        } catch {
            log("\(error)")
            return []
        }
    }

    /// A running one on one of the networks.
    func locate(_ container: String, on names: [String]) -> Zone.Host? {
        for name in names {
            guard let state = networks[name] else { continue }
            do throws(Failure) {
                guard let found = try host.locate(container, on: state) else { continue }
                return Zone.Host(
                    container: container, names: [], address: found.ipv4, ipv6Address: found.ipv6)
            } catch {
                log("\(error)")
            }
        }
        return nil
    }

    /// Those that are called so on the first of the networks where somebody is.
    func others(named name: String, on names: [String]) -> [Zone.Host] {
        for network in names {
            guard let state = networks[network] else { continue }
            do throws(Failure) {
                let found = try host.guests(named: name, on: state, besides: project)
                if !found.isEmpty { return found }
            } catch {
                log("\(error)")
            }
        }
        return []
    }
}
