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

        @Test("a killed keeper: the controller starts another, containers run on, exit codes stay exact")
        func killedKeeper() throws {
            try Stage.play("crash") { stage in
                try stage.covey("up", "-d")
                let before = try stage.processes()
                let engine = stage.engine()
                guard engine.count == 2 else { throw ScenarioError("no keeper") }
                kill(engine[0], SIGKILL)
                // The new keeper's record is a moment younger than the keeper.
                try stage.eventually("another keeper runs, and the controller stayed") {
                    let now = stage.engine()
                    return now.count == 2 && now[0] != engine[0] && now[1] == engine[1]
                }
                try stage.require(try stage.processes() == before, "a container was touched")
                // Whoever dies next, the other is enough.
                kill(engine[1], SIGKILL)
                try stage.eventually("another controller runs") {
                    // One look: by a second the controller may be gone from it.
                    let now = stage.engine()
                    return now.count == 2 && now[1] != engine[1]
                }
                try stage.covey("up", "-d")
                try stage.require(try stage.processes() == before, "up touched a container")
                let row = try stage.container("b")
                kill(pid_t(row.Pid ?? -1), SIGKILL)
                try stage.eventually("its end is told") {
                    try stage.container("b").State == "exited"
                }
                let end = try stage.container("b").ExitCode
                // PIDFD_GET_INFO tells it from Linux 6.15 on; before, nobody may be able to.
                try stage.require(end == 137 || end == nil, "exit code \(end.map { "\($0)" } ?? "unknown")")
            }
        }

        @Test(
            "a keeper killed while it is asked for containers: up finishes all the same",
            arguments: [5, 6, 7, 8, 12, 20])
        func killedKeeperDuringUp(point: Int) throws {
            try Stage.play("crash") { stage in
                try stage.armFault("keeper call \(point)")
                try stage.covey("up", "-d", variables: stage.faults)
                try stage.require(stage.faultStruck, "the keeper was not killed")
                let rows = try stage.containers()
                try stage.require(rows.count == 5 && rows.allSatisfy { $0.State == "running" }, "\(rows)")
            }
        }

        @Test("what a start that was cut off left running is killed, and the next start is not")
        func killedAtBirth() throws {
            try Stage.play("crash") { stage in
                try stage.covey("create")
                try stage.killEngine()
                // As the controller and keeper leave it that die before they can write down that a container runs.
                let name = "\(stage.project)-a-1"
                let mount = stage.isUnified ? "/sys/fs/cgroup" : "/sys/fs/cgroup/unified"
                let group = "\(mount)/covey/\(stage.project)/ctr-\(name)"
                mkdir(group, 0o755)
                try Host.run(["sh", "-c", "sleep 1000 & echo $! >\(group)/cgroup.procs"]).orThrow()
                let left = contents("\(group)/cgroup.procs").split(separator: "\n").compactMap { pid_t($0) }
                try stage.require(left.count == 1, "nothing was left in \(group)")
                try stage.covey("up", "-d")
                try stage.eventually("what was left is gone") { kill(left[0], 0) != 0 || isZombie(left[0]) }
                let rows = try stage.containers()
                try stage.require(rows.count == 5 && rows.allSatisfy { $0.State == "running" }, "\(rows)")
            }
        }

        @Test(
            "a controller killed on its way down: ports are free again, what was being stopped is started",
            arguments: [2, 4, 6, 8])
        func killedDuringDown(operation: Int) throws {
            try Stage.play("crash") { stage in
                try stage.covey("up", "-d", variables: stage.faults)
                try stage.armFault("controller operation \(operation)")
                _ = try stage.attempt("down", "-t", "1")
                try stage.require(stage.faultStruck, "the controller was not killed")
                try stage.covey("up", "-d")
                let rows = try stage.containers()
                try stage.require(rows.count == 5 && rows.allSatisfy { $0.State == "running" }, "\(rows)")
            }
        }

        @Test(
            "a controller killed while it makes networks and volumes: down at once leaves nothing",
            arguments: Array(stride(from: 70, through: 130, by: 5)))
        func killedWhileNetworksAreMade(call: Int) throws {
            try Stage.play("crash") { stage in
                try stage.armFault("controller call \(call)")
                _ = try stage.attempt("up", "-d", variables: stage.faults)
                try stage.require(stage.faultStruck, "the controller was not killed")
                try stage.covey("down", "-v")
                let left =
                    tree("\(stage.directory)/root/networks") + tree("\(stage.directory)/root/volumes")
                try stage.require(left.isEmpty, "\(left)")
            }
        }

        @Test("an end nobody saw is unknown, and a failure to a restart policy")
        func unseenEnd() throws {
            try Stage.play("crash") { stage in
                try stage.write(
                    "compose.yaml",
                    """
                    services:
                      ends: {image: "bb:1", command: [sleep, "0.5"]}
                      again:
                        image: bb:1
                        command: [sh, -c, "echo x >>/data/lives; test $$(wc -l </data/lives) -gt 1 || sleep 0.5"]
                        volumes: ["lives:/data"]
                        restart: on-failure
                    volumes: {lives: {}}
                    """)
                try stage.covey("up", "-d")
                let pids = try stage.containers().compactMap(\.Pid)
                try stage.killEngine()
                // As long as it is a zombie its end can be read from /proc.
                try stage.eventually("both have ended and were reaped") {
                    pids.allSatisfy { !exists("/proc/\($0)") }
                }
                let end = try stage.container("ends")
                try stage.require(end.State == "exited" && end.ExitCode == nil, "\(end)")
                try stage.eventually("it is started again") {
                    try stage.container("again").State == "exited"
                        && stage.container("again").ExitCode == 0
                }
            }
        }

        @Test("keeper and controller killed: containers run on, the next command adopts them")
        func killedBoth() throws {
            try Stage.play("crash") { stage in
                try stage.covey("up", "-d")
                let before = try stage.processes()
                try stage.killEngine()
                try stage.covey("up", "-d")
                try stage.require(try stage.processes() == before, "a container was touched")
            }
        }

        @Test("both killed and then down leaves nothing")
        func downAfterBoth() throws {
            try Stage.play("crash") { stage in
                try stage.covey("up", "-d")
                try stage.killEngine()
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
                try stage.reboot(emptiesRun: false)
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
