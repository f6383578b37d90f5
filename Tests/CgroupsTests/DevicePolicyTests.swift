// SPDX-License-Identifier: Apache-2.0

import Basics
import ContainerModel
import Glibc
import Kernel

import Testing

@testable import Cgroups
@testable import OCIFormats

private let unifiedMount = (try? CgroupHost.detect())?.writable.first(where: \.unified)?.mountPoint

@Suite("the device policy")
struct DevicePolicyTests {
    @Test("reads as v1's lines")
    func lines() throws {
        #expect(
            try DevicePolicy.dockerDefault.legacyLines().map(\.line).joined(separator: ", ")
                == """
                a, c *:* m, b *:* m, c 1:3 rwm, c 1:5 rwm, c 1:7 rwm, c 1:8 rwm, c 1:9 rwm, c 5:0 rwm, c 5:1 rwm, \
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
            allowed: DevicePolicy.dockerDefault.rules + [.init(.character, 1, 11, [.read, .makeNode])])
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

    @Test("a rule on everything makes those before it moot; rules on both kinds are two of v1's lines")
    func order() throws {
        var policy = DevicePolicy(allowed: [.init(.character, 1, 3, .all)])
        policy.add(.init(nil, nil, nil, .all))
        #expect(policy == .everything)
        policy.add(.init(nil, 7, nil, [.read, .write], allows: false))
        #expect(
            try policy.legacyLines().map { "\($0.file) \($0.line)" } == [
                "devices.allow a", "devices.deny c 7:* rw", "devices.deny b 7:* rw",
            ])
    }

    @Test("a bundle's rules come in their order, after them the devices every container has")
    func bundle() throws {
        let policy = DevicePolicy(bundle: [
            .init(allow: true, type: "c", major: 9, minor: 9, access: "rw"),
            .init(allow: false, type: "a", major: nil, minor: nil, access: "rwm"),
            .init(allow: true, type: "b", major: 8, minor: -1, access: "r"),
        ])
        #expect(
            try policy.legacyLines().prefix(3).map { "\($0.file) \($0.line)" } == [
                "devices.deny a", "devices.allow b 8:* r", "devices.allow c *:* m",
            ])
        #expect(policy.rules.dropFirst() == DevicePolicy.dockerDefault.rules[...])
    }

    @Test(
        "on v1 a rule takes back what it covers of those before it; one that covers a part of one is refused")
    func holes() throws {
        func lines(_ allowsOthers: Bool, _ rules: [DevicePolicy.Rule]) throws -> [String] {
            try DevicePolicy(allowsOthers: allowsOthers, rules: rules).legacyLines().dropFirst().map(\.line)
        }
        let kmsg = DevicePolicy.Rule(.character, 1, 11, .all)
        let noKmsg = DevicePolicy.Rule(.character, 1, 11, .all, allows: false)
        let characters = DevicePolicy.Rule(.character, nil, nil, .all)
        #expect(try lines(true, [noKmsg]) == ["c 1:11 rwm"])
        #expect(try lines(false, [kmsg, noKmsg]) == [])
        #expect(
            try lines(false, [kmsg, .init(nil, 1, nil, [.write, .makeNode], allows: false)]) == ["c 1:11 r"])
        #expect(try lines(true, [noKmsg, .init(.character, nil, nil, .makeNode)]) == ["c 1:11 rw"])
        #expect(try lines(false, [kmsg, .init(.block, 1, 11, .all, allows: false)]) == ["c 1:11 rwm"])
        #expect(throws: DevicePolicy.UnspeakableRule.self) { try lines(false, [characters, noKmsg]) }
        #expect(throws: DevicePolicy.UnspeakableRule.self) {
            try lines(true, [.init(.character, nil, nil, .read, allows: false), kmsg])
        }
        #expect(try lines(false, [characters, .init(.block, 1, 11, .all, allows: false)]) == ["c *:* rwm"])
    }

    @Test(
        "as a BPF program the last rule that speaks of an access decides",
        .enabled(if: unifiedMount != nil && getuid() == 0, "needs root and a cgroup2 mount"))
    func refusals() throws {
        let mount = try #require(unifiedMount)
        let directory = "\(mount)/covey-test-refusals-\(getpid())"
        try makeDirectory(directory)
        defer { rmdir(directory) }
        let fd = try openFile(directory, flags: O_RDONLY | O_DIRECTORY)
        let policy = DevicePolicy(
            allowsOthers: true,
            rules: [
                .init(.character, 1, 5, .all, allows: false), .init(.character, 1, 5, .read),
                .init(.character, 1, 3, .write, allows: false),
            ])
        try attachDeviceProgram(policy.program, toCgroup: fd.raw)
        let shell = try Shell(
            """
            (: < /dev/zero) || exit 1
            (: > /dev/zero) 2>&- && exit 2
            (: < /dev/null) || exit 3
            (: > /dev/null) 2>&- && exit 4
            (: > /dev/full) || exit 5
            exit 0
            """, tasks: [], procs: directory)
        #expect(shell.wait() == 0)
        eventually("the process is gone") { rmdir(directory) == 0 || errno == ENOENT }
    }

    @Test(
        "a container's own policy stands in the project's place on v2 as well",
        .enabled(if: unifiedMount != nil && getuid() == 0, "needs root and a cgroup2 mount"))
    func ownOnUnified() throws {
        try withProject(on: { $0.unified ? $0 : nil }) { project in
            try checkOwnPolicies(&project)
        }
    }

    @Test(
        "a container's own policy stands in the project's place", .enabled(if: canMakeCgroups, needsCgroups))
    func own() throws {
        try withProject { project in try checkOwnPolicies(&project) }
    }

    private func checkOwnPolicies(_ project: inout ProjectCgroup) throws {
        var wider = DevicePolicy.dockerDefault
        wider.add(.init(.character, 1, 11, [.read]))
        let cases: [(String, DevicePolicy?, Int32)] = [
            ("usual", nil, 1), ("wider", wider, 0), ("all", .everything, 0),
            ("none", DevicePolicy(allowed: []), 2),
        ]
        for (name, devices, expected) in cases {
            let container = try project.ensureContainer(name, limits: ResourceLimits(), devices: devices)
            // As the keeper's child: what is inherited from `engine` first.
            let tasks = project.engineTaskFiles.filter { $0.contains("/devices/") } + container.taskFiles
            let shell = try Shell(
                """
                exec 2>&-
                (: < /dev/zero) || exit 2
                (: < /dev/kmsg) || exit 1
                exit 0
                """, tasks: tasks, procs: container.cloneInto)
            #expect(shell.wait() == expected, "\(name)")
            eventually("\(name) is gone") { (try? container.remove()) != nil }
        }
    }
}
