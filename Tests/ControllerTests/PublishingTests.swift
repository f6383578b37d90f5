// SPDX-License-Identifier: Apache-2.0
//
// What published ports are known by, and how many descriptors their relays may have.

import ContainerModel
import Testing

@testable private import Controller

@Suite("published ports")
struct PublishingTests {
    // Of two addresses with the same port one was dead after the controller was started again.
    @Test("the keeper knows each place by a name of its own, whatever the container is called")
    func heldNames() {
        let long = String(repeating: "n", count: 200)
        var names: Set<String> = []
        var count = 0
        for container in ["p-web-1", "\(long)-1", "\(long)-2"] {
            for address in ["0.0.0.0", "127.0.0.1", "::", "::1", "fd00::1"] {
                for proto in [PortRequest.Proto.tcp, .udp] {
                    let place = PublishedPortStatus(
                        hostAddress: address, hostPort: 65535, containerPort: 80, proto: proto)
                    names.insert(place.heldName(container))
                    count += 1
                }
            }
        }
        #expect(names.count == count)
        // KEEPER_NAME is 80 with its NUL.
        #expect(names.allSatisfy { $0.utf8.count < 80 && $0.hasSuffix(":65535") })
    }

    @Test("relays leave half of what the controller may open")
    func room() {
        let room = RelayRoom(limit: 1024)
        var count = 0
        while room.take(RelayRoom.ofConnection) { count += 1 }
        #expect(count == 64)
        room.giveBack(RelayRoom.ofConnection)
        #expect(room.take(RelayRoom.ofConnection) && !room.take(RelayRoom.ofConnection))
    }
}
