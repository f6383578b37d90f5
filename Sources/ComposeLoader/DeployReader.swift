// SPDX-License-Identifier: Apache-2.0
//
// DeployReader: `deploy` of a service (deploy.md), as it is written.

internal import Basics
internal import ComposeModel
internal import YAMLTree

extension Field {
    func deploy() -> Deploy? {
        guard node.mapping != nil else {
            wrongForm(expected: "a mapping")
            return nil
        }
        var deploy = Deploy()
        for (key, _, field) in fields() where !field.node.isNull {
            switch key {
            case "mode": deploy.mode = field.nonEmptyString()
            case "replicas":
                deploy.replicas = field.integer(Service.replicaBounds, what: "a number of containers")
            case "labels": deploy.labels = field.labels()
            case "update_config": deploy.update = field.updating()
            case "rollback_config": deploy.rollback = field.updating()
            case "resources":
                for (key, _, field) in field.fields() where !field.node.isNull {
                    if key == "limits" { deploy.limits = field.resources() }
                    if key == "reservations" { deploy.reservations = field.resources() }
                }
            case "restart_policy": deploy.restartPolicy = field.deployRestart()
            case "placement":
                // JSON has an empty one where YAML has none.
                let placement = field.placement()
                if placement != Deploy.Placement() { deploy.placement = placement }
            case "endpoint_mode": deploy.endpointMode = field.nonEmptyString()
            case _ where key.hasPrefix("x-"): deploy.extensions[key] = field.node.value
            default: continue
            }
        }
        return deploy
    }

    private func updating() -> Deploy.Update {
        var update = Deploy.Update()
        for (key, _, field) in fields() where !field.node.isNull {
            switch key {
            case "parallelism":
                update.parallelism = field.integer(0...Int.max, what: "a number of containers")
            case "delay": update.delay = field.duration()
            case "failure_action": update.failureAction = field.oneOf(["continue", "rollback", "pause"])
            case "monitor": update.monitor = field.duration()
            case "max_failure_ratio":
                update.maximumFailureRatio = field.number(0...1, what: "a number from 0 to 1")
            case "order": update.order = field.oneOf(["start-first", "stop-first"])
            default: continue
            }
        }
        return update
    }

    private func resources() -> Deploy.Resources {
        var resources = Deploy.Resources()
        for (key, _, field) in fields() where !field.node.isNull {
            switch key {
            case "cpus": resources.cpus = field.cpus()
            case "memory": resources.memory = field.bytes()
            case "pids": resources.pids = field.pids()
            case "devices": resources.devices = field.deviceRequests(needCapabilities: true)
            case "generic_resources":
                for element in field.elements() {
                    guard let pair = element.node.mapping?.pair("discrete_resource_spec") else {
                        element.error("has no `discrete_resource_spec`")
                        continue
                    }
                    var resource = Deploy.GenericResource(kind: "", value: 0)
                    for (key, _, field) in element.child(pair).fields() {
                        if key == "kind" { resource.kind = field.nonEmptyString() ?? "" }
                        if key == "value" { resource.value = field.integer() ?? 0 }
                    }
                    resources.generic.append(resource)
                }
            default: continue
            }
        }
        return resources
    }

    private func deployRestart() -> Deploy.RestartPolicy {
        var policy = Deploy.RestartPolicy()
        for (key, _, field) in fields() where !field.node.isNull {
            switch key {
            case "condition":
                let known = ["none", "on-failure", "any"]
                if let text = field.node.text, known.contains(text) {
                    policy.condition = text
                } else {
                    field.wrongForm(expected: "none, on-failure or any")
                }
            case "delay": policy.delay = field.duration()
            case "max_attempts":
                policy.maximumAttempts = field.integer(0...Int.max, what: "a number of attempts")
            case "window": policy.window = field.duration()
            default: continue
            }
        }
        return policy
    }

    private func placement() -> Deploy.Placement {
        var placement = Deploy.Placement()
        for (key, _, field) in fields() where !field.node.isNull {
            switch key {
            case "constraints": placement.constraints = field.strings()
            case "preferences":
                placement.preferences = field.elements().compactMap { element in
                    element.node.mapping?.pair("spread").flatMap { element.child($0).string() }
                }
            case "max_replicas_per_node":
                placement.maximumReplicasPerNode = field.integer(0...Int.max, what: "a number of containers")
            default: continue
            }
        }
        return placement
    }
}
