// SPDX-License-Identifier: Apache-2.0
//
// RenderingParts: the parts of a service as documents, attributes in the order of compose-go's types.

internal import Basics
internal import ComposeModel

extension Rendering {
    func text(of restart: Service.Restart) -> String {
        switch restart {
        case .no: "no"
        case .always: "always"
        case .unlessStopped: "unless-stopped"
        case .onFailure(let maximum): maximum.map { "on-failure:\($0)" } ?? "on-failure"
        }
    }

    func document(of build: Service.Build) -> Document {
        var pairs = Pairs(self)
        pairs.add("context", build.context)
        pairs.add("dockerfile", build.dockerfile.map { dockerfile($0, in: build.context) })
        pairs.add("dockerfile_inline", build.dockerfileInline)
        pairs.add("entitlements", build.entitlements)
        pairs.add("args", build.args, unset: build.unsetArgs)
        pairs.add("provenance", build.provenance)
        pairs.add("sbom", build.sbom)
        addAgents(build.ssh, to: &pairs)
        pairs.add("labels", build.labels)
        pairs.add("cache_from", build.cacheFrom)
        pairs.add("cache_to", build.cacheTo)
        pairs.add("no_cache", if: build.noCache)
        pairs.add("no_cache_filter", build.noCacheFilter)
        pairs.add("additional_contexts", build.additionalContexts)
        pairs.add("pull", if: build.pull)
        pairs.add("extra_hosts", build.extraHosts.map { "\($0.name)=\($0.address)" })
        pairs.add("isolation", build.isolation)
        pairs.add("network", build.network)
        pairs.add("target", build.target)
        pairs.add("secrets", build.secrets, document(of:))
        pairs.add("shm_size", build.shmSize)
        pairs.add("tags", build.tags)
        pairs.add("ulimits", build.ulimits, document(of:))
        pairs.add("platforms", build.platforms)
        pairs.add("privileged", if: build.privileged)
        pairs.add(extensions: build.extensions)
        return pairs.document
    }

    /// A list, as compose-go has it, unless an id without a socket is none for a list.
    private func addAgents(_ agents: [String: String], to pairs: inout Pairs) {
        if agents.contains(where: { $0.key != "default" && $0.value.isEmpty }) {
            pairs.add("ssh", agents) { $0.isEmpty ? .null : escaped($0) }
        } else {
            pairs.add("ssh", agents.sorted { $0.key < $1.key }.map { $1.isEmpty ? $0 : "\($0)=\($1)" })
        }
    }

    /// Inside of the context as it stands there.
    private func dockerfile(_ path: String, in context: String) -> String {
        let prefix = context == "/" ? "/" : context + "/"
        return path.hasPrefix(prefix) ? String(path.dropFirst(prefix.count)) : path
    }

    func develop(_ rules: [Service.WatchRule]) -> Document {
        var pairs = Pairs(self)
        pairs.add("watch", rules) { rule in
            var pairs = Pairs(self)
            pairs.add("path", rule.path)
            pairs.add("action", rule.action)
            pairs.add("target", rule.target)
            pairs.add("exec", rule.exec.map(document(of:)))
            pairs.add("include", rule.include)
            pairs.add("ignore", rule.ignore)
            pairs.add("initial_sync", if: rule.initialSync)
            return pairs.document
        }
        if rules.isEmpty { pairs.add("watch", .list([])) }
        return pairs.document
    }

    func document(of hook: Service.Hook) -> Document {
        var pairs = Pairs(self)
        pairs.add("command", hook.command.map { .list($0.map(escaped)) })
        pairs.add("image", hook.image)
        pairs.add("user", hook.user)
        pairs.add("privileged", if: hook.privileged)
        pairs.add("working_dir", hook.workingDirectory)
        pairs.add("environment", hook.environment) { $0.map(escaped) ?? .null }
        pairs.add("per_replica", if: hook.perReplica)
        return pairs.document
    }

    func document(of limits: Service.BlockIO) -> Document {
        var pairs = Pairs(self)
        pairs.add("weight", limits.weight)
        pairs.add("weight_device", limits.weights) {
            .map([("path", escaped($0.path)), ("weight", .integer($0.value))])
        }
        func rate(_ entry: Service.BlockIO.Entry) -> Document {
            .map([("path", escaped(entry.path)), ("rate", .text(String(entry.value)))])
        }
        pairs.add("device_read_bps", limits.readBytes, rate)
        pairs.add("device_read_iops", limits.readOperations, rate)
        pairs.add("device_write_bps", limits.writeBytes, rate)
        pairs.add("device_write_iops", limits.writeOperations, rate)
        return pairs.document
    }

    func document(of grant: Service.FileGrant) -> Document {
        var pairs = Pairs(self)
        pairs.add("source", grant.source)
        // A secret's place is always said, a config's only when the file says it (compose-go, types).
        let isSecret = grant.target.hasPrefix("/run/secrets/")
        if grant.isTargetGiven || isSecret { pairs.add("target", grant.target) }
        pairs.add("uid", grant.uid.map { String($0) })
        pairs.add("gid", grant.gid.map { String($0) })
        pairs.add("mode", grant.mode.map { "0" + String($0, radix: 8) })
        return pairs.document
    }

    func document(of spec: Service.CredentialSpec) -> Document {
        var pairs = Pairs(self)
        pairs.add("config", spec.config)
        pairs.add("file", spec.file)
        pairs.add("registry", spec.registry)
        return pairs.document
    }

    func document(of dependency: Service.Dependency) -> Document {
        var pairs = Pairs(self)
        pairs.add("condition", dependency.condition.rawValue)
        pairs.add("restart", if: dependency.restart)
        pairs.add("required", .bool(dependency.required))
        return pairs.document
    }

    func document(of device: Service.Device) -> Document {
        var pairs = Pairs(self)
        pairs.add("source", device.source)
        pairs.add("target", device.target)
        pairs.add("permissions", device.permissions)
        return pairs.document
    }

    func document(of provider: Service.Provider) -> Document {
        var pairs = Pairs(self)
        pairs.add("type", provider.type)
        pairs.add("options", provider.options) { values in
            values.count == 1 ? escaped(values[0]) : .list(values.map(escaped))
        }
        return pairs.document
    }

    func document(of file: Service.EnvironmentFileReference) -> Document {
        var pairs = Pairs(self)
        pairs.add("path", file.path)
        if !file.required { pairs.add("required", .bool(false)) }
        pairs.add("format", file.isRaw ? "raw" : nil)
        return pairs.document
    }

    func document(of request: DeviceRequest) -> Document {
        var pairs = Pairs(self)
        pairs.add("capabilities", request.capabilities)
        pairs.add("driver", request.driver)
        pairs.add("count", request.count)
        pairs.add("device_ids", request.deviceIDs)
        pairs.add("options", request.options)
        return pairs.document
    }

    func document(of check: Service.HealthcheckSetting) -> Document {
        var pairs = Pairs(self)
        pairs.add("test", check.test ?? [])
        pairs.add("timeout", check.timeout)
        pairs.add("interval", check.interval)
        pairs.add("retries", check.retries)
        pairs.add("start_period", check.startPeriod)
        pairs.add("start_interval", check.startInterval)
        pairs.add("disable", if: check.disabled)
        return pairs.document
    }

    func document(of logging: Service.Logging) -> Document {
        var pairs = Pairs(self)
        pairs.add("driver", logging.driver)
        pairs.add("options", logging.options)
        return pairs.document
    }

    func document(of grant: Service.ModelGrant) -> Document {
        var pairs = Pairs(self)
        pairs.add("endpoint_var", grant.endpointVariable)
        pairs.add("model_var", grant.modelVariable)
        return pairs.isEmpty ? .null : pairs.document
    }

    func document(of attachment: Service.Attachment) -> Document {
        var pairs = Pairs(self)
        pairs.add("aliases", attachment.aliases)
        pairs.add("driver_opts", attachment.driverOptions)
        if attachment.gatewayPriority != 0 { pairs.add("gw_priority", attachment.gatewayPriority) }
        pairs.add("interface_name", attachment.interfaceName)
        pairs.add("ipv4_address", attachment.ipv4Address)
        pairs.add("ipv6_address", attachment.ipv6Address)
        pairs.add("link_local_ips", attachment.linkLocalAddresses)
        pairs.add("mac_address", attachment.macAddress)
        if attachment.priority != 0 { pairs.add("priority", attachment.priority) }
        return pairs.isEmpty ? .null : pairs.document
    }

    func document(of port: Service.Port) -> Document {
        var pairs = Pairs(self)
        pairs.add("name", port.name)
        pairs.add("mode", port.mode)
        pairs.add("host_ip", port.hostIP)
        pairs.add("target", Int(port.target))
        if let range = port.published {
            let isOne = range.lowerBound == range.upperBound
            pairs.add("published", isOne ? "\(range.lowerBound)" : "\(range.lowerBound)-\(range.upperBound)")
        }
        pairs.add("protocol", port.proto.rawValue)
        pairs.add("app_protocol", port.appProtocol)
        return pairs.document
    }

    func document(of limit: Service.Ulimit) -> Document {
        if limit.soft == limit.hard { return .integer(limit.soft) }
        return .map([("soft", .integer(limit.soft)), ("hard", .integer(limit.hard))])
    }

    func document(of mount: Service.Mount) -> Document {
        var pairs = Pairs(self)
        var options = Pairs(self)
        let key: String
        switch mount.source {
        case .bind(let path, let create, let propagation):
            key = "bind"
            pairs.add("type", key)
            pairs.add("source", path)
            options.add("selinux", mount.selinux)
            options.add("propagation", propagation)
            if !create { options.add("create_host_path", .bool(false)) }
            options.add("recursive", mount.recursive)
        case .volume(let name):
            key = "volume"
            pairs.add("type", key)
            pairs.add("source", name)
        case .anonymous:
            key = "volume"
            pairs.add("type", key)
        case .tmpfs(let size, let mode, _, _):
            key = "tmpfs"
            pairs.add("type", key)
            options.add("size", size)
            options.add("mode", mode.map { Int($0) })
        case .image(let reference):
            key = "image"
            pairs.add("type", key)
            pairs.add("source", reference)
            options.add("subpath", mount.subpath)
        case .foreign(let type, let source):
            key = ""
            pairs.add("type", type)
            pairs.add("source", source)
        }
        pairs.add("target", mount.target)
        pairs.add("read_only", if: mount.readOnly)
        pairs.add("consistency", mount.consistency)
        if key == "volume" {
            options.add("labels", mount.labels)
            options.add("nocopy", if: mount.noCopy)
            options.add("subpath", mount.subpath)
        }
        if key == "bind" || key == "volume" || !options.isEmpty { pairs.add(key, options.document) }
        return pairs.document
    }

    // MARK: deploy

    func document(of deploy: Deploy) -> Document {
        var pairs = Pairs(self)
        pairs.add("mode", deploy.mode)
        pairs.add("replicas", deploy.replicas)
        pairs.add("labels", deploy.labels)
        pairs.add("update_config", deploy.update.map(document(of:)))
        pairs.add("rollback_config", deploy.rollback.map(document(of:)))
        var resources = Pairs(self)
        resources.add("limits", deploy.limits.map(document(of:)))
        resources.add("reservations", deploy.reservations.map(document(of:)))
        if isJSON || !resources.isEmpty { pairs.add("resources", resources.document) }
        pairs.add("restart_policy", deploy.restartPolicy.map(document(of:)))
        var placement = Pairs(self)
        if let given = deploy.placement {
            placement.add("constraints", given.constraints)
            placement.add("preferences", given.preferences) { .map([("spread", escaped($0))]) }
            placement.add("max_replicas_per_node", given.maximumReplicasPerNode)
        }
        if isJSON || deploy.placement != nil { pairs.add("placement", placement.document) }
        pairs.add("endpoint_mode", deploy.endpointMode)
        pairs.add(extensions: deploy.extensions)
        return pairs.document
    }

    private func document(of update: Deploy.Update) -> Document {
        var pairs = Pairs(self)
        pairs.add("parallelism", update.parallelism)
        pairs.add("delay", update.delay)
        pairs.add("failure_action", update.failureAction)
        pairs.add("monitor", update.monitor)
        pairs.add("max_failure_ratio", update.maximumFailureRatio)
        pairs.add("order", update.order)
        return pairs.document
    }

    private func document(of resources: Deploy.Resources) -> Document {
        var pairs = Pairs(self)
        pairs.add("cpus", resources.cpus)
        pairs.add("memory", resources.memory)
        pairs.add("pids", resources.pids)
        pairs.add("devices", resources.devices, document(of:))
        pairs.add("generic_resources", resources.generic) {
            .map([
                (
                    "discrete_resource_spec",
                    .map([("kind", escaped($0.kind)), ("value", .integer(Int64($0.value)))])
                )
            ])
        }
        return pairs.document
    }

    private func document(of policy: Deploy.RestartPolicy) -> Document {
        var pairs = Pairs(self)
        pairs.add("condition", policy.condition)
        pairs.add("delay", policy.delay)
        pairs.add("max_attempts", policy.maximumAttempts)
        pairs.add("window", policy.window)
        return pairs.document
    }
}
