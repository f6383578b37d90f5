// SPDX-License-Identifier: Apache-2.0

import Netlink
import Testing

@Suite struct MessageTests {
    @Test("a veth is one message: host end in group and bridge, peer named and placed")
    func veth() throws {
        var requests = Requests()
        requests.createVeth(
            name: "cvyv1", group: 0x4000_0001, master: 7, peerName: "eth0",
            peerMAC: MACAddress(for: IPv4Address(10, 128, 0, 2)), peer: .pid(4242))
        #expect(
            dump(requests.bytes)
                == dump(
                    hex(
                        """
                        a4 00 00 00   # length 164
                        10 00 05 06   # RTM_NEWLINK, REQUEST|ACK|CREATE|EXCL
                        01 00 00 00
                        00 00 00 00
                        00 00 00 00   # ifinfomsg: all zero
                        00 00 00 00
                        00 00 00 00
                        00 00 00 00
                        0a 00 03 00   # IFLA_IFNAME
                        63 76 79 76
                        31 00 00 00
                        08 00 1b 00   # IFLA_GROUP
                        01 00 00 40
                        08 00 0a 00   # IFLA_MASTER
                        07 00 00 00
                        08 00 1f 00   # IFLA_NUM_TX_QUEUES
                        01 00 00 00
                        08 00 20 00   # IFLA_NUM_RX_QUEUES
                        01 00 00 00
                        58 00 12 00   # IFLA_LINKINFO
                        09 00 01 00   #   IFLA_INFO_KIND
                        76 65 74 68
                        00 00 00 00
                        48 00 02 00   #   IFLA_INFO_DATA
                        44 00 01 00   #     VETH_INFO_PEER, begins with an ifinfomsg
                        00 00 00 00
                        00 00 00 00
                        00 00 00 00
                        00 00 00 00
                        09 00 03 00   #       IFLA_IFNAME
                        65 74 68 30
                        00 00 00 00
                        0a 00 01 00   #       IFLA_ADDRESS
                        02 42 0a 80
                        00 02 00 00
                        08 00 1f 00   #       IFLA_NUM_TX_QUEUES
                        01 00 00 00
                        08 00 20 00   #       IFLA_NUM_RX_QUEUES
                        01 00 00 00
                        08 00 13 00   #       IFLA_NET_NS_PID
                        92 10 00 00
                        """)))
    }

    @Test("deleting by group names no link")
    func deleteGroup() {
        var requests = Requests()
        requests.deleteLinks(group: 5)
        #expect(
            dump(requests.bytes)
                == dump(
                    hex(
                        """
                        28 00 00 00
                        11 00 05 00   # RTM_DELLINK, REQUEST|ACK
                        01 00 00 00
                        00 00 00 00
                        00 00 00 00
                        00 00 00 00   # index 0
                        00 00 00 00
                        00 00 00 00
                        08 00 1b 00   # IFLA_GROUP
                        05 00 00 00
                        """)))
    }

    @Test("an element carries key, value and comment")
    func element() {
        var requests = Requests()
        requests.addElements(
            [
                SetElement(
                    key: [6, 0, 0, 0, 0x1f, 0x90, 0, 0], value: [10, 128, 0, 2, 0, 80, 0, 0],
                    comment: "covey/p/")
            ],
            set: "m", in: TableName(.inet, "covey"))
        #expect(
            dump(requests.bytes)
                == dump(
                    hex(
                        """
                        60 00 00 00
                        0c 0a 05 04   # NFT_MSG_NEWSETELEM, REQUEST|ACK|CREATE
                        01 00 00 00
                        00 00 00 00
                        01 00 00 00   # nfgenmsg: NFPROTO_INET
                        0a 00 01 00   # NFTA_SET_ELEM_LIST_TABLE
                        63 6f 76 65
                        79 00 00 00
                        06 00 02 00   # NFTA_SET_ELEM_LIST_SET
                        6d 00 00 00
                        38 00 03 80   # NFTA_SET_ELEM_LIST_ELEMENTS
                        34 00 01 80
                        10 00 01 80   #   NFTA_SET_ELEM_KEY
                        0c 00 01 00
                        06 00 00 00   #   tcp
                        1f 90 00 00   #   8080
                        10 00 02 80   #   NFTA_SET_ELEM_DATA
                        0c 00 01 00
                        0a 80 00 02   #   10.128.0.2
                        00 50 00 00   #   80
                        0f 00 06 00   #   NFTA_SET_ELEM_USERDATA
                        00 09 63 6f   #   comment, 9 bytes
                        76 65 79 2f
                        70 2f 00 00
                        """)))
    }

    @Test("a refusal gives its errno and the kernel's own text")
    func refusal() throws {
        let bytes = hex(
            """
            38 00 00 00   # length 56
            02 00 00 03   # NLMSG_ERROR, CAPPED|ACK_TLVS
            07 00 00 00   # to request 7
            00 00 00 00
            ef ff ff ff   # -17
            28 00 00 00   # the request's header
            10 00 05 06
            07 00 00 00
            00 00 00 00
            11 00 01 00   # NLMSGERR_ATTR_MSG
            6e 61 6d 65
            20 69 6e 20
            75 73 65 00
            00 00 00 00
            """)
        let message = try #require(Message.all(in: bytes[...]).first)
        #expect(message.sequence == 7)
        #expect(message.outcome == Message.Outcome(errno: 17, text: "name in use"))
    }

    @Test("many elements are spread over messages, each attribute under 64 KiB")
    func manyElements() {
        let elements = (0..<1000).map { i in
            SetElement(
                key: [UInt8](repeating: UInt8(truncatingIfNeeded: i), count: 32),
                comment: String(repeating: "x", count: 400))
        }
        var requests = Requests()
        requests.addElements(elements, set: "s", in: TableName(.inet, "covey"))
        #expect(requests.entries.count == 8)
        #expect(Message.all(in: requests.bytes[...]).count == 8)
    }

    @Test("random bytes, and good messages with random damage, never crash the readers")
    func fuzz() {
        var random = SystemRandomNumberGenerator()
        var good = Requests()
        good.createVeth(
            name: "a", group: 1, master: 1, peerName: "b", peerMAC: MACAddress(for: .loopback), peer: .fd(3))
        good.addAddress(IPv4Address.loopback, prefix: 8, index: 1, linkName: "lo")
        good.addDefaultRoute(gateway: IPv4Address.loopback)
        good.createTable(TableName(.inet, "t"), comment: "c")
        good.addElements([SetElement(key: [1, 2, 3, 4], comment: "x")], set: "s", in: TableName(.inet, "t"))
        for round in 0..<20_000 {
            var bytes: [UInt8]
            if round % 2 == 0 {
                bytes = (0..<Int.random(in: 0...128, using: &random)).map { _ in
                    .random(in: 0...255, using: &random)
                }
                if bytes.count > 5 {
                    bytes[0] = UInt8(bytes.count)
                    bytes[1] = 0
                    bytes[2] = 0
                    bytes[3] = 0
                    bytes[4] = [2, 3, 16, 20, 24, 0, 12, 6, 15].randomElement(using: &random) ?? 2
                    bytes[5] = [0, 10].randomElement(using: &random) ?? 0
                }
            } else {
                bytes = good.bytes
                for _ in 0..<4 {
                    bytes[.random(in: 0..<bytes.count, using: &random)] = .random(in: 0...255, using: &random)
                }
                bytes.removeLast(.random(in: 0..<bytes.count, using: &random))
            }
            for message in Message.all(in: bytes[...]) {
                _ = message.outcome
                _ = LinkState(message)
                _ = AddressState(message)
                _ = RouteState(message)
                _ = TableReplies.table(message)
                _ = TableReplies.generation(message)
                _ = TableReplies.chain(message)
                _ = TableReplies.rule(message)
                _ = TableReplies.elements(message)
            }
        }
    }
}

@Suite struct AddressTests {
    @Test(
        "an address is four decimal numbers and nothing else",
        arguments: [
            ("10.128.0.2", "10.128.0.2"), ("0.0.0.0", "0.0.0.0"), ("255.255.255.255", "255.255.255.255"),
            ("256.0.0.1", nil), ("1.2.3", nil), ("1.2.3.4.5", nil), ("01.2.3.4", nil), ("1..3.4", nil),
            ("", nil), ("1.2.3.4 ", nil), ("-1.2.3.4", nil), ("a.b.c.d", nil), (".1.2.3.4", nil),
        ])
    func address(text: String, expected: String?) {
        #expect(IPv4Address(text)?.description == expected)
    }

    @Test(
        "a subnet has no host bits",
        arguments: [
            ("10.0.0.0/8", true), ("10.0.0.1/8", false), ("0.0.0.0/0", true), ("1.2.3.4/32", true),
            ("1.2.3.4/33", false), ("1.2.3.0", false), ("1.2.3.0/", false), ("1.2.3.0/+4", false),
            ("10.0.0.0/008", false),
        ])
    func subnet(text: String, good: Bool) {
        #expect((Subnet(text) != nil) == good)
    }

    @Test("subnets overlap when one contains the other")
    func overlap() throws {
        let wide = try #require(Subnet("10.0.0.0/8"))
        let narrow = try #require(Subnet("10.200.7.0/24"))
        let other = try #require(Subnet("11.0.0.0/8"))
        #expect(wide.overlaps(narrow) && narrow.overlaps(wide))
        #expect(!wide.overlaps(other))
        #expect(narrow.last == IPv4Address(10, 200, 7, 255))
    }
}
