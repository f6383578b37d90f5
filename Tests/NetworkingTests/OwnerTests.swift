// SPDX-License-Identifier: Apache-2.0
//
// What is written on kernel objects, with names of any length.

import Testing

@testable import Networking

@Suite struct OwnerTests {
    private let owner = NetworkOwner(project: "shop", root: NetworkOwner.defaultRoot)

    @Test("names stand as they are where they have room")
    func short() {
        #expect(owner.prefix == "covey/shop/")
        #expect(owner.alias(network: "shop_front") == "covey/shop//shop_front")
        #expect(owner.comment(container: "web") == "covey/shop/web/")
        #expect(owner.alias(container: "web", network: "shop_front") == "covey/shop/web/shop_front")
        let other = NetworkOwner(project: "shop", root: "/elsewhere")
        #expect(other.prefix.hasPrefix("covey/shop@") && other.prefix.hasSuffix("/"))
    }

    // Links of one container to two networks had one alias: each repair of the one was the other's drift.
    @Test("long names that differ only in their end look different, and say whose they are all the same")
    func long() {
        let long = String(repeating: "n", count: 240)
        for owner in [
            owner, NetworkOwner(project: long, root: "/elsewhere"),
            NetworkOwner(project: "é" + long, root: "/elsewhere"),
        ] {
            var seen: Set<String> = []
            for container in ["web", long + "1", long + "2", "ü" + long] {
                for network in ["front", long + "1", long + "2", long + "é"] {
                    let alias = owner.alias(container: container, network: network)
                    #expect(seen.insert(alias).inserted)
                    #expect(owner.owns(alias) && owner.owns(alias, container: container))
                    #expect(!owner.owns(alias, container: container + "0"))
                    #expect(alias.utf8.count <= 250)
                    #expect(alias.split(separator: "/").count == 4)
                }
                #expect(owner.owns(owner.comment(container: container), container: container))
            }
            for network in [long + "1", long + "2"] {
                #expect(seen.insert(owner.alias(network: network)).inserted)
            }
            #expect(owner.prefix.utf8.count <= 110)
        }
    }
}
