// SPDX-License-Identifier: Apache-2.0
//
// Seccomp's listener (config-linux.md, "The Container Process State"): what an agent at `listenerPath` is handed, and that it
// is served from `create` on.

import Glibc
import Kernel
import Testing

extension Scenarios {
    @Suite("OCI seccomp agents")
    struct OCIAgent {
        /// Listens at `agent.sock` of the bundle; `body` goes on with what it was sent, as `data` and `fds`.
        private func startAgent(of bundle: Bundle, _ body: String) throws -> RunningProgram {
            let head = #"""
                import array, fcntl, json, os, select, socket, struct
                agent = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                agent.bind("agent.sock"); agent.listen(1); agent.settimeout(20)
                open("ready", "w").close()
                connection, _ = agent.accept()
                data, ancillary, _, _ = connection.recvmsg(65536, socket.CMSG_LEN(16))
                fds = array.array("i"); fds.frombytes(ancillary[0][2])

                """#
            try writeFile("\(bundle.directory)/agent", Array((head + body).utf8))
            let agent = try RunningProgram(
                ["python3", "agent"], environment: ["PATH=\(Host.path)"], directory: bundle.directory,
                scratch: "\(bundle.directory)/scratch")
            try bundle.await("the agent listens") { exists("\(bundle.directory)/ready") }
            return agent
        }

        @Test(
            "listenerPath: the agent gets the listener with the state once; it is ignored when nothing is asked"
        )
        func listener() throws {
            try Bundle.play { bundle in
                let agent = try startAgent(
                    of: bundle,
                    #"""
                    rest = connection.recv(1)
                    told = json.loads(data)
                    print(told["fds"], len(fds), os.readlink("/proc/self/fd/%d" % fds[0]), told["metadata"],
                          told["state"]["status"], told["state"]["id"], told["pid"] == told["state"]["pid"], rest)
                    """#)
                func seccomp(_ action: String, _ path: String) -> String {
                    #"""
                    "seccomp":{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"\#(path)","listenerMetadata":"meta",
                      "syscalls":[{"names":["uselib"],"action":"\#(action)"}]},
                    """#
                }
                try bundle.configure(
                    ["true"], linux: seccomp("SCMP_ACT_NOTIFY", "\(bundle.directory)/agent.sock"))
                try bundle.oci("run", bundle.name, code: 0)
                let told = try agent.wait(limit: .seconds(30))
                try bundle.require(
                    told.text
                        == "['seccompFd'] 1 anon_inode:seccomp notify meta creating \(bundle.name) True b''",
                    told.description)
                try bundle.configure(["true"], linux: seccomp("SCMP_ACT_NOTIFY", "/no/such.sock"))
                let refused = try bundle.oci("run", bundle.name, code: 1)
                try bundle.require(refused.errors.contains("/no/such.sock"), refused.errors)
                try bundle.configure(["true"], linux: seccomp("SCMP_ACT_LOG", "/no/such.sock"))
                try bundle.oci("run", bundle.name, code: 0)
            }
        }

        @Test(
            "of an exec the agent is told that the container runs, with its first process, beside the new one"
        )
        func execution() throws {
            try Bundle.play { bundle in
                let agent = try startAgent(
                    of: bundle,
                    #"""
                    first = json.loads(data)
                    connection, _ = agent.accept()
                    told = json.loads(connection.recvmsg(65536, socket.CMSG_LEN(16))[0])
                    print(told["state"]["status"], told["state"]["pid"] == first["pid"], told["pid"] != first["pid"])
                    """#)
                try bundle.configure(
                    ["sleep", "1000"],
                    linux: #"""
                        "seccomp":{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"\#(bundle.directory)/agent.sock",
                          "syscalls":[{"names":["uselib"],"action":"SCMP_ACT_NOTIFY"}]},
                        """#)
                try bundle.oci("run", "-d", bundle.name, code: 0)
                try bundle.oci("exec", bundle.name, "true", code: 0)
                let told = try agent.wait(limit: .seconds(30))
                try bundle.require(told.text == "running True True", told.description)
            }
        }

        @Test("called as crun, the listener is handed over also when nothing is asked, in crun's version")
        func unasked() throws {
            try Bundle.play { bundle in
                let agent = try startAgent(
                    of: bundle, #"print(json.loads(data)["ociVersion"], len(fds))"#)
                try bundle.configure(
                    ["true"],
                    linux: #"""
                        "seccomp":{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"\#(bundle.directory)/agent.sock"},
                        """#)
                let link = "\(bundle.directory)/crun"
                try Host.run(["ln", "-s", Host.covey ?? "covey", link]).orThrow()
                try Host.run([link, "--root", bundle.state, "run", "--bundle", bundle.directory, bundle.name])
                    .orThrow()
                let told = try agent.wait(limit: .seconds(30))
                try bundle.require(told.text == "0.2.0 1", told.description)
            }
        }

        @Test(
            "a filter that refuses sockets keeps nobody from hearing that the container is made, or why not")
        func silence() throws {
            try Bundle.play { bundle in
                func configure(_ arguments: [String], _ action: String) throws {
                    try bundle.configure(
                        arguments,
                        linux: #"""
                            "seccomp":{"defaultAction":"SCMP_ACT_ALLOW",
                              "syscalls":[{"names":["sendmsg","sendto"],"action":"\#(action)"}]},
                            """#)
                }
                try writeFile("\(bundle.rootfs)/bin/no-program", Array("no program\n".utf8), mode: 0o755)
                for action in ["SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS"] {
                    try configure(["true"], action)
                    try bundle.oci("create", bundle.name, code: 0)
                    try bundle.oci("start", bundle.name, code: 0)
                    try bundle.await("it stops") { try bundle.status() == "stopped" }
                    try bundle.oci("delete", bundle.name, code: 0)
                    try configure(["no-program"], action)
                    let failed = try bundle.oci("run", bundle.name, code: 1)
                    try bundle.require(
                        failed.errors.contains("exec no-program: exec format error"), failed.errors)
                }
            }
        }

        @Test("an agent is asked about read(2), which the child makes itself before its program")
        func answers() throws {
            try Bundle.play { bundle in
                let agent = try startAgent(
                    of: bundle,
                    #"""
                    poll = select.poll(); poll.register(fds[0])
                    asked = 0
                    while not poll.poll()[0][1] & select.POLLHUP:
                        request = bytearray(80)
                        try: fcntl.ioctl(fds[0], 0xc0502100, request)  # SECCOMP_IOCTL_NOTIF_RECV
                        except OSError: continue
                        asked += 1
                        answer = struct.pack("QqiI", struct.unpack_from("Q", request)[0], 0, 0, 1)  # CONTINUE
                        try: fcntl.ioctl(fds[0], 0xc0182101, answer)  # SECCOMP_IOCTL_NOTIF_SEND
                        except OSError: continue
                    print(asked > 1)
                    """#)
                // With no_new_privs the filter is loaded late, yet while `create` is there to fetch the listener.
                try bundle.configure(
                    ["cat", "/proc/version"], process: #""noNewPrivileges":true,"#,
                    linux: #"""
                        "seccomp":{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"\#(bundle.directory)/agent.sock",
                          "syscalls":[{"names":["read","execve","openat"],"action":"SCMP_ACT_NOTIFY"}]},
                        """#)
                try bundle.oci("create", bundle.name, code: 0)
                try bundle.oci("start", bundle.name, code: 0)
                let told = try agent.wait(limit: .seconds(30))
                try bundle.require(told.text == "True", "\(told)")
                try bundle.await("it stops") { try bundle.status() == "stopped" }
                try bundle.oci("delete", bundle.name, code: 0)
                try bundle.configure(
                    ["true"],
                    linux: #"""
                        "seccomp":{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/a.sock",
                          "syscalls":[{"names":["write"],"action":"SCMP_ACT_NOTIFY"}]},
                        """#)
                let refused = try bundle.oci("run", bundle.name, code: 1)
                try bundle.require(refused.errors.contains("for the write syscall"), refused.errors)
            }
        }
    }
}
