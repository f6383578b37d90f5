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

/// The directory above: the hierarchy's root, for a container's own cgroup.
private func parent(of group: String) -> String {
    group.lastIndex(of: "/").map { String(group[..<$0]) } ?? group
}
