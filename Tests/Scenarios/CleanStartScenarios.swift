// SPDX-License-Identifier: Apache-2.0
//
// There is no daemon: what starts a project's keeper is a shell. Nothing of it may live as long as the project.

import Glibc
import Testing

extension Scenarios {
    @Suite("a clean start")
    struct CleanStarts {
        /// A shell with a secret, an open file, ignored signals, a mask and a directory of its own.
        private static let shell = """
            export SECRET=of-the-shell; umask 077; trap '' TERM INT; exec 9</etc/passwd; cd /usr; exec "$@"
            """

        @Test("keeper and controller keep nothing of the shell, however they were started")
        func nothingOfTheShell() throws {
            try Stage.play("one") { stage in
                let command = ["sh", "-c", Self.shell, "sh", Host.covey ?? "covey"]
                let file = ["-f", "\(stage.files)/compose.yaml", "-p", stage.project]
                // By the seed that `up` planted.
                _ = try stage.inHost(command + file + ["up", "-d"]).orThrow()
                try check(stage)
                // By executing the binary again: `ps` plants none.
                try stage.killEngine()
                _ = try stage.inHost(command + file + ["ps"]).orThrow()
                try check(stage)
            }
        }

        @Test("keeper, controller and containers have all processors, whichever the shell had")
        func processors() throws {
            try Stage.play("one") { stage in
                let file = ["-f", "\(stage.files)/compose.yaml", "-p", stage.project]
                func allowed(_ status: String) -> Substring? {
                    status.split(separator: "\n").first { $0.hasPrefix("Cpus_allowed_list:") }?
                        .split(separator: "\t").last
                }
                let all = allowed(contents("/proc/self/status"))
                for prefix in [[], ["taskset", "-c", "0"]] {
                    _ = try stage.inHost(prefix + [Host.covey ?? "covey"] + file + ["up", "-d"]).orThrow()
                    let found =
                        stage.engine().map { allowed(contents("/proc/\($0)/status")) }
                        + [allowed(try stage.exec("app", "cat /proc/1/status"))]
                    try stage.require(found.count == 3 && found.allSatisfy { $0 == all }, "\(found)")
                    try stage.covey("down", "--timeout", "1")
                }
            }
        }

        private func check(_ stage: Stage) throws {
            try stage.eventually("keeper and controller run") { stage.engine().count == 2 }
            for (pid, name) in zip(stage.engine(), ["covey-keeper", "covey"]) {
                func file(_ what: String) -> String { contents("/proc/\(pid)/\(what)") }
                let arguments = file("cmdline").split { $0 == "\0" || $0 == " " }.map(String.init)
                try stage.require(arguments.first == "covey-keeper" && arguments.count >= 5, "\(arguments)")
                try stage.require(arguments[2] == stage.project, "\(arguments)")
                try stage.require(file("comm") == "\(name)\n", "\(pid) is called \(file("comm"))")
                try stage.require(!file("environ").contains("="), "\(name) has \(file("environ"))")
                let status = file("status")
                try stage.require(status.contains("Umask:\t0022"), status)
                // The kernel's numbers of SIGINT and SIGTERM: bits 1 and 14.
                try stage.require(mask("SigIgn", status) & 0x4002 == 0, status)
                try stage.require(mask("SigBlk", status) & 0x4002 == 0, status)
                let links = try Host.run(["sh", "-c", "readlink /proc/\(pid)/cwd /proc/\(pid)/fd/*"]).lines
                try stage.require(links.first == "/", "\(links)")
                try stage.require(
                    !links.contains { $0.contains("passwd") || $0.contains("scratch") }, "\(links)")
                try stage.require(statFields(pid)[3] != "\(getsid(0))", "\(name) is in our session")
                let networks = try stage.inHost([
                    "sh", "-c", "readlink /proc/self/ns/net /proc/\(pid)/ns/net",
                ]).lines
                try stage.require(networks.count == 2 && networks[0] == networks[1], "\(networks)")
                try stage.require(!links.contains { $0.hasPrefix("net:") }, "\(links)")
                let memory = try Host.run(["sh", "-c", "grep -c of-the-shell /proc/\(pid)/environ"])
                try stage.require(memory.text == "0", "\(memory)")
            }
        }

        private func mask(_ name: String, _ status: String) -> UInt64 {
            let line = status.split(separator: "\n").first { $0.hasPrefix("\(name):") } ?? ""
            return UInt64(line.split(separator: "\t").last ?? "", radix: 16) ?? .max
        }
    }
}
