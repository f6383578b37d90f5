// SPDX-License-Identifier: Apache-2.0
//
// What a service has of the host and of other containers: namespaces, devices, security options. Combinations the engine
// refuses are refused here, because one of the two would be ignored.

import Basics
import ComposeModel
import ContainerModel

extension ServiceLowering {
    // MARK: Namespaces

    func namespaces(_ rare: inout RareSettings) throws(Failure) {
        rare.volumesFrom = try volumesFrom()
        if service.cgroup == "host" { rare.hostNamespaces.insert(.cgroup) }
        try nameSpace(&rare)
        try networkNamespace(&rare)
        for (attribute, mode, namespace) in [
            ("pid", service.pid, RareSettings.Namespace.pid), ("ipc", service.ipc, .ipc),
        ] {
            switch mode {
            case nil, "private", "shareable": break
            case "host": rare.hostNamespaces.insert(namespace)
            case "none": rare.withoutSharedMemory = true
            case .some(let text):
                let owner = try owner(attribute, text)
                if namespace == .ipc, case .service(let name) = owner,
                    project.services[name]?.ipc == "private"
                {
                    throw mistake(
                        attribute, "shares the memory of service \(quoted(name)), which keeps it to itself",
                        cause: "\(quoted(name)) has `ipc: private`", advice: "give it `ipc: shareable`")
                }
                rare.joined.append(JoinedNamespace(namespace, of: owner))
            }
        }
        if let mode = service.userNamespace, mode != "host" {
            throw mistake(
                "userns_mode", "has a `userns_mode` of \(quoted(mode))",
                cause: "no container has a user namespace of its own, and `host` is the one mode there is",
                advice: "remove it")
        }
        try checkSysctls(rare)
    }

    private func nameSpace(_ rare: inout RareSettings) throws(Failure) {
        guard let mode = service.uts else { return }
        guard mode == "host" else {
            throw Failure(
                "service \(quoted(service.name)): `uts: \(mode)` is not supported", advice: "`host` is",
                at: service.marks["uts"])
        }
        if let name = service.hostname != nil ? "hostname" : service.domainName != nil ? "domainname" : nil {
            throw mistake(
                name, "has the host's name and a `\(name)`", cause: "`uts: host` is given",
                advice: "remove one of them")
        }
        rare.hostNamespaces.insert(.uts)
    }

    private func networkNamespace(_ rare: inout RareSettings) throws(Failure) {
        guard let mode = service.networkMode else { return }
        guard mode == "host" || mode.hasPrefix("service:") || mode.hasPrefix("container:") else { return }
        if mode == "host" {
            rare.hostNamespaces.insert(.network)
            return
        }
        if !service.ports.isEmpty {
            throw mistake(
                "ports", "publishes ports and has no network of its own",
                cause: "`network_mode: \(mode)` is given",
                advice: "publish them where the network belongs to")
        }
        let taken: [(String, Bool)] = [
            ("hostname", service.hostname != nil), ("domainname", service.domainName != nil),
            ("dns", !service.dns.isEmpty), ("dns_search", !service.dnsSearch.isEmpty),
            ("dns_opt", !service.dnsOptions.isEmpty), ("extra_hosts", !service.extraHosts.isEmpty),
            ("links", !service.links.isEmpty), ("external_links", !service.externalLinks.isEmpty),
            ("mac_address", service.macAddress != nil),
        ]
        if let attribute = taken.first(where: \.1)?.0 {
            throw mistake(
                attribute, "has `\(attribute)` and the network of another container",
                cause: "`network_mode: \(mode)`: names and addresses are that one's",
                advice: "remove `\(attribute)`, or give it to the other")
        }
        rare.joined.append(JoinedNamespace(.network, of: try owner("network_mode", mode)))
    }

    private func owner(_ attribute: String, _ mode: String) throws(Failure) -> ContainerOwner {
        let name = String(mode.drop { $0 != ":" }.dropFirst())
        if mode.hasPrefix("container:"), !name.isEmpty { return .container(name) }
        guard mode.hasPrefix("service:"), !name.isEmpty else {
            throw mistake(
                attribute, "has a `\(attribute)` of \(quoted(mode))",
                advice: "host, service:NAME or container:NAME")
        }
        guard name != service.name else {
            throw mistake(
                attribute, "uses itself for its `\(attribute)`", advice: "name another service, or remove it")
        }
        guard project.services[name] != nil else {
            throw mistake(
                attribute,
                "uses service \(quoted(name)) for its `\(attribute)`, which is \(absence(of: name))",
                advice: advice(for: name) ?? "declare it under `services`")
        }
        return .service(name)
    }

    /// Why a service that is named is not there.
    private func absence(of name: String) -> String {
        project.disabledServices[name] == nil ? "not declared" : "switched off by its profiles"
    }

    /// What to do about a service that is not there; the one that names it is never what was meant.
    private func advice(for name: String) -> String? {
        if project.disabledServices[name] != nil { return "switch it on with --profile" }
        let others = project.services.keys.filter { $0 != service.name }.sorted()
        return nearest(to: name, among: others).map { "did you mean \(quoted($0))?" }
    }

    /// The kernel keeps these by namespace: without one of its own they would be set for the host (runc,
    /// libcontainer/configs/validate).
    private func checkSysctls(_ rare: RareSettings) throws(Failure) {
        for name in service.sysctls.keys.sorted() {
            let attribute: String
            if name.hasPrefix("net."), rare.hostNamespaces.contains(.network) {
                attribute = "network_mode"
            } else if rare.hostNamespaces.contains(.ipc),
                ["kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue."].contains(where: {
                    name.hasPrefix($0)
                })
            {
                attribute = "ipc"
            } else {
                continue
            }
            throw mistake(
                "sysctls", "would set the host's \(name)", cause: "`\(attribute): host` is given",
                advice: "remove the sysctl, or set it on the host")
        }
    }

    // MARK: Networks of the engine's

    /// The network that `network_mode` names: `bridge` is one of the project's own without names to be found by, any other
    /// word one that is there already.
    var namedNetwork: NetworkRequest? {
        guard let mode = service.networkMode, !["none", "host"].contains(mode), !mode.contains(":") else {
            return nil
        }
        if mode == "bridge" || mode == "default" { return NetworkRequest(name: "\(project.name)_bridge") }
        var request = NetworkRequest(name: mode)
        request.external = true
        return request
    }

    // MARK: Other containers' volumes

    /// `SERVICE[:ro|rw]`, `container:NAME[:ro|rw]`.
    func volumesFrom() throws(Failure) -> [VolumesFrom] {
        var found: [VolumesFrom] = []
        for text in service.volumesFrom {
            var parts = text.split(separator: ":").map(String.init)
            let isContainer = parts.first == "container" && parts.count > 1
            if isContainer { parts.removeFirst() }
            let name = parts.first ?? ""
            if !isContainer, name == service.name {
                throw mistake(
                    "volumes_from", "takes volumes from itself", advice: "name another service, or remove it")
            }
            if !isContainer, project.services[name] == nil {
                throw mistake(
                    "volumes_from",
                    "takes volumes from service \(quoted(name)), which is \(absence(of: name))",
                    advice: advice(for: name) ?? "write container:\(name) for a container")
            }
            found.append(
                VolumesFrom(
                    isContainer ? .container(name) : .service(name), readOnly: parts.dropFirst().first == "ro"
                ))
        }
        return found
    }

    // MARK: Devices

    func devices(_ rare: inout RareSettings) throws(Failure) {
        rare.privileged = service.privileged
        for device in service.devices where !isInterfaceName(device.source) {
            guard device.source.hasPrefix("/") else {
                throw mistake(
                    "devices", "names the device \(quoted(device.source))", cause: "it is no absolute path",
                    advice: "such as /dev/kvm")
            }
            guard let access = DeviceAccess(device.permissions) else {
                throw mistake(
                    "devices", "gives the permissions \(quoted(device.permissions))", advice: "of r, w and m")
            }
            guard device.target.hasPrefix("/"), normalPath(device.target) != "/" else {
                throw mistake(
                    "devices", "puts a device at \(quoted(device.target))",
                    advice: "an absolute path such as /dev/kvm")
            }
            rare.devices.append(
                DeviceGrant(
                    path: normalPath(device.source), target: normalPath(device.target), access: access))
        }
        for line in service.deviceCgroupRules {
            guard let rule = DeviceRule(line) else {
                throw mistake(
                    "device_cgroup_rules", "has the rule \(quoted(line))", advice: "such as \"c 1:3 rwm\"")
            }
            rare.deviceRules.append(rule)
        }
    }

    // MARK: Security options

    /// Docker takes `key=value` and, from older days, `key:value`.
    func securityOptions(_ container: inout ContainerRequest, _ rare: inout RareSettings) throws(Failure) {
        var label: [String: String] = [:]
        for option in service.securityOptions {
            let cut = option.firstIndex { $0 == "=" || $0 == ":" } ?? option.endIndex
            let key = String(option[..<cut])
            let value = option[cut...].dropFirst()
            switch (key, value) {
            case ("no-new-privileges", ""), ("no-new-privileges", "true"): container.noNewPrivileges = true
            case ("no-new-privileges", "false"): container.noNewPrivileges = false
            case ("seccomp", "unconfined"): container.seccomp = false
            case ("seccomp", "builtin"):
                container.seccomp = true
                rare.seccompProfile = nil
            case ("seccomp", _) where !value.isEmpty:
                guard let profile = contents.profiles[String(value)] else {
                    throw mistake(
                        "security_opt", "has a seccomp profile that was not read", advice: "name a file")
                }
                container.seccomp = true
                rare.seccompProfile = String(decoding: profile, as: UTF8.self)
            case ("systempaths", "unconfined"): rare.systemPathsVisible = true
            // No profile is ever applied that was not asked for.
            case ("apparmor", "unconfined"), ("label", "disable"): break
            case ("apparmor", _) where !value.isEmpty && value.utf8.allSatisfy { $0 > 32 }:
                rare.appArmorProfile = String(value)
            case ("label", _):
                let parts = value.split(separator: ":", maxSplits: 1).map(String.init)
                guard parts.count == 2, ["user", "role", "type", "level"].contains(parts[0]) else {
                    throw mistake(
                        "security_opt", "has the label \(quoted(String(value)))",
                        advice: "disable, or user:, role:, type: or level: with a value")
                }
                label[parts[0]] = parts[1]
            default:
                throw Failure(
                    "service \(quoted(service.name)): `security_opt: \(option)` is not supported",
                    advice: "no-new-privileges, seccomp, apparmor, label and systempaths=unconfined are",
                    at: service.marks.place("security_opt"))
            }
        }
        if !label.isEmpty {
            // What container-selinux gives to containers.
            rare.seLinuxContext = [
                label["user"] ?? "system_u", label["role"] ?? "system_r", label["type"] ?? "container_t",
                label["level"] ?? "s0",
            ].joined(separator: ":")
        }
        // A privileged container has no filter unless one is asked for by name (moby, daemon/seccomp_linux.go).
        if rare.privileged, rare.seccompProfile == nil { container.seccomp = false }
    }
}
