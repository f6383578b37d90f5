// SPDX-License-Identifier: Apache-2.0
//
// Real software: samples/shop on an image of our own builder, from packages of this machine's own sources. What is done
// with it stands in Tests/shop/run, which a person runs as well; here it is one more scenario.

import Glibc
import Testing

extension Scenarios {
    @Suite("real software")
    struct Shop {
        /// What Tests/shop/run ends with when a program it needs is not installed; with CI=true it fails instead.
        private static let lacking: Int32 = 77

        @Test("the shop loses no order, whatever of it or of Covey is killed")
        func shop() throws {
            let variables = ["COVEY", "CI", "COVEY_SHOP_CACHE"].compactMap { name in
                Host.variable(name).map { "\(name)=\($0)" }
            }
            let covey = Host.variable("COVEY") == nil ? ["COVEY=\(Host.covey ?? "covey")"] : []
            let program = try RunningProgram(
                ["\(Host.repository)/Tests/shop/run"], environment: ["PATH=\(Host.path)"] + variables + covey,
                directory: "/", scratch: "/tmp")
            let outcome = try program.wait(limit: .seconds(600))
            if outcome.code == Self.lacking {
                return say("\n*** SKIPPED: samples/shop: \(outcome.errors) ***\n")
            }
            try outcome.orThrow()
        }
    }
}
