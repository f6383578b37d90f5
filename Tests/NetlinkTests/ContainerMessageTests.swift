// SPDX-License-Identifier: Apache-2.0
//
// The two blobs a container's child sends, byte for byte. Whether the kernel takes them is tested in NetworkingTests.

import Netlink
import Testing

/// Hex with comments behind `#`, as bytes.
func hex(_ text: String) -> [UInt8] {
    var bytes: [UInt8] = []
    for line in text.split(separator: "\n") {
        let code = line.prefix { $0 != "#" }
        for word in code.split(separator: " ") {
            if let byte = UInt8(word, radix: 16) { bytes.append(byte) }
        }
    }
    return bytes
}

/// Bytes as lines of sixteen, for a readable difference.
func dump(_ bytes: [UInt8]) -> String {
    stride(from: 0, to: bytes.count, by: 4).map { start in
        bytes[start..<min(start + 4, bytes.count)].map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }
            .joined(separator: " ")
    }.joined(separator: "\n")
}

@Suite struct ContainerMessageTests {
    @Test("a container's link gets its address, comes up, and routes through the gateway")
    func routes() {
        let messages = containerRouteMessages(
            address: IPv4Address(10, 128, 3, 2), prefix: 24, gateway: IPv4Address(10, 128, 3, 1))
        #expect(messages.map(\.linkName) == ["lo", "eth0"])
        let up = """
            20 00 00 00   # length 32
            10 00 05 00   # RTM_NEWLINK, REQUEST|ACK
            """
        #expect(
            dump(messages[0].bytes)
                == dump(
                    hex(
                        up + """

                            01 00 00 00   # sequence
                            00 00 00 00   # to the kernel
                            00 00 00 00   # AF_UNSPEC
                            ff ff ff ff   # index: filled in by the child
                            01 00 00 00   # IFF_UP
                            01 00 00 00   # of which this one is changed
                            """)))
        #expect(
            dump(messages[1].bytes)
                == dump(
                    hex(
                        """
                        30 00 00 00   # length 48
                        14 00 05 06   # RTM_NEWADDR, REQUEST|ACK|CREATE|EXCL
                        01 00 00 00
                        00 00 00 00
                        02 18 00 00   # AF_INET, /24, no flags, universe
                        ff ff ff ff   # index: filled in by the child
                        08 00 02 00   # IFA_LOCAL
                        0a 80 03 02
                        08 00 01 00   # IFA_ADDRESS
                        0a 80 03 02
                        08 00 04 00   # IFA_BROADCAST
                        0a 80 03 ff
                        20 00 00 00
                        10 00 05 00   # RTM_NEWLINK, REQUEST|ACK
                        02 00 00 00
                        00 00 00 00
                        00 00 00 00
                        ff ff ff ff   # index: filled in by the child
                        01 00 00 00
                        01 00 00 00
                        24 00 00 00
                        18 00 05 06   # RTM_NEWROUTE, REQUEST|ACK|CREATE|EXCL
                        03 00 00 00
                        00 00 00 00
                        02 00 00 00   # AF_INET, to 0.0.0.0/0
                        fe 03 00 01   # main table, RTPROT_BOOT, universe, RTN_UNICAST
                        00 00 00 00
                        08 00 05 00   # RTA_GATEWAY
                        0a 80 03 01
                        """)))
    }

    @Test("only the first link with a gateway gets the default route, an internal one none")
    func oneDefault() {
        let subnet = IPv4Address(10, 0, 0, 2)
        let links = [
            ContainerLink(name: "eth0", address: subnet, prefix: 24, gateway: nil),
            ContainerLink(name: "eth1", address: subnet, prefix: 24, gateway: IPv4Address(10, 0, 0, 1)),
            ContainerLink(name: "eth2", address: subnet, prefix: 24, gateway: IPv4Address(10, 0, 0, 1)),
        ]
        let messages = containerRouteMessages(links: links)
        let routes = messages.map { part in
            Message.all(in: part.bytes[...]).count { $0.type == 24 }
        }
        #expect(routes == [0, 0, 1, 0])
    }

    @Test("the name service's rules are one batch with numbered messages, acknowledged between its ends")
    func names() {
        let bytes = containerNameServiceRules(port: 40000)
        let messages = Message.all(in: bytes[...])
        #expect(messages.map(\.type) == [0x10, 0xa00, 0xa03, 0xa06, 0xa06, 0x11])
        #expect(messages.map(\.sequence) == [1, 2, 3, 4, 5, 6])
        #expect(messages.map { $0.flags & 4 != 0 } == [false, true, true, true, true, false])
        // The first rule's comparisons: 127.0.0.11, udp, 53.
        let rule = messages[3].attributes(after: 4)
        let compared = rule.first(4)?.nested.compactMap { expression -> [UInt8]? in
            guard expression.nested.first(1)?.text == "cmp" else { return nil }
            return expression.nested.first(2)?.nested.first(3)?.nested.first(1).map { Array($0.payload) }
        }
        #expect(compared == [[127, 0, 0, 11], [17], [0, 53]])
    }
}
