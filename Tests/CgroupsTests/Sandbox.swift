// SPDX-License-Identifier: Apache-2.0
//
// A throwaway project on the host's real cgroups, removed whatever happens, and shell processes inside it.

import Basics
import ContainerModel
import Glibc
import Kernel
import Testing

@testable import Cgroups

let canMakeCgroups: Bool = {
    guard getuid() == 0, let host = try? CgroupHost.detect() else { return false }
    return host.hierarchy(of: "memory") != nil && host.hierarchy(of: "pids") != nil
        && host.hierarchy(of: "cpu") != nil
}()

let needsCgroups: Comment = "needs root and writable cgroups with memory, cpu and pids"

/// A shell that puts itself into a container's cgroups and goes on with a script.
struct Shell: ~Copyable {
    let pid: pid_t

    init(_ script: String, tasks: [String], procs: String?) throws {
        var lines = tasks.map { "echo 0 > '\($0)' || exit 99" }
        if let procs { lines.append("echo 0 > '\(procs)/cgroup.procs' || exit 99") }
        pid = try spawn((lines + [script]).joined(separator: "\n"))
    }

    init(_ script: String, in container: ContainerCgroup) throws {
        try self.init(script, tasks: container.taskFiles, procs: container.cloneInto)
    }

    /// Exit status, 128 + signal when it was killed.
    func wait() -> Int32 {
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
        return status & 0x7f == 0 ? status >> 8 & 0xff : 128 + status & 0x7f
    }
}

private func spawn(_ script: String) throws -> pid_t {
    var pid: pid_t = 0
    let words: [String] = ["sh", "-c", script]
    var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
    defer { for argument in arguments { free(argument) } }
    try #require(posix_spawnp(&pid, "sh", nil, nil, &arguments, environ) == 0)
    return pid
}

/// A name nobody else has.
private func unusedName() -> String {
    var generator = SystemRandomNumberGenerator()
    return "test-\(getpid())-\(String(generator.next() as UInt32, radix: 36))"
}

/// Runs a test in a project of its own, on the hierarchies picked; kills and removes what it left.
func withProject(
    on pick: (CgroupHierarchy) -> CgroupHierarchy? = { $0 }, _ body: (inout ProjectCgroup) throws -> Void
) throws {
    let detected = try CgroupHost.detect()
    let host = CgroupHost(hierarchies: detected.hierarchies.compactMap(pick), namespaced: detected.namespaced)
    let name = unusedName()
    var project = try ProjectCgroup(host: host, project: name)
    defer {
        if var rest = try? ProjectCgroup(host: detected, project: name) {
            for container in rest.containers() { try? rest.container(container).kill() }
            do { try rest.remove() } catch { Issue.record(error) }
        }
        for hierarchy in detected.writable {
            #expect(!exists("\(hierarchy.mountPoint)/covey/\(name)"), "left in \(hierarchy.mountPoint)")
        }
    }
    try project.ensure()
    try body(&project)
}

/// Looks until it holds; a minute is beyond any machine's slowness.
func eventually(_ what: Comment, _ holds: () -> Bool) {
    for _ in 0..<6000 {
        if holds() { return }
        usleep(10_000)
    }
    Issue.record(what)
}
