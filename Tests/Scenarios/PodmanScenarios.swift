// SPDX-License-Identifier: Apache-2.0
//
// Podman from Debian with `covey oci` as its runtime: limits, a terminal, exec, pause, a health check, its error texts.

import Glibc
import Kernel
import Testing

extension Scenarios {
    @Suite("Podman")
    struct Podman {
        @Test(
            "run with limits, exec, pause, health check, a terminal, errors it knows",
            .enabled(
                if: Host.which("podman") != nil || Host.variable("CI") == "true", "the host lacks podman"))
        func drives() throws {
            try Bundle.play { bundle in
                let name = bundle.name
                func podman(list words: [String], code: Int32?) throws -> Outcome {
                    let outcome = try RunningProgram(
                        [
                            "podman", "--root", "\(bundle.directory)/storage",
                            "--runroot", "\(bundle.directory)/runroot", "--runtime", bundle.runtime,
                            "--runtime-flag", "root=\(bundle.state)", "--cgroup-manager", "cgroupfs",
                            "--storage-driver", "vfs", "--events-backend", "file",
                            "--tmpdir", "\(bundle.directory)/tmp",
                        ] + words, environment: ["PATH=\(Host.path)", "HOME=\(bundle.directory)"],
                        directory: bundle.directory, scratch: "\(bundle.directory)/scratch"
                    ).wait(limit: .seconds(60))
                    if let code, outcome.code != code {
                        throw ScenarioError("expected exit \(code):\n\(outcome)")
                    }
                    return outcome
                }
                @discardableResult
                func podman(_ words: String..., code: Int32? = 0) throws -> Outcome {
                    try podman(list: words, code: code)
                }
                try Host.run(["tar", "-C", bundle.rootfs, "-cf", "\(bundle.directory)/image.tar", "."])
                    .orThrow()
                try podman("import", "\(bundle.directory)/image.tar", "bb")
                // The machine's own limits may be below Podman's wish, and raising them needs CAP_SYS_RESOURCE.
                let plain = ["--network=none", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"]
                defer {
                    _ = try? podman("rm", "-f", "-t", "0", name, code: nil)
                    _ = try? podman("system", "reset", "--force", code: nil)
                }
                func run(_ rest: [String], code: Int32 = 0) throws -> Outcome {
                    try podman(list: ["run"] + plain + rest, code: code)
                }
                _ = try run([
                    "-d", "--name", name, "--memory", "64m", "--pids-limit", "50", "--cpus", "0.5",
                    "--health-cmd",
                    "true", "bb", "sleep", "1000",
                ])
                let inside = try podman("exec", name, "sh", "-c", "id -u; grep Seccomp: /proc/self/status")
                try bundle.require(
                    inside.lines.first == "0" && inside.output.contains("Seccomp:\t2"), inside.output)
                try podman("healthcheck", "run", name)
                try podman("pause", name)
                try bundle.require(
                    try podman("ps", "-a", "--format", "{{.Status}}").output.contains("Paused"), "not paused")
                try podman("unpause", name)
                let terminal = try podman("exec", "-t", name, "sh", "-c", "tty; test -t 1 && echo yes")
                try bundle.require(terminal.output.contains("/dev/pts/"), terminal.output)
                try podman("exec", name, "sh", "-c", "exit 5", code: 5)
                try podman("rm", "-f", "-t", "0", name)
                let missing = try run(["--rm", "bb", "nosuch"], code: 127)
                try bundle.require(missing.errors.contains("not found"), missing.errors)
                _ = try run(
                    ["--rm", "--read-only", "--user", "1000:1000", "bb", "sh", "-c", "exit 3"], code: 3)
            }
        }
    }
}
