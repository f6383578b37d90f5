// SPDX-License-Identifier: Apache-2.0
//
// Where two things meet that each are tested alone: a change and a lost controller, a wish and another one, a name and a name.

import Glibc
import Kernel
import Testing

extension Scenarios {
    @Suite("corners")
    struct Corners {
        private func loseController(_ stage: Stage) throws {
            let lost = stage.engine().last ?? 0
            kill(lost, SIGKILL)
            try stage.eventually("another controller runs") {
                stage.engine().count == 2 && stage.engine().last != lost
            }
        }

        @Test("a long name and a policy that was changed outlive their controller")
        func outlived() throws {
            try Stage.play("corners") { stage in
                try stage.covey("up", "-d", "plain", "long", variables: ["POLICY=no"])
                let before = try stage.processes()
                try stage.covey("up", "-d", "plain", "long", variables: ["POLICY=always"])
                try loseController(stage)
                try stage.require(try stage.processes() == before, "\(before) \(try stage.containers())")
                kill(pid_t(try stage.container("plain").Pid ?? 0), SIGKILL)
                try stage.eventually("its policy of now starts it again") {
                    let row = try stage.container("plain")
                    return try row.State == "running" && before[row.Name] != stage.processes()[row.Name]
                }
                try stage.require(
                    try stage.exec("long", "nslookup plain 127.0.0.11 | grep -c Address").isEmpty == false,
                    "names are answered")
            }
        }

        @Test("--wait takes a job that ended well, whatever health check its image has, and no other")
        func jobs() throws {
            try Stage.play("corners") { stage in
                try stage.covey("up", "-d", "--wait", "job")
                let up = try stage.covey("up", "-d", "--wait", "job", code: 1, variables: ["CODE=3"])
                try stage.require(up.errors.contains("exited (3)"), "\(up)")
            }
        }

        @Test("a config or secret that was replaced does not stay on the disk")
        func replacedSecrets() throws {
            try Stage.play("corners") { stage in
                for key in ["one", "two", "three"] {
                    try stage.covey("up", "-d", "keyed", variables: ["KEY=\(key)"])
                }
                let kept = "\(stage.directory)/root/projects/\(stage.project)/contents"
                let found = try directoryEntries(kept).map { contents("\(kept)/\($0)") }
                try stage.require(found == ["three"], "\(found)")
            }
        }

        @Test("a service's container does not take the name, the files and the place of one that runs")
        func taken() throws {
            try Stage.play("corners") { stage in
                let name = "\(stage.project)-plain-1"
                try stage.covey("run", "-d", "--name", name, "plain")
                let before = try stage.processes()
                let up = try stage.covey("up", "-d", "plain", code: 1)
                try stage.require(up.errors.contains("there is one of that name"), "\(up)")
                try stage.require(try stage.processes() == before, "\(try stage.containers())")
                try stage.require(
                    exists("\(stage.directory)/root/projects/\(stage.project)/containers/\(name)"),
                    "its files")
            }
        }

        @Test("what is stopped while it waits to be started again has ended for who follows it, too")
        func backoff() throws {
            try Stage.play("corners") { stage in
                let up = try stage.start(["up", "failing"])
                try stage.eventually("it is started again and again") {
                    try stage.attempt("ps", "-a", "--format", "json").output.contains("\"restarting\"")
                }
                try stage.covey("stop", "failing")
                _ = try up.wait(limit: .seconds(20))
            }
        }

        @Test("who shares a namespace and is stopped while it moves to the new one stays stopped")
        func stoppedSharer() throws {
            try Stage.play("corners") { stage in
                try stage.covey("up", "-d", "owner", "sharer")
                try stage.eventually("it is ready") { try stage.logs("sharer").contains("ready") }
                kill(pid_t(try stage.container("owner").Pid ?? 0), SIGKILL)
                try stage.eventually("it is being stopped for its new namespace") {
                    try stage.container("sharer").State == "stopping"
                }
                try stage.covey("stop", "-t", "1", "sharer", limit: .seconds(20))
                try stage.require(
                    try stage.container("sharer").State == "exited", "\(try stage.containers())")
                try stage.covey("down", "-t", "0")
            }
        }
    }
}
