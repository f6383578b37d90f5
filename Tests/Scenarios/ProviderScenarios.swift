// SPDX-License-Identifier: Apache-2.0
//
// Services a provider looks after.

import Glibc
import Testing

extension Scenarios {
    @Suite("providers")
    struct Providers {
        @Test("a provider is brought up first, tells its dependants how to reach it, and is released by down")
        func lifecycle() throws {
            try Stage.play("providers") { stage in
                let path = ["PATH=\(stage.files)/bin:\(Host.path)"]
                let up = try stage.covey("up", "-d", variables: path)
                try stage.require(up.errors.contains("preparing mysql"), "\(up)")
                try stage.require(!up.errors.contains("not shown"), "\(up)")
                let variables = try stage.exec("app", "env | sort").split(separator: "\n")
                for line in ["MY_DB_URL=mysql://cloud/a=b", "MY_DB_KNOWN=yes", "SECRET_KEY=s3"] {
                    try stage.require(variables.contains { $0 == line }, "\(line): \(variables)")
                }
                try stage.require(try !stage.exec("other", "env").contains("MY_DB"), "others are told")
                try stage.require(
                    contents("\(stage.files)/calls")
                        == "compose --project-name=\(stage.project) up --size=256 --tag=a --tag=b --type=mysql my-db\n",
                    contents("\(stage.files)/calls"))
                let pid = try stage.container("app").Pid
                let again = try stage.covey("up", "-d", variables: path)
                try stage.require(try stage.container("app").Pid == pid, "\(again)")
                let plan = try stage.covey("plan", variables: path)
                try stage.require(plan.output.contains("nothing to do"), "\(plan)")
                let stop = try stage.covey("stop", "-t", "1", "my-db", variables: path)
                try stage.require(stop.errors.contains("resting"), "\(stop)")
                try stage.require(try stage.container("app").Pid == pid, "a container was stopped")
                try stage.covey("stop", "-t", "1", variables: path)
                try stage.require(
                    contents("\(stage.files)/calls").split(separator: "\n").suffix(2).allSatisfy {
                        $0.hasSuffix(" stop --size=256 --tag=a --tag=b --type=mysql my-db")
                    }, contents("\(stage.files)/calls"))
                try stage.covey("down", variables: path)
                try stage.require(
                    contents("\(stage.files)/calls").hasSuffix(
                        " down --size=256 --tag=a --tag=b --type=mysql my-db\n"),
                    contents("\(stage.files)/calls"))
            }
        }

        @Test("what a provider made is given back, also after an up that failed and a down that did")
        func givenBack() throws {
            try Stage.play("providers") { stage in
                let path = ["PATH=\(stage.files)/bin:\(Host.path)"]
                func asked() -> Int {
                    contents("\(stage.files)/calls").split(separator: "\n").count { $0.contains(" down ") }
                }
                try stage.edit(
                    "  app:\n    image: bb:1", "  app:\n    image: nowhere:1\n    pull_policy: never")
                try stage.covey("up", "-d", "app", code: 1, variables: path)
                try stage.covey("down", variables: path)
                try stage.require(asked() == 1, contents("\(stage.files)/calls"))
                let again = try stage.covey("down", variables: path)
                try stage.require(asked() == 1 && again.errors.contains("nothing to take down"), "\(again)")

                try stage.edit("image: nowhere:1\n    pull_policy: never", "image: bb:1")
                try stage.covey("up", "-d", variables: path)
                try stage.write("fails", "")
                let failed = try stage.covey("down", "-t", "1", code: 1, variables: path)
                try stage.require(failed.errors.contains("still in use"), "\(failed)")
                try stage.require(try stage.containers().isEmpty, "the containers stayed")
                let still = try stage.covey("down", code: 1, variables: path)
                try stage.require(asked() == 3 && still.errors.contains("still in use"), "\(still)")
                try Host.run(["rm", "\(stage.files)/fails"]).orThrow()
                try stage.covey("down", "my-db", variables: path)
                let last = try stage.covey("down", variables: path)
                try stage.require(asked() == 4 && last.errors.contains("nothing to take down"), "\(last)")
            }
        }

        @Test("who brought a service up takes it down, whoever is asked for it by now")
        func replaced() throws {
            try Stage.play("providers") { stage in
                let path = ["PATH=\(stage.files)/bin:\(Host.path)"]
                func asked(_ verb: String) -> [Bool] {
                    contents("\(stage.files)/calls").split(separator: "\n").filter {
                        $0.contains(" \(verb) ")
                    }
                    .map { $0.hasPrefix("heaven ") }
                }
                try stage.covey("up", "-d", "app", variables: path)
                try stage.edit("type: cloud", "type: heaven")
                try stage.covey("up", "-d", "app", variables: path)
                try stage.require(asked("up") == [false, true], contents("\(stage.files)/calls"))
                try stage.covey("stop", "-t", "1", variables: path)
                try stage.require(asked("stop") == [true], contents("\(stage.files)/calls"))
                let plan = try stage.covey("down", "--dry-run", variables: path)
                try stage.require(
                    plan.output.contains("provider heaven") && plan.output.contains("provider cloud"),
                    "\(plan)")
                try stage.write("fails", "")
                let failed = try stage.covey("down", "-t", "1", code: 1, variables: path)
                try stage.require(failed.errors.contains("still in use"), "\(failed)")
                try Host.run(["rm", "\(stage.files)/fails"]).orThrow()
                // Who has taken it down is not asked again.
                try stage.covey("down", variables: path)
                try stage.require(asked("down") == [true, false, false], contents("\(stage.files)/calls"))
                let last = try stage.covey("down", variables: path)
                try stage.require(last.errors.contains("nothing to take down"), "\(last)")
            }
        }

        @Test("Ctrl-C stops what was brought up, whoever looks after its dependencies")
        func interrupted() throws {
            try Stage.play("providers") { stage in
                let path = ["PATH=\(stage.files)/bin:\(Host.path)"]
                try stage.covey("up", "-d", "other", variables: path)
                let up = try stage.start(["up", "app"], variables: path)
                try stage.eventually("it runs") {
                    try stage.attempt("ps", "--format", "json").output.contains("\"Service\":\"app\"")
                }
                try stage.eventually("its output is shown") { up.soFar.errors.contains("Started") }
                up.signal(SIGINT)
                let outcome = try up.wait(limit: .seconds(20))
                try stage.require(outcome.code == 130, "\(outcome)")
                try stage.require(
                    try stage.container("app").State == "exited"
                        && stage.container("other").State == "running", "\(outcome) \(try stage.containers())"
                )
                try stage.covey("down", "-t", "1", variables: path)
            }
        }

        @Test(
            "a provider that fails, babbles or is not there is an error by name, and nothing is begun",
            arguments: [
                ("user", "no credit left"), ("listener", "no JSON object"),
                ("seeker", "there is no provider \"nowhere-to-be-found\""),
            ])
        func refused(service: String, says: String) throws {
            try Stage.play("providers") { stage in
                let up = try stage.covey(
                    "up", "-d", service, code: 1,
                    variables: ["PATH=\(stage.files)/bin:\(Host.path)"])
                try stage.require(up.errors.contains(says), "\(up)")
            }
        }
    }
}
