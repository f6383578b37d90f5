// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Cgroups

@Suite("what cgroups a host has")
struct CgroupHostTests {
    private func host(_ mounts: String, _ own: String, namespaced: Bool = false) -> CgroupHost {
        CgroupHost(mountInfo: Array(mounts.utf8), own: Array(own.utf8), namespaced: namespaced) { _ in
            Array("cpu io memory pids\n".utf8)
        }
    }

    @Test("a pure v2 host has its controllers in one hierarchy")
    func unified() {
        let host = host(
            """
            22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
            30 22 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate

            """, "0::/user.slice/user-0.slice/session-1.scope\n")
        #expect(host.mode == .v2)
        #expect(!host.isEnclosed)
        #expect(host.hierarchy(of: "memory")?.mountPoint == "/sys/fs/cgroup")
        #expect(host.hierarchies.first?.ownPath == "/user.slice/user-0.slice/session-1.scope")
        #expect(host.hierarchy(of: "devices") == nil)
    }

    @Test("a hierarchy whose place is covered by another mount is none")
    func covered() {
        let host = host(
            """
            31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
            41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
            35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
            50 31 0:50 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw
            51 50 0:33 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
            52 51 0:34 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,cpu
            53 50 0:35 / /sys/fs/cgroup/pids2 rw,relatime - cgroup cgroup rw,pids
            """, "0::/\n")
        #expect(host.hierarchies.map(\.mountPoint) == ["/sys/fs/cgroup/pids", "/sys/fs/cgroup/pids2"])
        #expect(host.hierarchy(of: "cpu")?.mountPoint == "/sys/fs/cgroup/pids")
        #expect(host.hierarchy(of: "memory") == nil)
    }

    @Test("on a hybrid host controllers are v1's, where they are mounted")
    func hybrid() {
        let host = host(
            """
            31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
            41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
            32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
            35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
            40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,release_agent=/x,name=systemd
            """, "4:memory:/process/x\n3:name=systemd:/user.slice\n2:cpu,cpuacct:/\n0::/\n")
        #expect(host.mode == .hybrid)
        #expect(host.hierarchy(of: "cpu")?.mountPoint == "/sys/fs/cgroup/cpu,cpuacct")
        #expect(host.hierarchy(of: "memory")?.unified == false)
        #expect(host.hierarchy(of: "memory")?.ownPath == "/process/x")
        #expect(host.hierarchy(of: "name=systemd")?.ownPath == "/user.slice")
        #expect(host.hierarchy(of: "pids")?.unified == true)
        #expect(host.hierarchies.last?.unified == true)
    }

    @Test("inside a container that shows a part of the host's cgroups, the enclosing one can't be left")
    func partial() {
        let host = host(
            "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro,relatime - cgroup cgroup rw,memory\n"
                + "36 31 0:33 /docker/abc /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids",
            "2:memory:/docker/abc/x\n1:pids:/docker/abc\n")
        #expect(host.mode == .v1)
        #expect(host.isEnclosed)
        #expect(host.writable.map(\.mountPoint) == ["/sys/fs/cgroup/pids"])
        #expect(host.hierarchies.map(\.ownPath) == ["/x", "/"])
    }

    @Test("a cgroup namespace and read-only mounts enclose too")
    func namespaced() {
        let mount = "30 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup rw"
        #expect(host(mount, "0::/", namespaced: true).isEnclosed)
        #expect(!host(mount, "0::/").isEnclosed)
        #expect(host("30 22 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup rw", "0::/").isEnclosed)
    }

    @Test("mount points are unescaped; what is no mount line is passed over")
    func odd() {
        let host = host(
            "x\n\n30 22 0:26 / /my\\040cgroups rw - cgroup2 cgroup rw\n1 2 - cgroup", "nonsense\n")
        #expect(host.hierarchies.map(\.mountPoint) == ["/my cgroups"])
        #expect(self.host("", "").mode == .none)
    }
}

@Suite("limits of a bundle on v2")
struct BundleLimitTests {
    @Test("of quota and period the one that isn't given stays as it is")
    func bandwidth() {
        #expect(unifiedBandwidth(quota: nil, period: nil, now: "max 100000\n") == nil)
        #expect(unifiedBandwidth(quota: nil, period: 50_000, now: "20000 100000\n") == "20000 50000")
        #expect(unifiedBandwidth(quota: 30_000, period: nil, now: "20000 50000\n") == "30000 50000")
        #expect(unifiedBandwidth(quota: -1, period: nil, now: "20000 50000\n") == "max 50000")
        #expect(unifiedBandwidth(quota: 10_000, period: 0, now: "") == "10000 100000")
    }

    @Test(
        "v1's weights reach over the whole of v2's",
        arguments: [(0, 1), (10, 1), (500, 4950), (1000, 10000)] as [(UInt64, UInt64)])
    func weight(given: UInt64, is wanted: UInt64) { #expect(unifiedWeight(given) == wanted) }
}
