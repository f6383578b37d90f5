// SPDX-License-Identifier: Apache-2.0

import Basics
import ContainerModel
import FoundationEssentials
import Planning
import Testing

extension EndpointRequest {
    fileprivate init(network: String, mac: String) {
        self.init(network: network)
        macAddress = mac
    }
}

extension ServiceRequest {
    fileprivate mutating func rare(_ change: (inout RareSettings) -> Void) {
        var settings = container.rare ?? RareSettings()
        change(&settings)
        container.rare = settings
    }
}

extension ServiceRequest {
    fileprivate mutating func endpoint(_ change: (inout EndpointSettings) -> Void) {
        var settings = EndpointSettings()
        change(&settings)
        container.networks = [EndpointRequest(network: "n")]
        container.networks[0].settings = settings
    }
}

private struct Anything: Decodable {}

@Suite("the configuration hash says when a container must be another one")
struct ConfigHashTests {
    typealias Change = @Sendable (inout ServiceRequest) -> Void

    static func full() -> ServiceRequest {
        var container = ContainerRequest(
            image: ImageFacts(reference: "demo:1", id: Digest(of: "i".utf8), layers: ["/l"]),
            arguments: ["a"])
        container.hostname = "h"
        var service = ServiceRequest(name: "app", container: container, configHash: Digest(of: []))
        service.containerName = "box"
        service.healthcheck = HealthcheckRequest(command: ["/probe"])
        return service
    }

    @Test(
        "a change of anything inside the container changes it",
        arguments: [
            { $0.container.image.id = Digest(of: "j".utf8) },
            { $0.container.arguments = ["a", ""] },
            { $0.container.environment = ["A=1"] },
            { $0.container.workingDirectory = "/w" },
            { $0.container.user = "u" },
            { $0.container.hostname = nil },
            { $0.container.mounts = [MountRequest(source: .anonymous(index: 0), target: "/d")] },
            {
                $0.container.files = [
                    FileRequest(title: "t", content: Digest(of: "x".utf8), target: "/f")
                ]
            },
            { $0.container.networks = [EndpointRequest(network: "n", aliases: ["a"])] },
            { $0.container.networks = [EndpointRequest(network: "n", ipv4Address: "a")] },
            { $0.container.networks = [.init(network: "n", mac: "a")] },
            { $0.container.ports = [PortRequest(target: 80, published: nil)] },
            { $0.container.ports = [PortRequest(target: 80, published: 80...80)] },
            { $0.container.ports = [PortRequest(target: 80, published: 80...80, proto: .udp)] },
            { $0.container.extraHosts = [HostEntry(name: "a", address: "b")] },
            { $0.container.dnsServers = ["d"] },
            { $0.container.limits.cpus = 1 },
            { $0.container.limits.memory = ByteSize(bytes: 1) },
            { $0.container.limits.pids = 1 },
            { $0.container.limits.cpuQuota = 1 },
            { $0.container.limits.cpuPeriod = 1 },
            { $0.container.limits.cpuShares = 1 },
            { $0.container.limits.cpuSet = "0" },
            { $0.container.limits.memoryReservation = ByteSize(bytes: 1) },
            { $0.container.limits.memoryAndSwap = ByteSize(bytes: 1) },
            { $0.container.limits.swappiness = 1 },
            { $0.container.limits.oomKillDisabled = true },
            { $0.container.rare = RareSettings() },
            { $0.rare { $0.oomScoreAdjustment = 1 } },
            { $0.rare { $0.groups = ["a"] } },
            { $0.rare { $0.links = ["a": "b"] } },
            { $0.rare { $0.logging = .init() } },
            { $0.rare { $0.logging = .init(files: 1) } },
            { $0.rare { $0.logging = .init(fileSize: 1) } },
            {
                $0.rare {
                    $0.logging = .init()
                    $0.logging?.forwarding = LogForwarding(.journal)
                }
            },
            { $0.rare { $0.domainName = "a" } },
            { $0.rare { $0.dnsSearch = ["a"] } },
            { $0.rare { $0.dnsOptions = ["a"] } },
            { $0.rare { $0.hostNamespaces = [.uts] } },
            { $0.rare { $0.hostNamespaces = [.cgroup] } },
            { $0.rare { $0.hostNamespaces = [.network] } },
            { $0.rare { $0.joined = [JoinedNamespace(.network, of: .service("db"))] } },
            { $0.rare { $0.joined = [JoinedNamespace(.network, of: .container("db"))] } },
            { $0.rare { $0.withoutSharedMemory = true } },
            { $0.rare { $0.privileged = true } },
            { $0.rare { $0.devices = [DeviceGrant(path: "/dev/kvm", target: "/dev/kvm")] } },
            { $0.rare { $0.deviceRules = [DeviceRule(.character, 1, nil, .all)] } },
            { $0.rare { $0.seccompProfile = "{}" } },
            { $0.rare { $0.systemPathsVisible = true } },
            { $0.rare { $0.appArmorProfile = "a" } },
            { $0.rare { $0.seLinuxContext = "a" } },
            { $0.rare { $0.annotations = ["a": "b"] } },
            { $0.rare { $0.externalLinks = ["a": "b"] } },
            { $0.rare { $0.cgroupParent = "a" } },
            { $0.rare { $0.storageSize = ByteSize(bytes: 1) } },
            { $0.endpoint { $0.linkName = "a" } },
            { $0.endpoint { $0.linkLocalAddresses = ["169.254.0.1"] } },
            { $0.endpoint { $0.gatewayPriority = 1 } },
            { $0.endpoint { $0.sysctls = ["a": "b"] } },
            {
                var mount = MountRequest(source: .anonymous(index: 0), target: "/d")
                mount.labels = ["a": "b"]
                $0.container.mounts = [mount]
            },
            { $0.rare { $0.volumesFrom = [VolumesFrom(.service("db"), readOnly: true)] } },
            { $0.rare { $0.volumesFrom = [VolumesFrom(.service("db"), readOnly: false)] } },
            { $0.container.limits.realtimeRuntime = 1 },
            { $0.container.limits.realtimePeriod = 1 },
            { $0.container.limits.blockIO = BlockLimits() },
            {
                var mount = MountRequest(source: .anonymous(index: 0), target: "/d")
                mount.runsPrograms = true
                $0.container.mounts = [mount]
            },
            {
                var mount = MountRequest(source: .anonymous(index: 0), target: "/d")
                mount.beneath = MountRequest.MountsBeneath.none
                $0.container.mounts = [mount]
            },
            { $0.container.capAdd = ["X"] },
            { $0.container.capDrop = ["X"] },
            { $0.container.noNewPrivileges = true },
            { $0.container.seccomp = false },
            { $0.container.readOnlyRoot = true },
            { $0.container.initProcess = true },
            { $0.container.tty = true },
            { $0.container.stdinOpen = true },
            { $0.container.ulimits = ["core": LimitPair(soft: 1, hard: 1)] },
            { $0.container.sysctls = ["a": "b"] },
            { $0.container.labels = ["a": "b"] },
            { $0.container.stopSignal = "SIGINT" },
            { $0.container.stopGracePeriod = .seconds(1) },
            { $0.container.shmSize = ByteSize(bytes: 1) },
            { $0.containerName = nil },
            { $0.healthcheck = nil },
            { $0.healthcheck?.retries = 9 },
            { $0.healthcheck?.interval = .seconds(1) },
        ] as [Change])
    func changes(change: Change) {
        var changed = Self.full()
        change(&changed)
        #expect(configHash(of: changed) != configHash(of: Self.full()))
    }

    @Test(
        "how many there are, what they wait for, when they restart and where the image lies does not",
        arguments: [
            { $0.replicas = 5 },
            { $0.dependencies = ["db": DependencyRequest(condition: .started)] },
            { $0.restart = .always },
            { $0.container.image.reference = "demo:2" },
            { $0.container.image.layers = ["/elsewhere"] },
            { $0.configHash = Digest(of: "other".utf8) },
        ] as [Change])
    func keeps(change: Change) {
        var changed = Self.full()
        change(&changed)
        #expect(configHash(of: changed) == configHash(of: Self.full()))
    }

    @Test("texts that only together read the same differ")
    func boundaries() {
        var one = Self.full()
        one.container.arguments = ["ab", "c"]
        var other = Self.full()
        other.container.arguments = ["a", "bc"]
        #expect(configHash(of: one) != configHash(of: other))
    }

    @Test("the hash is the same on every machine and in every run")
    func golden() {
        #expect(
            configHash(of: Self.full()).hex
                == "7826a1ea36452e7e3ad7bef6869642ed4c9cc41cf88df08d66e5f14e721e135a")
    }

    /// A new field must be put into ConfigHash.swift, or be left out there on purpose, and then listed here.
    @Test("no field of a request is forgotten")
    func fields() throws {
        #expect(
            try keys(of: Self.full().container) == [
                "arguments", "capAdd", "capDrop", "dnsServers", "environment", "extraHosts", "files",
                "hostname", "image", "initProcess", "labels", "limits", "mounts", "networks",
                "noNewPrivileges", "ports", "readOnlyRoot", "seccomp", "shmSize", "stdinOpen",
                "stopGracePeriod", "stopSignal", "sysctls", "tty", "ulimits", "user", "workingDirectory",
            ])
        #expect(
            try keys(of: Self.full()) == [
                "configHash", "container", "containerName", "dependencies", "healthcheck", "name",
                "replicas", "restart",
            ])
        var rare = RareSettings()
        rare.oomScoreAdjustment = 1
        rare.domainName = ""
        rare.logging = .init()
        rare.seccompProfile = ""
        rare.appArmorProfile = ""
        rare.seLinuxContext = ""
        #expect(
            try keys(of: rare) == [
                "annotations", "appArmorProfile", "deviceRules", "devices", "dnsOptions", "dnsSearch",
                "domainName", "groups",
                "hostNamespaces", "joined", "links", "logging", "oomScoreAdjustment", "privileged",
                "seLinuxContext", "seccompProfile", "systemPathsVisible", "volumesFrom",
                "withoutSharedMemory",
            ])
        #expect(
            try keys(of: HealthcheckRequest(command: [])) == [
                "command", "interval", "retries", "startInterval", "startPeriod", "timeout",
            ])
        #expect(
            try keys(
                of: FileRequest(title: "", content: Digest(of: []), target: ""))
                == ["content", "gid", "mode", "target", "title", "uid"])
    }

    private func keys(of value: some Encodable) throws -> [String] {
        let data = try JSONEncoder().encode(value)
        return try JSONDecoder().decode([String: Anything].self, from: data).keys.sorted()
    }
}
