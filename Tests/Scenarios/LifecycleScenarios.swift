// SPDX-License-Identifier: Apache-2.0
//
// What `up` makes, what a second `up` leaves alone, what a change recreates, and the verbs in between.

import Kernel
import Testing

extension Scenarios {
    @Suite("lifecycle")
    struct Lifecycle {
        @Test("up brings every service up; down leaves nothing")
        func upAndDown() throws {
            try Stage.play("lifecycle") { stage in
                try stage.covey("up", "-d")
                let rows = try stage.containers()
                try stage.require(rows.map(\.Service) == ["db", "web"], "services: \(rows)")
                try stage.require(rows.allSatisfy { $0.State == "running" }, "states: \(rows)")
                try stage.require(rows[0].Name == "\(stage.project)-db-1", "name: \(rows[0].Name)")
                try stage.require(
                    stage.engine().count == 2, "keeper and controller, no more: \(stage.engine())")
            }
        }

        @Test("a second up changes nothing, touches no container, and says so")
        func unchanged() throws {
            try Stage.play("lifecycle") { stage in
                try stage.covey("up", "-d")
                let before = try stage.processes()
                let plan = try stage.covey("plan")
                try stage.require(plan.text.contains("nothing to do"), "\(plan)")
                let again = try stage.covey("up", "-d")
                try stage.require((again.output + again.errors).contains("unchanged"), "\(again)")
                try stage.require(try stage.processes() == before, "a container was touched")
            }
        }

        @Test("a changed attribute recreates exactly that service, and plan says why")
        func changed() throws {
            try Stage.play("lifecycle") { stage in
                try stage.covey("up", "-d")
                let before = try stage.processes()
                try stage.edit("GREETING: hello", "GREETING: goodbye")
                let plan = try stage.covey("plan", code: 2)
                try stage.require(plan.text.contains("web") && plan.text.contains("GREETING"), "\(plan)")
                try stage.covey("up", "-d")
                let after = try stage.processes()
                let db = "\(stage.project)-db-1"
                let web = "\(stage.project)-web-1"
                try stage.require(after[db] == before[db], "db was touched")
                try stage.require(after[web] != nil && after[web] != before[web], "web was not recreated")
                try stage.require(try stage.exec("web", "echo $GREETING") == "goodbye", "the old value")
                try stage.covey("plan")
            }
        }

        @Test("--force-recreate recreates what has not changed; data in a named volume stays")
        func forced() throws {
            try Stage.play("lifecycle") { stage in
                try stage.covey("up", "-d")
                let before = try stage.processes()
                try stage.exec("db", "echo kept > /var/data/file")
                try stage.covey("up", "-d", "--force-recreate")
                let after = try stage.processes()
                try stage.require(after.allSatisfy { before[$0.key] != $0.value }, "not all were recreated")
                try stage.require(
                    try stage.exec("db", "cat /var/data/file") == "kept", "the volume's data went")
            }
        }

        @Test("down keeps named volumes, down -v removes them")
        func volumes() throws {
            try Stage.play("lifecycle") { stage in
                try stage.covey("up", "-d")
                try stage.exec("db", "echo kept > /var/data/file")
                try stage.covey("down")
                try stage.eventually("keeper and controller go") { stage.engine().isEmpty }
                try stage.covey("up", "-d")
                try stage.require(
                    try stage.exec("db", "cat /var/data/file") == "kept", "the volume's data went")
                try stage.covey("down", "-v")
                try stage.covey("up", "-d")
                try stage.require(
                    try !stage.execSucceeds("db", "test -e /var/data/file"), "down -v kept data")
            }
        }

        @Test("down -v after a down removes the volumes that were kept, and no other project's")
        func volumesAfterDown() throws {
            try Stage.play("lifecycle") { stage in
                let volumes = "\(stage.directory)/root/volumes"
                try stage.covey("up", "-d")
                try stage.covey("down")
                let kept = try Host.run(["ls", volumes]).lines
                try stage.require(!kept.isEmpty, "down removed the volumes")
                try stage.covey("-p", "other-\(stage.project)", "down", "-v")
                try stage.require(
                    try Host.run(["ls", volumes]).lines == kept, "another project's down removed them")
                try stage.covey("down", "-v")
                try stage.require(try Host.run(["ls", volumes]).lines.isEmpty, "they are still there")
            }
        }

        @Test("stop, start, restart and kill do what they say and leave other services alone")
        func verbs() throws {
            try Stage.play("lifecycle") { stage in
                try stage.covey("up", "-d")
                let first = try stage.processes()
                let web = "\(stage.project)-web-1"
                let db = "\(stage.project)-db-1"
                try stage.covey("stop", "web")
                try stage.require(try stage.container("web").State == "exited", "web still runs")
                try stage.require(try stage.container("web").ExitCode == 0, "its trap was not run")
                try stage.covey("start", "web")
                try stage.require(try stage.container("web").State == "running", "web was not started")
                let second = try stage.processes()
                try stage.covey("restart", "web")
                let third = try stage.processes()
                try stage.require(second[web] != third[web], "web was not restarted")
                try stage.covey("kill", "web")
                try stage.eventually("web is killed") { try stage.container("web").ExitCode == 137 }
                try stage.require(try stage.processes()[db] == first[db], "db was touched")
                try stage.covey("up", "-d")
                try stage.require(try stage.container("web").State == "running", "up did not start it again")
            }
        }

        @Test("kill -s sends that signal alone")
        func killSignal() throws {
            try Stage.play("stop-signals") { stage in
                try stage.covey("up", "-d")
                try stage.covey("kill", "-s", "SIGUSR1", "usr")
                try stage.eventually("the trap ran") { try stage.container("usr").ExitCode == 7 }
                try stage.require(try stage.logs("usr").contains("got USR1"), "no trap's output")
            }
        }

        @Test("stop_signal is sent first, SIGKILL after stop_grace_period")
        func stopSignal() throws {
            try Stage.play("stop-signals") { stage in
                try stage.covey("up", "-d")
                try stage.covey("stop")
                try stage.require(try stage.container("usr").ExitCode == 7, "stop_signal was not sent")
                try stage.require(
                    try stage.container("deaf").ExitCode == 137, "not killed after its grace period")
            }
        }

        @Test("--scale starts and removes replicas without touching the others")
        func scale() throws {
            try Stage.play("lifecycle") { stage in
                try stage.covey("up", "-d", "--scale", "web=3")
                let three = try stage.processes()
                try stage.require(three.count == 4, "\(three)")
                try stage.covey("up", "-d", "--scale", "web=2")
                let two = try stage.processes()
                try stage.require(
                    two.count == 3 && two.allSatisfy { three[$0.key] == $0.value }, "\(three) \(two)")
            }
        }

        @Test("up SERVICE starts it and what it depends on")
        func oneService() throws {
            try Stage.play("dependencies") { stage in
                try stage.covey("up", "-d", "db")
                try stage.require(try stage.containers().map(\.Service) == ["db"], "others came along")
                try stage.covey("up", "-d", "app")
                try stage.require(
                    try Set(stage.containers().map(\.Service)) == ["app", "db", "job"],
                    "not with its dependencies")
            }
        }

        @Test("a service that is no longer declared stays until --remove-orphans")
        func orphans() throws {
            try Stage.play("orphans") { stage in
                try stage.covey("up", "-d")
                try stage.edit("  dropped: {<<: *idle}\n", "")
                let up = try stage.covey("up", "-d")
                try stage.require(
                    (up.output + up.errors).contains("dropped"), "the orphan is not named:\n\(up)")
                try stage.require(try stage.containers().count == 2, "removed without being asked")
                try stage.covey("up", "-d", "--remove-orphans")
                try stage.require(try stage.containers().map(\.Service) == ["kept"], "the orphan stays")
            }
        }

        @Test("up builds what has build, from contexts of the host, and keeps the cache")
        func build() throws {
            try Stage.play("build") { stage in
                try stage.covey("up", "-d")
                try stage.eventually("it printed") { try stage.logs("--no-log-prefix").contains("/srv") }
                let log = try stage.logs("--no-log-prefix")
                try stage.require(log.contains("hello from the build") && log.contains("a note"), log)
                try stage.require(try stage.exec("app", "stat -c %a /note.txt") == "640", "--chmod")
                try stage.require(try stage.exec("app", "echo $GREETED") == "hello", "ENV from ARG")
                let before = try stage.processes()
                try stage.covey("up", "-d", "--build")
                try stage.require(try stage.processes() == before, "an unchanged build recreated the service")
            }
        }

        @Test("samples/hello: server, worker and job come up, talk, and go without a trace")
        func hello() throws {
            try Stage.play("hello") { stage in
                _ = try stage.inHost(["cp", "-a", "\(Host.repository)/samples/hello/.", stage.files])
                    .orThrow()
                try stage.covey("up", "-d", "--wait", variables: ["HELLO_PORT=18080"])
                let page = try stage.inHost(["busybox", "wget", "-q", "-O", "-", "http://127.0.0.1:18080/"])
                try stage.require(page.output.contains("hello from"), "\(page)")
                try stage.eventually("the worker read the page by its name") {
                    try stage.logs("worker").contains("read: hello from")
                }
                try stage.require(try stage.container("page").ExitCode == 0, "the job")
                try stage.require(try stage.container("web").Health == "healthy", "health")
                let before = try stage.processes()
                try stage.covey("up", "-d", variables: ["HELLO_PORT=18080"])
                try stage.require(try stage.processes() == before, "a second up touched a container")
            }
        }

        @Test("a container that its policy will start again is ended by kill, and stays so")
        func killBetweenStarts() throws {
            try Stage.play("kept") { stage in
                try stage.write(
                    "compose.yaml",
                    """
                    services:
                      app: {image: "bb:1", command: ["false"], restart: always, deploy: {restart_policy: {condition: any, delay: 1h}}}
                    """)
                try stage.covey("up", "-d")
                try stage.eventually("its next start is waited for") {
                    try stage.container("app").State == "restarting"
                }
                try stage.covey("kill", "-s", "HUP")
                try stage.require(try stage.container("app").State == "restarting", "HUP ends it")
                try stage.covey("kill")
                try stage.require(try stage.container("app").State == "exited", "it goes on")
                try stage.loseController()
                try stage.require(try stage.container("app").State == "exited", "it is forgotten")
            }
        }
    }
}
