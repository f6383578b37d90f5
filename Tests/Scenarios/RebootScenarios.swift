// SPDX-License-Identifier: Apache-2.0
//
// The machine was restarted: nothing runs, links and firewall are gone, and the boot is another. What comes back is what
// `resume` is asked for.

import Glibc
import Kernel
import Testing

extension Stage {
    /// What a reboot leaves of the project: its state directory, and a run directory that is empty, as on a tmpfs, or whose
    /// records are of another boot. What of other projects plays here ends as well.
    func reboot(emptiesRun: Bool, besides others: [String] = []) throws {
        let names = [project] + others
        let programs = try names.flatMap { try containers(of: $0).compactMap { $0.Pid.map { pid_t($0) } } }
        for name in names { try killEngine(of: name) }
        for pid in programs { kill(pid, SIGKILL) }
        try eventually("all are gone") { programs.allSatisfy { !exists("/proc/\($0)") || isZombie($0) } }
        let links = try inHost(["ip", "-o", "link"]).lines.compactMap { line in
            line.split(separator: " ").dropFirst().first.map { $0.prefix { $0 != "@" && $0 != ":" } }
        }
        for link in links where link.hasPrefix("cvy") && !link.hasPrefix("cvyv") {
            try inHost(["ip", "link", "delete", String(link)]).orThrow()
        }
        try inHost(["nft", "delete", "table", "inet", "covey"]).orThrow()
        if emptiesRun {
            try removeTree("\(directory)/run")
            return try ensureDirectory("\(directory)/run")
        }
        let own = contents("/proc/sys/kernel/random/boot_id").prefix { $0 != "\n" }
        for row in tree("\(directory)/run") where row.hasSuffix("/status.json") {
            let other = contents(row).split(separator: own, omittingEmptySubsequences: false)
            let text = other.joined(separator: "11111111-2222-3333-4444-555555555555")
            try writeFile(row, Array(text.utf8))
        }
    }
}

extension Scenarios {
    @Suite("after a reboot")
    struct Reboots {
        @Test(
            "resume starts what restart policies want, in order, with networks, volumes, secrets and ports",
            arguments: [true, false])
        func resume(emptiesRun: Bool) throws {
            try Stage.play("reboot") { stage in
                try stage.covey("create", "made")
                try stage.covey("up", "-d", "always", "unless", "stopped", "halted", "failing", "once")
                try stage.exec("always", "echo kept >/data/mark")
                try stage.covey("stop", "-t", "0", "halted", "stopped")
                try stage.reboot(emptiesRun: emptiesRun)
                // No Compose file is needed.
                try removeFile("\(stage.files)/compose.yaml")
                let resumed = try stage.covey("resume")
                let running = try stage.containers().filter { $0.State == "running" }.map(\.Service)
                try stage.require(running == ["always", "stopped", "unless"], "\(running): \(resumed)")
                try stage.require(try stage.exec("always", "cat /data/mark") == "kept", "a volume is lost")
                try stage.require(
                    try stage.exec("unless", "cat /run/secrets/word") == "secret", "a secret is lost")
                try stage.exec("unless", "ping -c 1 -w 5 always")
                try stage.eventually("its port is published") {
                    try stage.inHost(["curl", "-s", "-m", "2", "http://127.0.0.1:18095/"]).output
                        == "served\n"
                }
                // What is looked after already is left alone.
                let before = try stage.processes()
                let again = try stage.covey("resume")
                try stage.require(
                    try stage.processes() == before && again.errors.contains("nothing to resume"), "\(again)")
                // What came back by itself may be stopped, and then stays so over the next boot.
                try stage.covey("stop", "-t", "0", "unless")
                try stage.reboot(emptiesRun: emptiesRun)
                try stage.covey("resume")
                let second = try stage.containers().filter { $0.State == "running" }.map(\.Service)
                try stage.require(second == ["always", "stopped"], "\(second)")
            }
        }

        @Test("a project that can't be resumed is told with its reason")
        func broken() throws {
            try Stage.play("reboot") { stage in
                try ensureDirectory("\(stage.files)/here")
                try stage.edit(
                    "\"data:/data\"",
                    "{type: bind, source: ./here, target: /data, bind: {create_host_path: false}}")
                try stage.covey("up", "-d", "always")
                try stage.reboot(emptiesRun: true)
                try removeTree("\(stage.files)/here")
                let outcome = try stage.covey("resume", code: 1)
                try stage.require(
                    outcome.errors.contains("\(stage.project)-always-1") && outcome.errors.contains("/here"),
                    "\(outcome)")
            }
        }

        @Test("the systemd unit starts this binary with these directories")
        func unit() throws {
            try Stage.play("reboot") { stage in
                let unit = try stage.covey("resume", "--unit").output
                for line in [
                    // Whatever symbolic link it was found by.
                    "ExecStart=/", "/covey --root", "--root \(stage.directory)/root", "resume\n",
                    "WantedBy=multi-user.target",
                ] {
                    try stage.require(unit.contains(line), "no \(line) in:\n\(unit)")
                }
                // It neither needs a project nor begins anything.
                try stage.require(tree("\(stage.directory)/run").isEmpty, "something was started")
            }
        }
    }
}
