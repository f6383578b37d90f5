// SPDX-License-Identifier: Apache-2.0

import Kernel
import Testing

@testable import OCIRuntime

@Suite("a root that is moved over /")
struct MovedRootTests {
    private let mounts = Array(
        """
        20 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
        21 20 0:5 / /proc rw - proc proc rw
        22 20 0:6 / /sys rw shared:2 master:1 - sysfs sysfs rw
        23 22 0:7 / /sys/fs/cgroup ro - tmpfs tmpfs ro,size=4k
        24 20 0:5 / /srv/a\\040b/proc rw - proc proc rw
        25 20 0:5 /sys /mnt/part rw - proc proc rw
        26 20 0:5 / /bundle/rootfs/proc rw - proc proc rw
        27 20 0:5 / /bundle/rootfs-2/proc rw - proc proc rw
        28 21 0:8 / /proc rw - proc proc rw,hidepid=2
        29 20 0:9 / /nameless rw - proc  rw
        no mount at all

        """.utf8)

    @Test("leaves no procfs or sysfs of the host's that shows all there is, the last first, each place once")
    func whole() {
        let table = MountEntry.all(in: mounts)
        #expect(table.count == 10)
        #expect(
            wholeKernelMounts(in: table, outside: "/bundle/rootfs")
                == ["/nameless", "/proc", "/bundle/rootfs-2/proc", "/srv/a b/proc", "/sys"])
    }

    @Test("mountinfo's lines are read in full")
    func fields() {
        let entry = MountEntry.all(in: mounts)[2]
        #expect(entry.tags == ["shared:2", "master:1"] && entry.type == "sysfs" && entry.options == ["rw"])
        #expect(MountEntry.all(in: mounts)[3].options == ["ro", "size=4k"])
    }
}
