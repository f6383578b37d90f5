// SPDX-License-Identifier: Apache-2.0

import Glibc
import Kernel
import Testing

@testable import Cgroups

private let unifiedMount = (try? CgroupHost.detect())?.writable.first(where: \.unified)?.mountPoint

@Suite("the device policy")
struct DevicePolicyTests {
    @Test("reads as v1's lines")
    func lines() {
        #expect(
            DevicePolicy.dockerDefault.allowLines.joined(separator: ", ")
                == """
                c *:* m, b *:* m, c 1:3 rwm, c 1:5 rwm, c 1:7 rwm, c 1:8 rwm, c 1:9 rwm, c 5:0 rwm, c 5:1 rwm, \
                c 5:2 rwm, c 136:* rwm
                """)
    }

    // BPF_PROG_TYPE_CGROUP_DEVICE needs only a v2 mount, no controller: this runs on hybrid hosts too.
    @Test(
        "as a BPF program on v2 refuses what isn't allowed",
        .enabled(if: unifiedMount != nil && getuid() == 0, "needs root and a cgroup2 mount"))
    func program() throws {
        let mount = try #require(unifiedMount)
        let directory = "\(mount)/covey-test-devices-\(getpid())"
        try makeDirectory(directory)
        defer { rmdir(directory) }
        let fd = try openFile(directory, flags: O_RDONLY | O_DIRECTORY)
        let policy = DevicePolicy(
            allowed: DevicePolicy.dockerDefault.allowed + [.init(.character, 1, 11, [.read, .makeNode])])
        #expect(try deviceProgramCount(ofCgroup: fd.raw) == 0)
        try attachDeviceProgram(policy.program, toCgroup: fd.raw)
        #expect(try deviceProgramCount(ofCgroup: fd.raw) == 1)
        let base = "/tmp/covey-devices-\(getpid())"
        try makeDirectory(base)
        defer { try? removeTree(base) }
        let shell = try Shell(
            """
            cd \(base)
            mknod mem c 1 1 && mknod disk b 259 77 && mknod kmsg c 1 11 || exit 1
            (: < mem) 2>&- && exit 2
            (: < disk) 2>&- && exit 3
            (: < kmsg) || exit 4
            (: > kmsg) 2>&- && exit 5
            (: < /dev/zero && : > /dev/full && : < /dev/urandom && : > /dev/null) || exit 6
            exit 0
            """, tasks: [], procs: directory)
        #expect(shell.wait() == 0)
        eventually("the process is gone") { rmdir(directory) == 0 || errno == ENOENT }
    }

    @Test(
        "a program that allows nothing refuses even making a node",
        .enabled(if: unifiedMount != nil && getuid() == 0, "needs root and a cgroup2 mount"))
    func nothing() throws {
        let mount = try #require(unifiedMount)
        let directory = "\(mount)/covey-test-nothing-\(getpid())"
        try makeDirectory(directory)
        defer { rmdir(directory) }
        let fd = try openFile(directory, flags: O_RDONLY | O_DIRECTORY)
        try attachDeviceProgram(DevicePolicy(allowed: []).program, toCgroup: fd.raw)
        let shell = try Shell(
            "mknod /tmp/covey-no-\(getpid()) c 1 3 2>&- && exit 1; (: < /dev/null) 2>&- && exit 2; exit 0",
            tasks: [], procs: directory)
        #expect(shell.wait() == 0)
        eventually("the process is gone") { rmdir(directory) == 0 || errno == ENOENT }
    }
}
