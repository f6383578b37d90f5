// SPDX-License-Identifier: Apache-2.0
//
// What `deploy` asks for and one host can give: reservations, how often and when a container is started again, a
// container on every node, which is one. Limits and the restart condition are read by ComposeModel.

import Basics
import ComposeModel
import ContainerModel

extension ServiceLowering {
    /// `mode: global` is one container on each node (deploy.md, mode).
    var replicas: Int { service.deploy?.mode == "global" ? min(1, service.replicas) : service.replicas }

    /// `restart_policy` with a delay, a window, or a bound its condition has none for.
    func restartPace() -> RestartPace? {
        guard let policy = service.deploy?.restartPolicy else { return nil }
        var pace = RestartPace()
        pace.delay = policy.delay
        pace.window = policy.window
        if policy.window != nil || policy.condition ?? "any" == "any" {
            pace.maximumAttempts = policy.maximumAttempts
        }
        return pace == RestartPace() ? nil : pace
    }

    /// `resources.reservations`: memory as `mem_reservation`; processors as a weight, 1024 for each, as cluster
    /// schedulers turn a request into shares.
    func reserve(in limits: inout ResourceLimits) throws(Failure) {
        guard let reservations = service.deploy?.reservations else { return }
        if let memory = reservations.memory {
            if let other = limits.memoryReservation, other != memory {
                throw mistake(
                    "deploy.resources.reservations", "reserves memory twice, and differently",
                    cause: "`mem_reservation` is \(other), `deploy` says \(memory)", advice: "keep one")
            }
            if let bound = limits.memory, memory.bytes > bound.bytes {
                throw mistake(
                    "deploy.resources.reservations", "reserves more memory than it may use",
                    cause: "the reservation is \(memory), the limit \(bound)",
                    advice: "lower the reservation, or raise the limit")
            }
            limits.memoryReservation = memory
        }
        if let processors = reservations.cpus, processors > 0 {
            if let bound = limits.cpus, processors > bound {
                throw mistake(
                    "deploy.resources.reservations", "reserves more processors than it may use",
                    cause: "the reservation is \(processors), the limit \(bound)",
                    advice: "lower the reservation, or raise the limit")
            }
            limits.cpuShares = limits.cpuShares ?? Int(min(max(processors * 1024, 2), 262_144))
        }
    }
}
