// SPDX-License-Identifier: Apache-2.0
//
// What is kept on disk for the next controller: records that are damaged, lost or can't be written. What is missing is said,
// what can't be made anew is kept, and what somebody wanted stopped stays so.

import Glibc
import Kernel
import Testing

extension Stage {
    /// Kills the controller and waits until another answers.
    func loseController() throws {
        guard let controller = engine().last, engine().count == 2 else {
            throw ScenarioError("no controller")
        }
        kill(controller, SIGKILL)
        try eventually("another controller runs") {
            let now = engine()
            return now.count == 2 && !now.contains(controller)
        }
        try covey("ps")
    }

    /// A file in the data of a named volume, as the host sees it.
    func volumeFile(_ volume: String, _ file: String) -> String {
        "\(directory)/root/volumes/\(project)_\(volume)/data/\(file)"
    }

    fileprivate var ownState: String { "\(directory)/root/projects/\(project)" }

    /// A service that has the file `word` for a secret.
    fileprivate func bringUp(secret: String) throws {
        try write("word", secret)
        try write(
            "compose.yaml",
            """
            services:
              app: {image: "bb:1", init: true, command: [sleep, "1000"], secrets: [word]}
            secrets: {word: {file: ./word}}
            """)
        try covey("up", "-d")
    }
}

extension Scenarios {
    @Suite("what is kept for the next controller")
    struct Records {
        @Test("a secret whose kept content is cut or gone starts nothing with less, and `up` brings it again")
        func damagedContents() throws {
            try Stage.play("kept") { stage in
                try stage.bringUp(secret: "secret")
                let kept = "\(stage.ownState)/contents"
                func onlyFile() throws -> String { "\(kept)/\(try directoryEntries(kept)[0])" }
                func requireRefusalAndRepair(_ what: String) throws {
                    try stage.loseController()
                    let refused = try stage.covey("restart", "-t", "0", code: 1)
                    try stage.require(
                        refused.errors.contains("secret \"word\"") && refused.errors.contains("covey up"),
                        "\(what): \(refused)")
                    try stage.covey("up", "-d")
                    try stage.require(
                        try stage.exec("app", "cat /run/secrets/word") == "secret", "\(what): not repaired")
                }
                try writeFile(try onlyFile(), [])
                try requireRefusalAndRepair("cut")
                try removeFile(try onlyFile())
                try requireRefusalAndRepair("removed")
                // While the controller has it: `up` looks at the file as well.
                try writeFile(try onlyFile(), [])
                try stage.covey("up", "-d")
                try stage.loseController()
                try stage.covey("restart", "-t", "0")
                try stage.require(try stage.exec("app", "cat /run/secrets/word") == "secret", "not written")
            }
        }

        @Test("a secret that could not be written down is written by the next `up`")
        func unwrittenContents() throws {
            try Stage.play("kept") { stage in
                try stage.bringUp(secret: "first")
                try stage.write("word", "second")
                let sum = try Host.run(["sha256sum", "\(stage.files)/word"]).text.prefix(64)
                // A directory is replaced by no file: as on a full disk, the write fails.
                let blocked = "\(stage.ownState)/contents/\(sum)"
                try ensureDirectory(blocked)
                let refused = try stage.covey("up", "-d", code: 1)
                try stage.require(refused.errors.contains("contents of configs and secrets"), "\(refused)")
                rmdir(blocked)
                try stage.covey("up", "-d")
                try stage.loseController()
                try stage.covey("restart", "-t", "0")
                try stage.require(try stage.exec("app", "cat /run/secrets/word") == "second", "it is lost")
            }
        }

        @Test(
            "a container's record that is torn or lost costs no anonymous volume: it is put aside, and told",
            arguments: ["torn", "lost"])
        func tornRecord(how: String) throws {
            try Stage.play("kept") { stage in
                try stage.write(
                    "compose.yaml",
                    """
                    services:
                      app: {image: "bb:1", init: true, command: [sleep, "1000"], volumes: [/data]}
                    """)
                try stage.covey("up", "-d")
                try stage.exec("app", "echo precious >/data/mark")
                let name = "\(stage.project)-app-1"
                let record = "\(stage.ownState)/containers/\(name)/container.json"
                if how == "torn" { try writeFile(record, []) } else { try removeFile(record) }
                try stage.loseController()
                let told = try stage.covey("ps")
                try stage.require(told.errors.contains("\"\(name)\""), "ps does not tell: \(told)")
                let up = try stage.covey("up", "-d")
                let aside = "\(stage.ownState)/aside/\(name)"
                try stage.require(up.errors.contains(aside), "up does not tell where: \(up)")
                let kept = tree(aside).filter { $0.hasSuffix("/mark") }
                try stage.require(kept.count == 1 && contents(kept[0]) == "precious\n", "\(tree(aside))")
                try stage.require(try stage.container("app").State == "running", "it is not made anew")
                // Until somebody has looked.
                try stage.loseController()
                try stage.require(try stage.covey("ps").errors.contains(aside), "it is forgotten")
                try removeTree(aside)
                try stage.require(try stage.covey("ps").errors == "", "it is told of what is gone")
            }
        }

        @Test("a stop that can't be written down is said so, and is not undone by the next controller")
        func unwrittenStop() throws {
            try Stage.play("kept") { stage in
                try stage.write(
                    "compose.yaml",
                    """
                    services:
                      app: {image: "bb:1", init: true, command: [sleep, "1000"], restart: always}
                    """)
                try stage.covey("up", "-d")
                guard let controller = stage.engine().last else { throw ScenarioError("no controller") }
                // Where the record would be written first: as in a full run directory, the write fails.
                let status =
                    "\(stage.directory)/run/\(stage.project)/containers/\(stage.project)-app-1/status.json"
                try ensureDirectory("\(status).tmp.\(controller)")
                let stop = try stage.covey("stop", "-t", "0")
                try stage.require(stop.errors.contains("cannot be written down"), "\(stop)")
                try stage.loseController()
                let row = try stage.container("app")
                try stage.require(row.State == "exited" && row.Pid == nil, "\(row)")
            }
        }

        @Test("how often a restart policy has tried is not forgotten with the controller")
        func restartAttempts() throws {
            try Stage.play("kept") { stage in
                try stage.write(
                    "compose.yaml",
                    """
                    services:
                      app:
                        image: bb:1
                        command: [sh, -c, "echo run >>/data/runs; exit 1"]
                        volumes: ["data:/data"]
                        deploy: {restart_policy: {condition: on-failure, delay: 0s, max_attempts: 2, window: 1h}}
                    volumes: {data: {}}
                    """)
                try stage.covey("up", "-d")
                let runs = stage.volumeFile("data", "runs")
                try stage.eventually("it has been tried twice more") {
                    try stage.container("app").State == "exited" && contents(runs) == "run\nrun\nrun\n"
                }
                try stage.loseController()
                let row = try stage.container("app")
                try stage.require(row.State == "exited" && contents(runs) == "run\nrun\nrun\n", "\(row)")
            }
        }
    }
}
