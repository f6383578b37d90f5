// SPDX-License-Identifier: Apache-2.0

import Archives
import Basics
import Testing

@testable import Images
@testable import Registry

@Suite("limits of a layer")
struct LimitTests {
    @Test(
        "more bytes or entries than allowed are refused while they come, with the variable that moves the limit"
    )
    func limits() throws {
        let image = try PlayedImage([noise(200_000)])
        let server = try ScriptedServer { image.answer($0) }
        for (variable, change) in [("COVEY_LAYER_BYTES", 0), ("COVEY_LAYER_ENTRIES", 1)] {
            let place = try Workplace()
            var store = place.store
            if change == 0 { store.limits.bytes = 100_000 } else { store.limits.entries = 0 }
            let failure = try #require(throws: Failure.self) {
                try place.access().pull("\(server.host)/app:1", into: store, time: 1) { _ in }
            }
            #expect(failure.advice?.contains(variable) == true, "\(failure)")
            let left = try place.leftovers()
            #expect(left.allSatisfy { $0.hasPrefix(".") }, "\(left)")
        }
    }
    @Test("more than so many times its compressed bytes is refused, with the variable that moves the limit")
    func ratio() throws {
        let image = try PlayedImage([String(repeating: "0", count: 4_000_000)])
        let server = try ScriptedServer { image.answer($0) }
        let place = try Workplace()
        var store = place.store
        store.limits.ratioFrom = 1 << 20
        let failure = try #require(throws: Failure.self) {
            try place.access().pull("\(server.host)/app:1", into: store, time: 1) { _ in }
        }
        #expect(failure.advice?.contains("COVEY_LAYER_RATIO") == true, "\(failure)")
        #expect(try place.leftovers().allSatisfy { $0.hasPrefix(".") })
        store.limits.ratio = 2000
        #expect(try place.access().pull("\(server.host)/app:1", into: store, time: 1) { _ in }.isNew)
    }
}
