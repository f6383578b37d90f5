// SPDX-License-Identifier: Apache-2.0

import Basics
import Testing

@Suite("IPv6 addresses")
struct IPv6AddressTests {
    @Test(
        "texts are read as RFC 4291 and written as RFC 5952 have them",
        arguments: [
            ("::", "::"), ("::1", "::1"), ("FD00:0:0::1", "fd00::1"),
            ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
            ("2001:0db8::0001:0", "2001:db8::1:0"), ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
            ("1:0:3:4:5:6:7:8", "1:0:3:4:5:6:7:8"), ("::ffff:192.0.2.1", "::ffff:c000:201"),
            ("1::", "1::"), ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"),
        ])
    func texts(given: String, written: String) {
        let address = IPv6Address(given)
        #expect(address?.description == written)
        #expect(address.flatMap { IPv6Address(bytes: $0.bytes) } == address)
    }

    @Test(
        "what is no address is none",
        arguments: [
            "", ":", ":::", "1", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "1:2:3:4:5:6:7::8:9",
            "12345::",
            "::g", "::1.2.3", "1.2.3.4::", "::1%eth0", "1:2:3:4:5:6:7:", ":1:2:3:4:5:6:7", "+1::",
            "::1.2.3.256",
        ])
    func refused(text: String) { #expect(IPv6Address(text) == nil) }

    @Test("a subnet has its base, its members and its neighbours")
    func subnets() throws {
        let subnet = try #require(IPv6Subnet("fd00:1:2:3::/64"))
        #expect(subnet.address(1)?.description == "fd00:1:2:3::1")
        #expect(IPv6Subnet("fd00::/124")?.address(16) == nil)
        #expect(try subnet.contains(#require(IPv6Address("fd00:1:2:3:ffff::9"))))
        #expect(try !subnet.contains(#require(IPv6Address("fd00:1:2:4::"))))
        #expect(try subnet.overlaps(#require(IPv6Subnet("fd00::/16"))))
        #expect(IPv6Subnet.isExact("fd00::/8") && !IPv6Subnet.isExact("fd00::1/8"))
        for text in ["fd00::", "fd00::/129", "fd00::/", "fd00::/+8", "10.0.0.0/8"] {
            #expect(IPv6Subnet(text) == nil)
        }
    }
}
