// SPDX-License-Identifier: Apache-2.0
//
// Killed at any moment: `up`, the controller, the keeper. The next `up` finishes and `down` cleans.

import Glibc
import Kernel
import Testing

extension Scenarios {
    @Suite("killed at any moment")
    struct Crashes {
        @Test(
            "up killed after so many milliseconds: up finishes, down leaves nothing",
            arguments: [0, 2, 5, 9, 15, 30])
        func killedUp(milliseconds: UInt32) throws {
            try Stage.play("crash") { stage in
                let up = try stage.start(["up", "-d"])
                usleep(milliseconds * 1000)
                up.signal(SIGKILL)
                _ = try up.wait()
                try stage.covey("up", "-d")
                let rows = try stage.containers()
                try stage.require(rows.count == 5 && rows.allSatisfy { $0.State == "running" }, "\(rows)")
            }
        }

        @Test("up killed and then down at once leaves nothing", arguments: [1, 4, 8, 20])
        func downAfterKilledUp(milliseconds: UInt32) throws {
            try Stage.play("crash") { stage in
                let up = try stage.start(["up", "-d"])
                usleep(milliseconds * 1000)
                up.signal(SIGKILL)
                _ = try up.wait()
                try stage.covey("down", "-v")
            }
        }

        @Test("a killed controller costs nothing: containers run on, the next command is answered")
        func killedController() throws {
            try Stage.play("crash") { stage in
                try stage.covey("up", "-d")
                let before = try stage.processes()
                // The keeper is the parent, the controller its child.
                let engine = stage.engine()
                guard engine.count == 2, let controller = engine.last else {
                    throw ScenarioError("no controller")
                }
                kill(controller, SIGKILL)
                try stage.eventually("another controller runs") {
                    let now = stage.engine()
                    return now.count == 2 && !now.contains(controller)
                }
                try stage.eventually("it answers") { try stage.attempt("ps").succeeded }
                try stage.require(try stage.processes() == before, "a container was touched")
                try stage.covey("up", "-d")
                try stage.require(try stage.processes() == before, "up touched a container")
            }
        }

        @Test("keeper and controller killed: containers run on, the next command adopts them")
        func killedBoth() throws {
            try Stage.play("crash") { stage in
                try stage.covey("up", "-d")
                let before = try stage.processes()
                for pid in stage.engine() { kill(pid, SIGKILL) }
                try stage.eventually("both are gone") { stage.engine().isEmpty }
                try stage.covey("up", "-d")
                try stage.require(try stage.processes() == before, "a container was touched")
            }
        }

        @Test("both killed and then down leaves nothing")
        func downAfterBoth() throws {
            try Stage.play("crash") { stage in
                try stage.covey("up", "-d")
                for pid in stage.engine() { kill(pid, SIGKILL) }
                try stage.eventually("both are gone") { stage.engine().isEmpty }
                try stage.covey("down", "-v")
            }
        }

        @Test(
            "after a power cut containers begin anew on their image, for an upper may be torn; volumes stay")
        func powerCut() throws {
            try Stage.play("crash") { stage in
                try stage.covey("up", "-d")
                try stage.exec("a", "echo volume >/var/data/mark; echo upper >/mark")
                try stage.covey("restart", "-t", "0", "a")
                try stage.require(try stage.exec("a", "cat /mark") == "upper", "a restart lost a file")
                let programs = try stage.containers().compactMap { $0.Pid.map { pid_t($0) } }
                for pid in stage.engine() + programs { kill(pid, SIGKILL) }
                try stage.eventually("all are gone") {
                    stage.engine().isEmpty && programs.allSatisfy { !exists("/proc/\($0)") || isZombie($0) }
                }
                // What else a boot changes: links and firewall are gone, and the id that the records carry is another.
                let links = try stage.inHost(["ip", "-o", "link"]).lines.compactMap { line in
                    line.split(separator: " ").dropFirst().first.map { $0.prefix { $0 != "@" && $0 != ":" } }
                }
                for link in links where link.hasPrefix("cvy") && !link.hasPrefix("cvyv") {
                    try stage.inHost(["ip", "link", "delete", String(link)]).orThrow()
                }
                try stage.inHost(["nft", "delete", "table", "inet", "covey"]).orThrow()
                let own = contents("/proc/sys/kernel/random/boot_id").prefix { $0 != "\n" }
                for row in tree("\(stage.directory)/run") where row.hasSuffix("/status.json") {
                    let other = contents(row).split(separator: own, omittingEmptySubsequences: false)
                    try stage.require(other.count == 2, "no boot id in \(row)")
                    let text = other.joined(separator: "11111111-2222-3333-4444-555555555555")
                    try writeFile(row, Array(text.utf8))
                }
                try stage.covey("up", "-d")
                try stage.require(
                    !(try stage.execSucceeds("a", "test -e /mark")), "an upper outlived its boot")
                try stage.require(try stage.exec("a", "cat /var/data/mark") == "volume", "a volume was lost")
                try stage.exec("a", "ping -c 1 -w 5 b && ping -c 1 -w 5 c")
            }
        }

        @Test("engine.log is bounded: keeper and controller go on in a new one, one older is kept")
        func engineLog() throws {
            try Stage.play("crash") { stage in
                try stage.covey("up", "-d")
                let log = "\(stage.directory)/run/\(stage.project)/engine.log"
                let row = String(repeating: "x", count: 99) + "\n"
                let long = Array(String(repeating: row, count: 50_000).utf8)
                for _ in 0..<2 {
                    let fd = try openFile(log, flags: O_WRONLY | O_APPEND)
                    try writeAll(fd.raw, long)
                    guard let controller = stage.engine().last else { throw ScenarioError("no controller") }
                    kill(controller, SIGKILL)
                    try stage.eventually("another controller runs") {
                        let now = stage.engine()
                        return now.count == 2 && !now.contains(controller)
                    }
                    try stage.covey("ps")
                    try stage.require(contents(log).hasPrefix("20"), "the new log does not begin with a line")
                    try stage.require(contents(log).utf8.count < 10_000, "the log was not cut")
                    try stage.require(contents(log).contains("keeper:"), "the keeper writes elsewhere")
                    let older = try fileStatus(log + ".1", follow: false).st_size
                    try stage.require(
                        (5_000_000..<5_100_000).contains(older), "the older one has \(older) bytes")
                }
                let names = try directoryEntries("\(stage.directory)/run/\(stage.project)")
                try stage.require(
                    names.filter { $0.hasPrefix("engine.log") }.sorted() == ["engine.log", "engine.log.1"],
                    "\(names)")
            }
        }

        @Test("two ups at once end as one: one network, no name twice")
        func twoUps() throws {
            try Stage.play("crash") { stage in
                let both = [try stage.start(["up", "-d"]), try stage.start(["up", "-d"])]
                for up in both { _ = try up.wait().orThrow() }
                let rows = try stage.containers()
                try stage.require(rows.count == 5 && Set(rows.map(\.Name)).count == 5, "\(rows)")
            }
        }
    }
}
