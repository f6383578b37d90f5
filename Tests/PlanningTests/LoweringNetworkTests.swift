// SPDX-License-Identifier: Apache-2.0
//
// Networks of services: by name, by mode, links, hardware addresses, interfaces.

import Basics
import ComposeModel
import ContainerModel
import Planning
import Testing

@Suite("what a container has of networks becomes requests")
struct LoweringNetworkTests {
    @Test("network_mode: bridge is a network of the project's, another word one that is there")
    func namedNetworks() throws {
        for (mode, name, external) in [("bridge", "demo_bridge", false), ("shared", "shared", true)] {
            let desired = try lowered(
                project {
                    $0.networkMode = mode
                    $0.networks = [:]
                }
            ).desired
            #expect(desired.services["app"]?.container.networks == [EndpointRequest(network: name)])
            #expect(desired.networks[name]?.external == external)
        }
    }

    @Test("a link is an alias of its own for a service it shares a network with")
    func links() throws {
        var project = project {
            $0.links = ["web:w", "web"]
            $0.networks = ["a": .init()]
        }
        project.networks["a"] = Network(name: "demo_a")
        var web = Service(name: "web")
        web.image = "demo:1"
        web.networks = ["a": .init()]
        project.services["web"] = web
        #expect(try lowered(project).desired.services["app"]?.container.rare?.links == ["w": "web"])
        project.services["web"]?.networks = [:]
        #expect {
            try lowered(project)
        } throws: {
            ($0 as? Failure)?.doing == "service \"app\" links to \"web\" and can't reach it"
        }
    }

    @Test("two keys of one network are one interface, with the aliases of both")
    func oneNetwork() throws {
        func lower(_ change: (inout Service) -> Void) throws -> Lowered {
            var project = project {
                $0.networks = ["a": .init(), "b": .init()]
                $0.networks["a"]?.aliases = ["x"]
                $0.networks["b"]?.aliases = ["y", "x"]
                change(&$0)
            }
            for key in ["a", "b"] { project.networks[key] = Network(name: "one") }
            return try lowered(project)
        }
        let desired = try lower { _ in }.desired
        #expect(
            desired.services["app"]?.container.networks == [
                EndpointRequest(network: "one", aliases: ["app", "x", "y"])
            ])
        #expect(desired.networks.keys.sorted() == ["one"])
        #expect {
            try lower { $0.networks["b"]?.ipv4Address = "10.0.0.2" }
        } throws: {
            ($0 as? Failure)?.doing
                == "service \"app\" is on network \"one\" twice, as \"a\" and as \"b\", with other settings"
        }
    }

    @Test("a hardware address is the first network's, or each network's own")
    func hardwareAddresses() throws {
        func endpoints(_ change: (inout Service) -> Void) throws -> [String?] {
            var project = project {
                $0.networks = ["a": .init(), "b": .init()]
                change(&$0)
            }
            for key in ["a", "b"] { project.networks[key] = Network(name: key) }
            let lowered = try lowered(project).desired.services["app"]
            return lowered?.container.networks.map(\.macAddress) ?? []
        }
        #expect(try endpoints { $0.macAddress = "02-42-AC-11-00-02" } == ["02:42:ac:11:00:02", nil])
        #expect(
            try endpoints { $0.networks["b"]?.macAddress = "02:00:00:00:00:01" } == [
                nil, "02:00:00:00:00:01",
            ])
        func says(_ message: String, _ change: (inout Service) -> Void) {
            #expect {
                try endpoints(change)
            } throws: {
                "\($0)".contains(message)
            }
        }
        says("which no interface can have") { $0.macAddress = "01:00:00:00:00:01" }
        says("which no interface can have") { $0.macAddress = "00:00:00:00:00:00" }
        says("two hardware addresses") {
            $0.macAddress = "02:00:00:00:00:01"
            $0.networks["a"]?.macAddress = "02:00:00:00:00:02"
        }
        says("2 replicas") {
            $0.macAddress = "02:00:00:00:00:01"
            $0.replicas = 2
        }
        says("no network") {
            $0.macAddress = "02:00:00:00:00:01"
            $0.networks = [:]
        }
    }

    @Test("what a service says of its interfaces is put beside their networks")
    func interfaces() throws {
        let given = try request {
            $0.networks["default"]?.interfaceName = "lan0"
            $0.networks["default"]?.linkLocalAddresses = ["169.254.1.1"]
            $0.networks["default"]?.gatewayPriority = 3
            $0.networks["default"]?.driverOptions = [
                "com.docker.network.endpoint.sysctls":
                    "net.ipv4.conf.IFNAME.log_martians=1,net.ipv6.conf.IFNAME.accept_ra=0"
            ]
        }
        let settings = given.container.networks.first?.settings
        #expect(settings?.linkName == "lan0")
        #expect(settings?.linkLocalAddresses == ["169.254.1.1"])
        #expect(settings?.gatewayPriority == 3)
        #expect(
            settings?.sysctls == [
                "net.ipv4.conf.IFNAME.log_martians": "1", "net.ipv6.conf.IFNAME.accept_ra": "0",
            ])
        #expect(try request().container.networks.first?.settings == nil)
    }
}
