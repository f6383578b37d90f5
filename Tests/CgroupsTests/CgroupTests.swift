// SPDX-License-Identifier: Apache-2.0

import Basics
import ContainerModel
import Glibc
import Kernel
import Testing

@testable import Cgroups

@Suite("cgroups on the running kernel", .serialized, .enabled(if: canMakeCgroups, needsCgroups))
struct CgroupTests {
    private func path(_ project: ProjectCgroup, _ controller: String, _ rest: String) -> String {
        "\(project.host.hierarchy(of: controller)?.mountPoint ?? "")/covey/\(project.project)/\(rest)"
    }

    private func text(_ path: String) -> String {
        ((try? readText(path)) ?? "none").split(separator: "\n").joined(separator: "\n")
    }

    @Test("made twice is made once; removed leaves nothing, and removing nothing is fine")
    func idempotent() throws {
        try withProject { project in
            try project.ensure()
            let limits = ResourceLimits(cpus: 0.5, memory: ByteSize(bytes: 64 << 20), pids: 50)
            let first = try project.ensureContainer("db-1", limits: limits)
            let second = try project.ensureContainer("db-1", limits: limits)
            #expect(first.taskFiles == second.taskFiles)
            #expect(first.isEmpty)
            #expect(project.containers() == ["db-1"])
            #expect(try ProjectCgroup(host: project.host, project: project.project).containers() == ["db-1"])
            try first.remove()
            try first.remove()
            try first.kill()
            #expect(project.containers() == [])
            #expect(first.taskFiles.isEmpty && first.cloneInto == nil && first.isEmpty)
            try project.remove()
            try project.remove()
            try project.ensure()
        }
    }

    @Test("memory beyond the limit is killed with 137, and the kill is counted")
    func memory() throws {
        try withProject { project in
            let container = try project.ensureContainer(
                "m", limits: ResourceLimits(memory: ByteSize(bytes: 16 << 20)))
            let shell = try Shell("exec tail /dev/zero", in: container)
            #expect(shell.wait() == 137)
            #expect((container.memoryKills ?? 0) > 0)
            #expect((container.usage.memoryPeak?.bytes ?? 16 << 20) <= 16 << 20)
        }
    }

    @Test("a process beyond the limit can't be forked")
    func pids() throws {
        try withProject { project in
            let container = try project.ensureContainer("p", limits: ResourceLimits(pids: 3))
            let shell = try Shell("exec 2>&-; sleep 60 & sleep 60 & sleep 60 & exit 0", in: container)
            #expect(shell.wait() == 2)
            #expect(container.usage.processes == 2)
            try container.kill()
            eventually("killed processes go") { container.isEmpty }
        }
    }

    @Test("a busy loop beyond its processor time is throttled")
    func cpu() throws {
        try withProject { project in
            let container = try project.ensureContainer("c", limits: ResourceLimits(cpus: 0.05))
            let shell = try Shell("while :; do :; done", in: container)
            let file = path(project, "cpu", "ctr-c/cpu.stat")
            eventually("it is throttled") {
                text(file).split(separator: "\n").contains {
                    $0.hasPrefix("nr_throttled ") && !$0.hasSuffix(" 0")
                }
            }
            try container.kill()
            #expect(shell.wait() == 137)
            #expect((container.usage.processorTime ?? .seconds(1)) > .zero)
        }
    }

    @Test("limits of a running container are raised, lowered, lifted and added")
    func update() throws {
        try withProject { project in
            func limit(_ cpus: Double?, _ megabytes: Int64?, _ pids: Int?) throws -> [String] {
                let limits = ResourceLimits(
                    cpus: cpus, memory: megabytes.map { ByteSize(bytes: $0 << 20) }, pids: pids)
                _ = try project.ensureContainer("u", limits: limits)
                let legacy = project.host.hierarchy(of: "memory")?.unified == false
                return [
                    text(path(project, "cpu", legacy ? "ctr-u/cpu.cfs_quota_us" : "ctr-u/cpu.max")),
                    text(
                        path(project, "memory", legacy ? "ctr-u/memory.limit_in_bytes" : "ctr-u/memory.max")),
                    text(path(project, "pids", "ctr-u/pids.max")),
                ].map { $0.split(separator: " ").first.map(String.init) ?? "" }
            }
            let container = try project.ensureContainer("u", limits: ResourceLimits())
            let shell = try Shell("sleep 60 & exec sleep 60", in: container)
            eventually("both run") { container.processes.count == 2 }
            #expect(try limit(1.5, 64, 10) == ["150000", "67108864", "10"])
            let processes = text(path(project, "memory", "ctr-u/cgroup.procs")).split(separator: "\n")
            #expect(processes.count == 2, "processes come along into a new limit")
            #expect(try limit(0.5, 128, 20) == ["50000", "134217728", "20"])
            #expect(try limit(0.001, 32, 5) == ["1000", "33554432", "5"])
            let lifted = try limit(nil, nil, nil)
            #expect(["-1", "max"].contains(lifted[0]) && lifted[2] == "max")
            #expect(lifted[1] == "max" || lifted[1] == "9223372036854771712")
            #expect(try limit(0, 0, -1) == lifted)
            try container.kill()
            #expect(shell.wait() == 137)
        }
    }

    @Test("the project's processes make device nodes but open only the usual ones")
    func devices() throws {
        try withProject { project in
            let node = "/tmp/covey-node-\(getpid())"
            defer { unlink(node) }
            let shell = try Shell(
                """
                mknod \(node) c 1 11 || exit 1
                echo x > /dev/null && head -c 1 /dev/urandom > /dev/zero || exit 2
                (head -c 0 \(node)) 2>/dev/null && exit 3
                exit 0
                """, tasks: project.engineTaskFiles, procs: project.engineCloneInto)
            #expect(shell.wait() == 0)
        }
    }

    @Test("killing reaches children, sub-cgroups and whoever ignores signals")
    func kill() throws {
        try withProject { project in
            let container = try project.ensureContainer("k", limits: ResourceLimits(pids: 40))
            let shell = try Shell(
                "trap '' TERM INT HUP; sleep 60 & setsid sleep 60 & sleep 60 & wait", in: container)
            eventually("all run") { container.processes.count == 4 }
            let inner = try makeSubCgroups(container)
            let last = try #require(container.processes.max())
            try writeControl(inner + "/cgroup.procs", "\(last)")
            #expect(container.processes.count == 4)
            #expect(!container.isEmpty)
            let failure = #expect(throws: Failure.self) { try container.remove() }
            #expect(failure?.cause?.contains("EBUSY") == true)
            try container.kill()
            #expect(shell.wait() == 137)
            try container.remove()
            #expect(container.isEmpty)
            #expect(project.containers() == [])
        }
    }

    /// Two levels of cgroups as a container may make them; the innermost.
    private func makeSubCgroups(_ container: ContainerCgroup) throws -> String {
        let home = container.cloneInto ?? container.taskFiles.first.map { String($0.dropLast(6)) } ?? ""
        for level in ["/a", "/a/b", "/c"] { try makeDirectory(home + level) }
        return home + "/a/b"
    }

    @Test("a fork bomb dies without cgroup v2 too", .enabled(if: hasLegacyPids, "needs v1 pids"))
    func legacyKill() throws {
        try withProject(on: { $0.unified ? nil : $0 }) { project in
            let container = try project.ensureContainer("bomb", limits: ResourceLimits(pids: 60))
            #expect(container.cloneInto == nil)
            let shell = try Shell("f() { sleep 0.01; f & f & wait; }; f 2>/dev/null; sleep 60", in: container)
            eventually("it grows") { container.processes.count > 20 }
            try container.kill()
            #expect(shell.wait() == 137)
            eventually("all are gone") { container.isEmpty }
            try container.remove()
        }
    }

    @Test(
        "without limits and without v2 a container is still found",
        .enabled(if: hasLegacyPids, "needs v1 pids"))
    func legacyMembership() throws {
        try withProject(on: { $0.unified ? nil : $0 }) { project in
            let container = try project.ensureContainer("x", limits: ResourceLimits())
            #expect(container.taskFiles.count == 1)
            let shell = try Shell("exec sleep 60", in: container)
            eventually("it runs") { container.processes == [shell.pid] }
            try container.kill()
            #expect(shell.wait() == 137)
        }
    }

    @Test("a container frozen by v2 dies")
    func frozen() throws {
        try withProject { project in
            let container = try project.ensureContainer("f", limits: ResourceLimits())
            guard let directory = container.cloneInto else { return }
            let shell = try Shell("exec sleep 60", in: container)
            eventually("it runs") { container.processes == [shell.pid] }
            try writeControl(directory + "/cgroup.freeze", "1")
            try container.kill()
            #expect(shell.wait() == 137)
            try container.remove()
        }
    }

    @Test(
        "a paused container stands still and goes on, with v2's freezer and with v1's",
        arguments: [true, false])
    func paused(unified: Bool) throws {
        let detected = try CgroupHost.detect()
        let hasFreezer =
            unified ? detected.writable.contains(where: \.unified) : detected.hierarchy(of: "freezer") != nil
        guard hasFreezer else { return }
        try withProject(on: { unified == $0.unified || unified ? $0 : nil }) { project in
            let container = try project.ensureContainer("p", limits: ResourceLimits())
            let shell = try Shell("while :; do :; done", in: container)
            eventually("it runs") { container.processes == [shell.pid] }
            func ticks() -> Substring? {
                (try? readText("/proc/\(shell.pid)/stat"))?.split(separator: " ").dropFirst(13).first
            }
            try project.setFrozen(true, container: "p")
            let before = ticks()
            usleep(100_000)
            #expect(ticks() == before, "it runs although it is frozen")
            try project.setFrozen(true, container: "p")
            try project.setFrozen(false, container: "p")
            eventually("it goes on") { ticks() != before }
            try project.setFrozen(true, container: "p")
            // As it is now: v1's freezer has its directory since the first pause.
            try project.container("p").kill()
            #expect(shell.wait() == 137)
            try project.container("p").remove()
        }
    }

    // A v1-frozen task stays in D with its SIGKILL pending until it is thawed.
    @Test("a container frozen by v1's freezer dies", .enabled(if: hasLegacyFreezer, "needs the v1 freezer"))
    func frozenLegacy() throws {
        try withProject { project in
            try ensureDirectory(path(project, "freezer", "ctr-f"))
            project = try ProjectCgroup(host: project.host, project: project.project)
            let container = try project.ensureContainer("f", limits: ResourceLimits())
            #expect(container.taskFiles.contains(path(project, "freezer", "ctr-f/tasks")))
            let shell = try Shell("exec sleep 60", in: container)
            eventually("it runs") { text(path(project, "freezer", "ctr-f/tasks")) == "\(shell.pid)" }
            try writeControl(path(project, "freezer", "ctr-f/freezer.state"), "FROZEN")
            try container.kill()
            #expect(shell.wait() == 137)
            try container.remove()
        }
    }

    @Test("a foreign directory among ours is left and reported")
    func foreign() throws {
        try withProject { project in
            let foreign = path(project, "pids", "foreign")
            _ = try project.ensureContainer("x", limits: ResourceLimits(pids: 5))
            try makeDirectory(foreign)
            defer { rmdir(foreign) }
            let failure = #expect(throws: Failure.self) { try project.remove() }
            #expect(failure?.cause?.contains("EBUSY") == true)
            #expect(exists(foreign))
            #expect(try ProjectCgroup(host: project.host, project: project.project).containers() == [])
        }
    }

    @Test("directories removed under us are made again")
    func removedUnderneath() throws {
        try withProject { project in
            _ = try project.ensureContainer("a", limits: ResourceLimits(pids: 5))
            var other = try ProjectCgroup(host: project.host, project: project.project)
            try other.remove()
            try project.ensure()
            let container = try project.ensureContainer("a", limits: ResourceLimits(pids: 6))
            #expect(text(path(project, "pids", "ctr-a/pids.max")) == "6")
            #expect(container.isEmpty)
        }
    }

    @Test(
        "what is no name is refused",
        arguments: ["", ".", "..", "a/b", "a\nb", String(repeating: "x", count: 300)])
    func names(name: String) throws {
        let host = try CgroupHost.detect()
        #expect(throws: Failure.self) { try ProjectCgroup(host: host, project: name) }
        try withProject { project in
            #expect(throws: Failure.self) { try project.ensureContainer(name, limits: ResourceLimits()) }
        }
    }

    // The last project to go removes `covey` while another is making its own directory in it.
    @Test("projects that come and go at once don't trip each other")
    func concurrent() async throws {
        let host = try CgroupHost.detect()
        defer {
            for worker in 0..<4 {
                var rest = try? ProjectCgroup(host: host, project: "test-\(getpid())-w\(worker)")
                try? rest?.remove()
            }
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for worker in 0..<4 {
                group.addTask {
                    for _ in 0..<40 {
                        var project = try ProjectCgroup(host: host, project: "test-\(getpid())-w\(worker)")
                        try project.ensure()
                        _ = try project.ensureContainer("x", limits: ResourceLimits(pids: 9))
                        try project.remove()
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    // PID_MAX_LIMIT is 4,194,304: the kernel refuses more.
    @Test("a limit the kernel refuses is an error that leaves nothing")
    func refused() throws {
        try withProject { project in
            let failure = #expect(throws: Failure.self) {
                try project.ensureContainer("x", limits: ResourceLimits(cpus: 1, pids: 5_000_000))
            }
            #expect(failure?.cause?.contains("EINVAL") == true)
            #expect(project.containers() == [])
        }
    }

    @Test("a limit whose controller the host lacks is refused by name")
    func lacking() throws {
        try withProject(on: without("memory")) { project in
            let limits = ResourceLimits(memory: ByteSize(bytes: 1 << 30))
            let failure = #expect(throws: Failure.self) { try project.ensureContainer("x", limits: limits) }
            #expect(failure?.doing == "cannot limit memory of container \"x\"")
            #expect(project.containers() == [])
        }
    }
}

/// The hierarchies as if the kernel had no such controller.
private func without(_ controller: String) -> (CgroupHierarchy) -> CgroupHierarchy? {
    { hierarchy in
        CgroupHierarchy(
            unified: hierarchy.unified, mountPoint: hierarchy.mountPoint,
            controllers: hierarchy.controllers.filter { $0 != controller }, readOnly: hierarchy.readOnly,
            partial: hierarchy.partial, ownPath: hierarchy.ownPath)
    }
}

private let hasLegacyPids = (try? CgroupHost.detect())?.hierarchy(of: "pids")?.unified == false
private let hasLegacyFreezer = (try? CgroupHost.detect())?.hierarchy(of: "freezer")?.unified == false
