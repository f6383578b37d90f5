// SPDX-License-Identifier: Apache-2.0
//
// Ports of the host: held before they are published, and written down by whom.

import Basics
import CLinux
import ContainerModel
import FoundationEssentials
import Glibc
import Kernel
import Netlink
import Testing

@testable import Networking

extension HostNetworks {
    fileprivate func reservePort(_ request: PortReservation, project: String) throws(Failure) -> ReservedPort
    {
        var reserved: ReservedPort?
        try reservingPorts(project: project) { (reserving) throws(Failure) in
            reserved = try reserving.reserve(request)
        }
        guard let reserved else { preconditionFailure("a port is held or it throws") }
        return reserved
    }
}

@Suite struct PortTests {
    // A thousand ports took six seconds, each with a look at all that were held and a write of them.
    @Test("many ports are written down at once, and none when one of them is taken")
    func many() throws {
        try inPrivateHost { host in
            let stack = try Stack(host)
            let record = "\(host.root)/leases/ports.json"
            var held: [ReservedPort] = []
            try stack.networks.reservingPorts(project: "shop") { (reserving) throws(Failure) in
                for port: UInt16 in 20000...20099 {
                    held.append(
                        try reserving.reserve(PortReservation(ports: port...port, service: "web")))
                }
                #expect(!exists(record))
            }
            let written = try readFile(record)
            #expect(throws: Failure.self) {
                try stack.networks.reservingPorts(project: "blog") { (reserving) throws(Failure) in
                    for port: UInt16 in [30000, 20050] {
                        _ = try reserving.reserve(PortReservation(ports: port...port, service: "api"))
                    }
                }
            }
            #expect(try readFile(record) == written)
        }
    }

    @Test(
        "a held port is refused to others, and a taken one names its holder",
        arguments: [PortRequest.Proto.tcp, .udp])
    func held(proto: PortRequest.Proto) throws {
        try inPrivateHost { host in
            let stack = try Stack(host)
            let kind = proto.rawValue
            let request = PortReservation(proto: proto, ports: 8080...8080, service: "web")
            let held = try stack.networks.reservePort(request, project: "shop")
            #expect(held.port == 8080)
            let rival = try run(["python3", "-c", serverScript, kind, "0.0.0.0", "8080", "x"])
            #expect(rival.output.contains("Address already in use"))
            #expect {
                try stack.networks.reservePort(request, project: "blog")
            } throws: {
                "\($0)".contains("cannot publish port 8080/\(kind) of service \"web\"")
                    && "\($0)".contains("EADDRINUSE) by service \"web\" of project \"shop\"")
            }
            let program = try Child(["python3", "-u", "-c", serverScript, kind, "127.0.0.1", "9090", "x"])
            try awaitReady(program)
            #expect {
                try stack.networks.reservePort(
                    PortReservation(proto: proto, ports: 9090...9090, service: "api"), project: "shop")
            } throws: { error in
                "\(error)".contains("cannot publish port 9090/\(kind) of service \"api\"")
                    && "\(error)".contains("by python3 (pid \(program.pid))")
            }
            // Elsewhere it is free, and in a range the next one is.
            let range = PortReservation(proto: proto, ports: 9090...9095, service: "api")
            #expect(try stack.networks.reservePort(range, project: "shop").port == 9091)
            let any = PortReservation(proto: proto, ports: nil, service: "api")
            #expect(try stack.networks.reservePort(any, project: "shop").port > 1023)
            #expect {
                try stack.networks.reservePort(
                    PortReservation(
                        proto: proto, address: IPv4Address(192, 0, 2, 77), ports: 80...80, service: "api"),
                    project: "shop")
            } throws: {
                "\($0)".contains("this host has no address 192.0.2.77")
            }
            program.end()
            #expect(stack.networks.removeProject("shop", group: stack.group) == [])
            #expect(!exists("\(host.root)/leases/ports.json"))
        }
    }

    @Test("what is given back or released is written down no more")
    func released() throws {
        try inPrivateHost { host in
            let stack = try Stack(host)
            func ports() throws -> [UInt16] {
                try stack.networks.records.ports().map(\.port).sorted()
            }
            func request(_ port: UInt16, _ proto: PortRequest.Proto = .tcp) -> PortReservation {
                PortReservation(proto: proto, ports: port...port, service: "web")
            }
            try stack.networks.reservingPorts(project: "shop") { (reserving) throws(Failure) in
                for port: UInt16 in [8080, 8081] { _ = try reserving.reserve(request(port)) }
                _ = try reserving.reserve(request(8080, .udp))
                reserving.giveBack(try reserving.reserve(request(8082)), of: request(8082))
            }
            try stack.networks.reservingPorts(project: "blog") { (reserving) throws(Failure) in
                _ = try reserving.reserve(request(9090))
            }
            #expect(try ports() == [8080, 8080, 8081, 9090])
            try stack.networks.releasePorts([request(8080), request(9090)], project: "shop")
            #expect(try ports() == [8080, 8081, 9090])
            try stack.networks.releasePorts([request(8080, .udp), request(8081)], project: "shop")
            #expect(try ports() == [9090])
        }
    }
}
