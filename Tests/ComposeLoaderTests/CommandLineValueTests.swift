// SPDX-License-Identifier: Apache-2.0

import Basics
import ComposeLoader
import Testing

@Test("what a file may ask for and this host refuses is refused on the command line as well")
func commandLineRefusals() {
    do throws(Failure) {
        _ = try readPorts("80/sctp")
        Issue.record("accepted")
    } catch {
        #expect(error.doing == "cannot understand the port \"80/sctp\"")
        #expect(error.cause == "it asks for sctp, which is not supported")
    }
}
