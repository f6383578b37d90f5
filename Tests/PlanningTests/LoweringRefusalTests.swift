// SPDX-License-Identifier: Apache-2.0
//
// Settings that contradict each other, and those this host or Covey has not.

import Basics
import ComposeModel
import ContainerModel
import Planning
import Testing

@Suite("what can not be done is refused while requests are made")
struct LoweringRefusalTests {
    struct Contradiction: Sendable {
        let change: @Sendable (inout Service) -> Void
        let message: String
        init(_ message: String, _ change: @escaping @Sendable (inout Service) -> Void) {
            self.message = message
            self.change = change
        }
    }

    @Test(
        "limits that contradict each other, or that the kernel would bend, are errors",
        arguments: [
            Contradiction("service \"app\" limits processor time twice") {
                $0.cpus = 1
                $0.cpuQuota = 1000
            },
            Contradiction("service \"app\" limits processor time twice") {
                $0.cpus = 1
                $0.cpuPeriod = 1000
            },
            Contradiction("service \"app\" has a `cpu_quota` of 999 µs") { $0.cpuQuota = 999 },
            Contradiction("service \"app\" has a `cpu_period` of 999 µs") { $0.cpuPeriod = 999 },
            Contradiction("service \"app\" has a `cpu_period` of 1000001 µs") { $0.cpuPeriod = 1_000_001 },
            Contradiction("service \"app\" limits swap and not memory") {
                $0.memorySwapLimit = ByteSize(bytes: 9)
            },
            Contradiction("service \"app\" may use more memory than memory and swap together") {
                $0.memoryLimit = ByteSize(bytes: 10 << 20)
                $0.memorySwapLimit = ByteSize(bytes: 9 << 20)
            },
            Contradiction("service \"app\" reserves more memory than it may use") {
                $0.memoryLimit = ByteSize(bytes: 1 << 20)
                $0.memoryReservation = ByteSize(bytes: 2 << 20)
            },
            Contradiction("service \"app\" has the host's name and a `hostname`") {
                $0.uts = "host"
                $0.hostname = "a"
            },
            Contradiction("service \"app\": `uts: service:db` is not supported") { $0.uts = "service:db" },
            Contradiction("service \"app\" has the domain name \"a b\"") { $0.domainName = "a b" },
            Contradiction("service \"app\" has white space in `dns_search`") { $0.dnsSearch = ["a\nb"] },
            Contradiction("service \"app\" has white space in `dns_opt`") { $0.dnsOptions = [""] },
        ])
    func contradictions(_ given: Contradiction) {
        #expect {
            try request(given.change)
        } throws: {
            ($0 as? Failure)?.doing == given.message
        }
    }

    struct Refused: Sendable {
        var message: String
        var change: @Sendable (inout Service) -> Void
        init(_ message: String, _ change: @escaping @Sendable (inout Service) -> Void) {
            self.message = message
            self.change = change
        }
    }

    @Test(
        "what cannot be done is refused by name",
        arguments: [
            Refused("security_opt: smack:mine") { $0.securityOptions = ["smack:mine"] },
            Refused("has the label \"any\"") { $0.securityOptions = ["label:any"] },
            Refused("profile that was not read") { $0.securityOptions = ["seccomp=p.json"] },
            Refused("publishes ports and has no network of its own") {
                $0.networkMode = "container:c"
                $0.networks = [:]
                $0.ports = [Service.Port(target: 80, published: nil)]
            },
            Refused("has `hostname` and the network of another container") {
                $0.networkMode = "container:c"
                $0.networks = [:]
                $0.hostname = "a"
            },
            Refused("uses service \"nope\" for its `pid`") { $0.pid = "service:nope" },
            Refused("uses itself for its `ipc`") { $0.ipc = "service:app" },
            Refused("`userns_mode` of \"keep-id\"") { $0.userNamespace = "keep-id" },
            Refused("would set the host's net.core.somaxconn") {
                $0.networkMode = "host"
                $0.networks = [:]
                $0.sysctls = ["net.core.somaxconn": "1"]
            },
            Refused("names the device \"kvm\"") { $0.devices = [.init(source: "kvm", target: "/dev/kvm")] },
            Refused("has the rule \"c 1 r\"") { $0.deviceCgroupRules = ["c 1 r"] },
            Refused("takes volumes from service \"nope\", which is not declared") {
                $0.volumesFrom = ["nope"]
            },
            Refused("takes volumes from itself") { $0.volumesFrom = ["app"] },
            Refused("has a weight of 5 in `blkio_config`") {
                var block = Service.BlockIO()
                block.weight = 5
                $0.blockIO = block
            },
            Refused("names the device \"sda\" in `blkio_config`") {
                var block = Service.BlockIO()
                block.readBytes = [.init(path: "sda", value: 1)]
                $0.blockIO = block
            },
            Refused("a `cpu_rt_runtime` longer than its period") { $0.cpuRealtimeRuntime = 2_000_000 },
            Refused("`recursive: readonly` on a writable mount") {
                var mount = Service.Mount(
                    source: .bind(path: "/a", createHostPath: true, propagation: nil), target: "/b")
                mount.recursive = "readonly"
                $0.volumes = [mount]
            },
            Refused("mounts the image \"x:1\", which is not in the store") {
                $0.volumes = [Service.Mount(source: .image("x:1"), target: "/b")]
            },
            Refused("unknown stop signal \"HOP\"") { $0.stopSignal = "HOP" },
            Refused("network \"nope\", which is not declared") { $0.networks = ["nope": .init()] },
            Refused("volume \"nope\", which is not declared") {
                $0.volumes = [Service.Mount(source: .volume("nope"), target: "/x")]
            },
            Refused("secret \"nope\", which is not declared") {
                $0.secrets = [.init(source: "nope", target: "/x")]
            },
            Refused("depends on \"nope\", which is not declared") {
                $0.dependsOn = ["nope": .init(condition: .started)]
            },
            Refused("depend on each other in a circle") {
                $0.dependsOn = ["app": .init(condition: .started)]
            },
            Refused("can have `link_local_ips`") {
                $0.replicas = 2
                $0.networks["default"]?.linkLocalAddresses = ["169.254.1.1"]
            },
            Refused("has two interface names on network") {
                $0.networks["default"]?.interfaceName = "a"
                $0.networks["default"]?.driverOptions = ["com.docker.network.endpoint.ifname": "b"]
            },
            Refused("links to container \"c\" and has no network") {
                $0.externalLinks = ["c"]
                $0.networks = [:]
            },
            Refused("2 replicas and a fixed address") {
                $0.replicas = 2
                $0.networks["default"]?.ipv4Address = "10.0.0.2"
            },
        ])
    func refused(refused: Refused) {
        #expect {
            try request(refused.change)
        } throws: {
            "\($0)".contains(refused.message) && "\($0)".hasPrefix("compose.yaml:")
        }
    }
}
