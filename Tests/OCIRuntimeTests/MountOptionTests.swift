// SPDX-License-Identifier: Apache-2.0

import LaunchPlanning
import Testing

@Suite("mount options of a bundle")
struct MountOptionTests {
    @Test("attributes, propagation, the runtime's own and the file system's are told apart")
    func kinds() {
        let options = MountOptions(["rbind", "ro", "nosuid", "rslave", "rnoexec", "size=64k", "tmpcopyup"])
        #expect(options.bind && options.recursive && options.copyUp)
        #expect(options.set == 3 && options.setBeneath == 8)
        #expect(options.propagation == [1 << 19 | 0x4000])
        #expect(options.data.map(\.key) == ["size"] && options.data.map(\.value) == ["64k"])
    }

    @Test("of opposites the last counts")
    func opposites() {
        let options = MountOptions(["ro", "rw", "noatime", "relatime"])
        #expect(options.set & 1 == 0 && options.clear & 1 == 1)
        #expect(options.set & 0x70 == 0 && options.clear & 0x70 == 0x70)
    }

    @Test("`rw` and `relatime` are no recursive forms of others")
    func initials() {
        #expect(MountOptions(["rw"]).setBeneath == 0 && MountOptions(["rw"]).clearBeneath == 0)
        #expect(MountOptions(["rro"]).setBeneath == 1 && MountOptions(["rrw"]).clearBeneath == 1)
    }

    @Test("`features` lists every one")
    func known() {
        for option in ["ro", "rro", "idmap", "tmpcopyup", "rshared", "nosymfollow", "rnosymfollow"] {
            #expect(MountOptions.known.contains(option))
        }
    }
}
