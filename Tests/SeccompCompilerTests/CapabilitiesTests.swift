// SPDX-License-Identifier: Apache-2.0

import Basics
import SeccompCompiler
import Testing

@Suite("capabilities")
struct CapabilitiesTests {
    @Test("there are 41, each with the kernel's number")
    func table() {
        #expect(Capability.allCases.count == 41)
        #expect(Capability(name: "SYS_ADMIN")?.rawValue == 21)
        #expect(Capability(name: "cap_audit_read")?.rawValue == 37)
        #expect(Capability(name: "CAP_CHECKPOINT_RESTORE")?.rawValue == 40)
        #expect(Capability.sysTtyConfig.name == "SYS_TTY_CONFIG")
        #expect(CapabilitySet.all.rawValue == 0x1ff_ffff_ffff)
    }

    // What `docker run busybox grep CapBnd /proc/self/status` shows.
    @Test("Docker's fourteen defaults are a80425fb")
    func defaults() { #expect(CapabilitySet.dockerDefault.rawValue == 0xa804_25fb) }

    @Test(
        "cap_add and cap_drop resolve as Docker does",
        arguments: [
            ([], [], CapabilitySet.dockerDefault),
            (["NET_ADMIN"], [], CapabilitySet.dockerDefault.union(CapabilitySet(.netAdmin))),
            (["cap_net_admin"], ["ALL"], CapabilitySet(.netAdmin)),
            ([], ["all"], []),
            ([], ["CAP_NET_RAW"], CapabilitySet.dockerDefault.subtracting(CapabilitySet(.netRaw))),
            (["ALL"], ["SYS_ADMIN"], CapabilitySet.all.subtracting(CapabilitySet(.sysAdmin))),
            (["CHOWN"], ["CHOWN"], CapabilitySet.dockerDefault),
        ] as [([String], [String], CapabilitySet)])
    func resolves(add: [String], drop: [String], result: CapabilitySet) throws {
        #expect(try resolveCapabilities(add: add, drop: drop) == result)
    }

    @Test("nothing is given beyond the bounding set")
    func bounded() throws {
        let bounding = CapabilitySet(.chown, .kill)
        #expect(try resolveCapabilities(add: ["ALL"], drop: [], bounding: bounding) == bounding)
    }

    @Test("an unknown name is an error with the nearest one")
    func unknown() {
        let failure = #expect(throws: Failure.self) {
            try resolveCapabilities(add: ["CAP_NET_ADMN"], drop: [])
        }
        #expect(
            failure?.description == """
                error: cap_add names "CAP_NET_ADMN"
                  cause: there is no such capability
                  try:   did you mean "NET_ADMIN"?
                """)
        #expect(throws: Failure.self) { try resolveCapabilities(add: [], drop: [""]) }
    }
}
