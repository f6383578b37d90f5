// SPDX-License-Identifier: Apache-2.0
//
// Containers that don't want to end, and containers somebody took something from: `delete --force` ends them and leaves
// nothing. Faults of the kernel's calls are Tests/bench/oci-faults'.

import Glibc
import Kernel
import Testing

extension Scenarios {
    @Suite("OCI robustness")
    struct OCIRobustness {
        @Test(
            "a fork bomb, daemons that left their session, and an init that ignores signals end by delete --force"
        )
        func unwilling() throws {
            try Bundle.play { bundle in
                let mark = "\(bundle.name)-daemon"
                let line = """
                    trap '' TERM INT HUP QUIT USR1
                    # A fork that is refused ends a shell: the bomb is another's.
                    (setsid sh -c '(while :; do sleep 1; done) & while :; do sleep 1; done' \(mark) &)
                    (sh -c 'bomb() { bomb | bomb & }; bomb; while :; do :; done' 2>/dev/null &)
                    echo >/ready
                    read forever <>/fifo
                    """
                for namespaces in [["pid", "ipc", "uts", "mount"], ["ipc", "uts", "mount"]] {
                    try? removeFile("\(bundle.rootfs)/ready")
                    try writeFile("\(bundle.rootfs)/line", Array(line.utf8))
                    try Host.run(["mkfifo", "-m", "600", "\(bundle.rootfs)/fifo"])
                    try bundle.configure(
                        ["sh", "/line"], linux: #""resources":{"pids":{"limit":60}},"#, namespaces: namespaces
                    )
                    try bundle.oci("run", "-d", bundle.name, code: 0)
                    try bundle.await("it is at work") { exists("\(bundle.rootfs)/ready") }
                    try bundle.oci("kill", bundle.name, "TERM", code: 0)
                    try bundle.require(try bundle.status() == "running", "it ended by a signal it ignores")
                    try bundle.oci("delete", bundle.name, code: 1)
                    try bundle.oci("delete", "--force", bundle.name, code: 0)
                    let left = try Host.run(["pgrep", "-f", mark])
                    try bundle.require(left.code == 1, "processes are left: \(left.output)")
                }
            }
        }

        @Test(
            "the first process ends and its daemons live on, without a pid namespace: they are the container's still"
        )
        func orphans() throws {
            try Bundle.play { bundle in
                let mark = "\(bundle.name)-daemon"
                try bundle.configure(
                    ["sh", "-c", "(setsid sh -c 'while :; do sleep 1; done' \(mark) &); sleep 0.2"],
                    namespaces: ["mount", "uts"])
                try bundle.oci("run", "-d", bundle.name, code: 0)
                try bundle.await("it stops") { try bundle.status() == "stopped" }
                try bundle.require(try Host.run(["pgrep", "-f", mark]).code == 0, "no daemon to look at")
                try bundle.oci("delete", bundle.name, code: 0)
                try bundle.await("the daemon ends") { try Host.run(["pgrep", "-f", mark]).code == 1 }
            }
        }

        @Test(
            "paused, frozen by somebody else, without its cgroup, without its root file system: it goes all the same"
        )
        func bereft() throws {
            try Bundle.play { bundle in
                let id = bundle.name
                func groups() throws -> [String] {
                    try Host.run(["find", "/sys/fs/cgroup", "-type", "d", "-name", id]).lines
                }
                func started() throws -> String {
                    try bundle.configure(["sleep", "1000"])
                    try bundle.oci("run", "-d", "--pid-file", "\(bundle.directory)/pid", id, code: 0)
                    return contents("\(bundle.directory)/pid")
                }
                func gone(_ pid: String) throws {
                    try bundle.oci("delete", "--force", id, code: 0)
                    let state = contents("/proc/\(pid)/stat")
                    try bundle.require(state.isEmpty || state.contains(") Z"), "its process lives: \(state)")
                    try bundle.require(try groups().isEmpty, "\(try groups())")
                }
                var pid = try started()
                try bundle.oci("pause", id, code: 0)
                try gone(pid)

                // v1's freezer in a cgroup of somebody's own: it ends only once that is thawed.
                let freezer = "/sys/fs/cgroup/freezer"
                if exists("\(freezer)/tasks") {
                    pid = try started()
                    let own = "\(freezer)/\(id)-other"
                    try ensureDirectory(own)
                    try writeControl("\(own)/tasks", pid)
                    try writeControl("\(own)/freezer.state", "FROZEN")
                    try gone(pid)
                    try bundle.await("the other cgroup is empty") { contents("\(own)/tasks").isEmpty }
                    try removeDirectory(own)
                }

                pid = try started()
                for group in try groups() {
                    let root = parent(of: group)
                    try writeControl("\(root)/cgroup.procs", pid)
                    try removeDirectory(group)
                }
                try bundle.require(try bundle.status() == "running", "it counts as ended")
                try gone(pid)

                pid = try started()
                try Host.run(["cp", "-a", bundle.rootfs, "\(bundle.directory)/kept"]).orThrow()
                try removeTree(bundle.rootfs)
                try bundle.require(try bundle.status() == "running", "it counts as ended")
                try gone(pid)
                try Host.run(["mv", "\(bundle.directory)/kept", bundle.rootfs]).orThrow()
            }
        }

        @Test(
            "a cgroup that was there keeps its directory and its other processes, whichever way the container ends"
        )
        func guest() throws {
            try Bundle.play { bundle in
                let id = bundle.name
                let root = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup/pids", "/sys/fs/cgroup"].first(where: {
                    exists("\($0)/cgroup.procs")
                })
                let group = "\(root ?? "/sys/fs/cgroup")/\(id)"
                try ensureDirectory(group)
                let host = try RunningProgram(
                    ["sleep", "1000"], environment: ["PATH=\(Host.path)"], directory: "/",
                    scratch: "\(bundle.directory)/scratch")
                defer {
                    host.signal(SIGKILL)
                    _ = try? host.wait()
                    try? removeDirectory(group)
                }
                try writeControl("\(group)/cgroup.procs", "\(host.pid)")
                func check(_ way: String) throws {
                    try bundle.require(host.ended() == nil, "\(way) killed another's process")
                    try bundle.require(exists(group), "\(way) removed another's cgroup")
                    let groups = try Host.run(["find", "/sys/fs/cgroup", "-name", id]).lines
                    try bundle.require(groups == [group], "\(way) left \(groups)")
                }
                for namespaces in [["pid", "mount", "uts"], ["mount", "uts"]] {
                    try bundle.configure(["true"], namespaces: namespaces)
                    try bundle.oci("run", id, code: 0)
                    try check("the end of run")
                    try bundle.configure(["sleep", "1000"], namespaces: namespaces)
                    try bundle.oci("run", "-d", id, code: 0)
                    try bundle.oci("kill", "--all", id, "KILL", code: 0)
                    try bundle.await("it stops") { try bundle.status() == "stopped" }
                    try bundle.oci("delete", id, code: 0)
                    try check("kill --all and delete")
                    try bundle.oci("run", "-d", id, code: 0)
                    try bundle.oci("kill", id, "KILL", code: 0)
                    try bundle.await("it stops") { try bundle.status() == "stopped" }
                    try bundle.oci("delete", id, code: 0)
                    try bundle.oci("run", "-d", id, code: 0)
                    try bundle.oci("delete", "--force", id, code: 0)
                    try check("delete --force")
                }
            }
        }

        @Test(
            "while create's hooks run a container is being created; when its maker dies, what waited for it ends"
        )
        func cutOff() throws {
            try Bundle.play { bundle in
                let (id, gate) = (bundle.name, "\(bundle.directory)/gate")
                try Host.run(["mkfifo", gate]).orThrow()
                try bundle.configure(
                    ["sleep", "1000"],
                    more: #"""
                        "hooks":{"createRuntime":[{"path":"/bin/sh",
                          "args":["sh","-c","echo >\#(bundle.directory)/begun; read word <\#(gate)"]}]},
                        """#)
                let maker = try RunningProgram(
                    [bundle.runtime, "--root", bundle.state, "create", id],
                    environment: ["PATH=\(Host.path)"], directory: bundle.directory,
                    scratch: "\(bundle.directory)/scratch")
                defer { maker.signal(SIGKILL) }
                try bundle.await("the hook runs") { exists("\(bundle.directory)/begun") }
                try bundle.require(try bundle.status() == "creating", "it counts as made")
                for (words, code) in [(["start", id], Int32(1)), (["exec", id, "true"], 255)] {
                    let refused = try bundle.oci(words, code: code)
                    try bundle.require(refused.errors.contains("still being created"), "\(refused)")
                }
                let record = contents("\(bundle.state)/\(id)/state.json")
                let child = record.components(after: "\"pid\":").prefix { $0.isNumber }
                try bundle.require(exists("/proc/\(child)/stat"), "no process waits: \(record)")
                maker.signal(SIGKILL)
                _ = try maker.wait()
                try bundle.await("the process that waited has ended") {
                    let stat = contents("/proc/\(child)/stat")
                    return stat.isEmpty || stat.contains(") Z")
                }
                // The hook is nobody's child any more: it goes on until it is let.
                try Host.run(["sh", "-c", "echo >\(gate)"]).orThrow()
                try bundle.require(try bundle.status() == "stopped", "it counts as alive")
                try bundle.oci("start", id, code: 1)
                try bundle.oci("delete", id, code: 0)
            }
        }

        @Test(
            "numbers beyond all measure are refused, or no limit: timeouts of hooks, descriptors to hand over"
        )
        func beyondMeasure() throws {
            try Bundle.play { bundle in
                let most = "9223372036854775807"
                let hook = #"[{"path":"/bin/true","timeout":\#(most)}]"#
                let hooks = ["createRuntime", "createContainer", "startContainer", "poststop"].map {
                    "\"\($0)\":\(hook)"
                }
                try bundle.configure(["true"], more: #""hooks":{\#(hooks.joined(separator: ","))},"#)
                try bundle.oci("run", bundle.name, code: 0)
                for (words, variables) in [
                    (["run", "--preserve-fds", most, bundle.name], []),
                    (["run", bundle.name], ["LISTEN_FDS=\(most)"]),
                    (["run", "--preserve-fds", "65533", bundle.name], ["LISTEN_FDS=1"]),
                ] {
                    let refused = try bundle.oci(words, code: 1, variables: variables)
                    try bundle.require(refused.errors.contains("more than 65533"), "\(refused)")
                }
            }
        }

        @Test("the network namespace is made beside the launch, not by the clone; with one processor too")
        func networkBeside() throws {
            try Bundle.play { bundle in
                try bundle.configure([
                    "sh", "-c", "cat /proc/net/dev; grep Cpus_allowed_list /proc/self/status",
                ])
                for prefix in [[], ["taskset", "-c", "0"]] {
                    let trace = "\(bundle.directory)/trace"
                    let outcome = try Host.run(
                        prefix + [
                            "strace", "-f", "-o", trace, "-e", "trace=clone3,unshare", bundle.runtime,
                            "--root",
                            bundle.state, "run", "--bundle", bundle.directory, bundle.name,
                        ]
                    ).orThrow()
                    let calls = contents(trace).split(separator: "\n")
                    try bundle.require(
                        calls.contains { $0.contains("unshare(CLONE_NEWNET)") }
                            && !calls.contains { $0.contains("clone3(") && $0.contains("CLONE_NEWNET") },
                        calls.joined(separator: "\n"))
                    try bundle.require(
                        outcome.text.contains("lo:") && !outcome.text.contains("eth0")
                            && (prefix.isEmpty || outcome.text.hasSuffix("\t0")), outcome.text)
                }
            }
        }

        @Test("a record that is damaged or was never written is no container, and delete --force clears it")
        func damaged() throws {
            try Bundle.play { bundle in
                let id = bundle.name
                try ensureDirectory(bundle.state)
                try ensureDirectory("\(bundle.state)/\(id)")
                try bundle.oci("state", id, code: 1)
                try bundle.oci("delete", "--force", id, code: 0)
                try ensureDirectory("\(bundle.state)/\(id)")
                try writeFile("\(bundle.state)/\(id)/state.json", Array("{\"id\":".utf8))
                let told = try bundle.oci("state", id, code: 1)
                try bundle.require(told.errors.contains("is damaged"), told.errors)
                try bundle.oci("delete", id, code: 1)
                try bundle.oci("delete", "--force", id, code: 0)
                try bundle.require(try directoryEntries(bundle.state).isEmpty, "state is left")
            }
        }
    }
}

extension String {
    /// What follows the first occurrence of `mark`.
    fileprivate func components(after mark: String) -> Substring {
        range(of: mark).map { self[$0.upperBound...] } ?? ""
    }

    private func range(of mark: String) -> Range<Index>? {
        ranges(of: mark).first
    }
}

/// The directory above: the hierarchy's root, for a container's own cgroup.
private func parent(of group: String) -> String {
    group.lastIndex(of: "/").map { String(group[..<$0]) } ?? group
}
