// SPDX-License-Identifier: Apache-2.0
//
// What a container is held to and what it is given: limits, rights, files, volumes, init, restart policies, health.

import Glibc
import Kernel
import Testing

extension Scenarios {
    @Suite("containers")
    struct Containers {
        @Test("mem_limit kills with 137 and says so; pids_limit and cpus hold")
        func limits() throws {
            try Stage.play("limits") { stage in
                try stage.covey("up", "-d")
                try stage.eventually("the memory limit is met") {
                    try stage.container("hungry").State == "exited"
                }
                let hungry = try stage.container("hungry")
                try stage.require(hungry.ExitCode == 137 && hungry.OOMKilled, "\(hungry)")
                try stage.eventually("the forks fail") { try stage.logs("forker").contains("fork") }
                let group = contents("/proc/\(try stage.container("half").Pid ?? 0)/cgroup")
                try stage.require(group.contains("/covey/\(stage.project)/"), group)
            }
        }

        @Test("restart policies: always, on-failure with a maximum, unless-stopped; backoff between tries")
        func restart() throws {
            try Stage.play("restart") { stage in
                try stage.covey("up", "-d")
                try stage.eventually("always is restarted") { try stage.container("always").Restarts >= 2 }
                try stage.eventually("on-failure:2 gives up after two") {
                    let row = try stage.container("twice")
                    return row.State == "exited" && row.Restarts == 2 && row.ExitCode == 5
                }
                let once = try stage.container("once")
                try stage.require(
                    once.State == "exited" && once.ExitCode == 3 && once.Restarts == 0, "\(once)")
                try stage.require(try stage.container("satisfied").Restarts == 0, "success was restarted")
                // Killed from outside, it comes back; stopped on request, it stays.
                let pid = try stage.container("steady").Pid ?? 0
                try stage.inHost(["kill", "-KILL", "\(pid)"]).orThrow()
                try stage.eventually("steady comes back") {
                    let row = try stage.container("steady")
                    return row.State == "running" && row.Pid != pid
                }
                try stage.covey("stop", "--timeout", "1", "steady", "always")
                try stage.require(try stage.container("steady").State == "exited", "restarted after stop")
            }
        }

        @Test("depends_on waits: completed, healthy, started; an absent one that is not required is fine")
        func dependencies() throws {
            try Stage.play("dependencies") { stage in
                try stage.covey("up", "-d", "--wait")
                let rows = try stage.containers()
                try stage.require(try stage.container("job").ExitCode == 0, "\(rows)")
                try stage.require(try stage.container("db").Health == "healthy", "\(rows)")
                try stage.require(rows.first { $0.Service == "absent" } == nil, "\(rows)")
                try stage.require(
                    try stage.logs("app").contains("done"), "app started before the job had ended")
                // `restart: true`: the dependant goes along.
                let before = try stage.processes()
                try stage.covey("restart", "db")
                let app = "\(stage.project)-app-1"
                try stage.eventually("app was restarted with db") {
                    try stage.processes()[app] != before[app]
                }
            }
        }

        @Test("a dependency that fails is an error that names both; the dependant is not started")
        func dependencyFails() throws {
            try Stage.play("dependency-fails") { stage in
                let up = try stage.covey("up", "-d", code: 1)
                try stage.require(up.errors.contains("broken") && up.errors.contains("app"), "\(up)")
                try stage.require(
                    try stage.containers().first { $0.Service == "app" }?.State != "running",
                    "app was started")
                // Which service, how it ended, and the last ten lines of both its streams, in their order.
                try stage.require(
                    up.errors.contains("dependency \"broken\" failed") && up.errors.contains("exited (4)"),
                    "\(up)")
                for number in 16...20 {
                    try stage.require(
                        up.errors.contains("line \(number)\n") && up.errors.contains("problem \(number)\n"),
                        "\(up)")
                }
                try stage.require(!up.errors.contains("line 15\n"), "more than ten lines: \(up)")
            }
        }

        @Test("a dependency that is unhealthy, or ends before it is healthy, is named with its last lines")
        func dependencyNeverHealthy() throws {
            try Stage.play("dependency-unhealthy") { stage in
                let sick = try stage.covey("up", "-d", "app", code: 1)
                for part in ["\"sick\"", "is unhealthy", "no good", "I am starting"] {
                    try stage.require(sick.errors.contains(part), "\(part) is not in \(sick)")
                }
                let gone = try stage.covey("up", "-d", "other", code: 1)
                for part in ["\"gone\"", "exited (3)", "before it was healthy", "giving up"] {
                    try stage.require(gone.errors.contains(part), "\(part) is not in \(gone)")
                }
                let run = try stage.covey("run", "--rm", "-T", "other", "true", code: 1)
                try stage.require(run.errors.contains("giving up"), "\(run)")
                try stage.require(
                    !(try stage.covey("ps", "-a", "-q").output.contains("-run-")), "run left its container")
            }
        }

        @Test("a failing healthcheck makes it unhealthy, and up --wait fails with the probe's words")
        func unhealthy() throws {
            try Stage.play("unhealthy") { stage in
                let up = try stage.covey("up", "-d", "--wait", code: 1)
                try stage.require(up.errors.contains("sick"), "\(up)")
                try stage.require(
                    try stage.container("sick").Health == "unhealthy", "it is not unhealthy")
            }
        }

        @Test(
            "secrets and configs have their content, owner and mode; content is on no disk path of the image")
        func files() throws {
            try Stage.play("files") { stage in
                try stage.covey("up", "-d", variables: ["A_SECRET=from the environment"])
                try stage.require(try stage.exec("app", "cat /run/secrets/plain") == "a secret", "plain")
                try stage.require(
                    try stage.exec("app", "cat /run/secrets/variable") == "from the environment", "variable")
                let shaped = try stage.exec("app", "stat -c '%u %g %a' /run/elsewhere; cat /run/elsewhere")
                try stage.require(shaped == "1000 2000 400\na secret", shaped)
                let config = try stage.exec("app", "stat -c '%u %a' /etc/app.conf; cat /etc/app.conf")
                try stage.require(config == "1000 440\ngreeting = hello", config)
                try stage.require(
                    try !stage.execSucceeds("app", "echo x >> /run/secrets/plain"), "a secret is writable")
                // A changed content is a changed service.
                let before = try stage.processes()
                try stage.write("secret.txt", "another\n")
                try stage.covey("up", "-d", variables: ["A_SECRET=from the environment"])
                try stage.require(try stage.processes() != before, "a changed secret recreated nothing")
                try stage.require(
                    try stage.exec("app", "cat /run/secrets/plain") == "another", "the old secret")
            }
        }

        @Test("volumes: named are filled from the image and shared, binds and read-only and tmpfs as said")
        func volumes() throws {
            try Stage.play("volumes") { stage in
                try stage.covey("up", "-d")
                try stage.require(try stage.exec("app", "cat /data/seed") == "from the image", "not filled")
                try stage.exec("app", "echo shared > /data/file")
                try stage.require(try stage.exec("other", "cat /data/file") == "shared", "not shared")
                try stage.require(try stage.exec("app", "cat /long/file") == "shared", "the long form")
                try stage.require(try !stage.execSucceeds("app", "echo x > /long/x"), "read_only is writable")
                try stage.require(try stage.exec("app", "cat /bound/file") == "from the host", "bind")
                try stage.exec("app", "echo back > /bound/back")
                try stage.require(
                    contents("\(stage.files)/host/back") == "back\n", "bind is not the host's directory")
                try stage.require(try !stage.execSucceeds("app", "echo x > /bound-ro/x"), ":ro is writable")
                try stage.exec("app", "echo x > /anonymous/x && echo x > /run/fast/x")
                try stage.require(
                    try !stage.execSucceeds(
                        "app", "dd if=/dev/zero of=/scratch/x bs=1k count=2000 2>/dev/null"),
                    "tmpfs is larger than its size")
            }
        }

        @Test(
            "anonymous volumes go over to the new container at the same path; -V renews them; none is left over"
        )
        func anonymousVolumes() throws {
            try Stage.play("anonymous") { stage in
                func kept() -> [String] {
                    tree("\(stage.directory)/root/projects").filter {
                        $0.hasSuffix("/mark") && !$0.contains("/upper/")
                    }
                }
                try stage.covey("up", "-d")
                for path in ["/one", "/data"] { try stage.exec("app", "echo \(path) >\(path)/mark") }
                try stage.require(kept().count == 2, "\(kept())")
                // Another one before it gives /one another number; only the same path goes over.
                try stage.edit("- /one", "- /another\n      - /one")
                try stage.covey("up", "-d")
                try stage.require(try stage.exec("app", "cat /one/mark") == "/one", "/one was lost")
                try stage.require(
                    try stage.exec("app", "cat /data/mark /data/seed") == "/data\nfrom the image",
                    "/data was lost")
                try stage.require(try stage.exec("app", "ls /another").isEmpty, "/another is another's")
                // One that nothing is mounted from any more is gone, another stays over --force-recreate.
                try stage.edit("      - /data\n", "")
                try stage.covey("up", "-d", "--force-recreate")
                try stage.require(
                    try stage.exec("app", "cat /one/mark; cat /data/mark 2>/dev/null || true") == "/one",
                    "not the one that stays")
                try stage.require(kept().count == 1, "\(kept())")
                try stage.require(
                    !exists("\(stage.directory)/root/projects/\(stage.project)/carried"), "left over")
                try stage.covey("up", "-d", "--force-recreate", "-V")
                try stage.require(try !stage.execSucceeds("app", "test -e /one/mark"), "-V renewed nothing")
                try stage.require(kept().isEmpty, "\(kept())")
                // A one-shot job that has done its work does not run.
                let again = try stage.covey("up", "-d")
                try stage.require(
                    (again.output + again.errors).contains("1 service running, 1 completed"), "\(again)")
            }
        }

        @Test(
            "a controller killed while it recreates loses no anonymous volume",
            arguments: [0, 2, 4, 6, 9, 14])
        func anonymousVolumesKilled(milliseconds: UInt32) throws {
            try Stage.play("anonymous") { stage in
                try stage.covey("up", "-d")
                try stage.exec("app", "echo kept >/one/mark; echo kept >/data/mark")
                let up = try stage.start(["up", "-d", "--force-recreate", "-t", "0"])
                usleep(30_000 + milliseconds * 1000)
                if let controller = stage.engine().last { kill(controller, SIGKILL) }
                _ = try up.wait()
                try stage.eventually("it is up again") { try stage.attempt("up", "-d").succeeded }
                try stage.require(
                    try stage.exec("app", "cat /one/mark /data/mark") == "kept\nkept", "a volume was lost")
            }
        }

        @Test("read_only, cap_drop, no-new-privileges, ulimits, sysctls and user hold")
        func confinement() throws {
            try Stage.play("confinement") { stage in
                try stage.covey("up", "-d")
                try stage.require(
                    try !stage.execSucceeds("tight", "echo x > /home/x"), "the root is writable")
                try stage.exec("tight", "echo x > /tmp/x")
                let status = try stage.exec("tight", "cat /proc/1/status")
                for line in [
                    "CapBnd:\t0000000000000400", "NoNewPrivs:\t1", "CapInh:\t0000000000000000", "Seccomp:\t2",
                ] {
                    try stage.require(status.contains(line), "\(line) is not in:\n\(status)")
                }
                try stage.require(
                    try stage.exec("tight", "id -u; id -G") == "1000\n1000 2000", "user and groups")
                try stage.require(
                    try stage.exec("tight", "ulimit -Sn; ulimit -Hn") == "100\n200", "ulimits")
                try stage.require(
                    try stage.exec("tight", "cat /proc/sys/net/ipv4/ip_local_port_range") == "20000\t20100",
                    "sysctls")
                let plain = try stage.exec("plain", "cat /proc/1/status")
                try stage.require(
                    plain.contains("CapEff:\t00000000a80425fb"), "Docker's default capabilities:\n\(plain)")
                for refused in [
                    "mount -t tmpfs x /mnt", "hostname other", "echo x > /proc/sysrq-trigger",
                    "cat /proc/kcore",
                ] {
                    try stage.require(
                        try !stage.execSucceeds("plain", "\(refused) 2>/dev/null"), "\(refused) works")
                }
                let seen = try stage.exec("plain", "ls /proc | grep -c '^[0-9]'")
                try stage.require((Int(seen) ?? 99) < 8, "it sees \(seen) processes")
            }
        }

        @Test("init is a program of its own: nothing of the host shows or can be reached through process 1")
        func initShowsNothing() throws {
            try Stage.play("zombies") { stage in
                try stage.write(
                    "compose.yaml",
                    """
                    services:
                      reaped:
                        image: bb:1
                        init: true
                        cap_add: [ALL]
                        command: [sh, -c, "trap 'exit 3' USR1; while :; do sleep 1 & wait; done"]

                    """)
                try stage.covey("up", "-d")
                try stage.require(
                    try stage.exec("reaped", "tr '\\0' ' ' </proc/1/cmdline") == "init 2 ", "its arguments")
                try stage.require(try stage.exec("reaped", "cat /proc/1/comm") == "init", "its name")
                try stage.require(
                    try stage.exec("reaped", "readlink /proc/1/exe") == "/memfd:init (deleted)", "its program"
                )
                try stage.require(
                    try !stage.execSucceeds("reaped", "grep -q covey /proc/1/maps /proc/1/environ"),
                    "its maps")
                try stage.require(
                    try !stage.execSucceeds("reaped", "echo x >/proc/1/exe"), "its program can be written")
                // Signals and the code pass through it.
                try stage.covey("kill", "-s", "USR1")
                try stage.eventually("it ends as the service does") {
                    try stage.container("reaped").ExitCode == 3
                }
            }
        }

        @Test("init reaps every zombie")
        func zombies() throws {
            try Stage.play("zombies") { stage in
                try stage.covey("up", "-d")
                try stage.eventually("only init and the service are left") {
                    try stage.exec("reaped", "grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l")
                        == "0"
                }
            }
        }
    }
}
