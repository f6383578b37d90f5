// SPDX-License-Identifier: Apache-2.0
//
// Bundle: a directory with a root file system and a config.json, and the binary called as an OCI runtime on it. Like a
// Stage it leaves nothing: after the scenario no container, no cgroup of it and no mount may be there.

import Glibc
import Kernel

final class Bundle {
    let directory: String
    let name: String
    var rootfs: String { "\(directory)/rootfs" }
    var state: String { "\(directory)/state" }
    var runtime: String { "\(directory)/covey-oci" }

    static func play(_ steps: (Bundle) throws -> Void) throws {
        let bundle = try Bundle()
        var failure: (any Error)?
        do { try steps(bundle) } catch { failure = error }
        for id in (try? directoryEntries(bundle.state)) ?? [] {
            _ = try? bundle.oci("delete", "--force", id)
        }
        let left = try Host.run(["find", "/sys/fs/cgroup", "-name", "\(bundle.name)*"]).lines
        let mounts = contents("/proc/self/mountinfo").split(separator: "\n").filter {
            $0.contains(bundle.directory)
        }
        try removeTree(bundle.directory)
        if let failure { throw failure }
        guard left.isEmpty, mounts.isEmpty else {
            throw ScenarioError("left behind: \(left) \(mounts)")
        }
    }

    private init() throws {
        var template = Array("/var/tmp/covey-bundle.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw ScenarioError("mkdtemp: errno \(errno)") }
        directory = String(decoding: template.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        name = "oci-\(directory.suffix(6).lowercased())"
        try ensureDirectory("\(directory)/scratch")
        try Host.run(["cp", "-a", try Host.rootfs.get(), rootfs]).orThrow()
        try Host.run(["ln", "-s", Host.covey ?? "covey", runtime]).orThrow()
    }

    /// Writes config.json. The texts are members of the objects they are named after, each ending with a comma.
    func configure(
        _ arguments: [String], process: String = "", linux: String = "", mounts: String = "",
        more: String = "",
        namespaces: [String] = ["pid", "network", "ipc", "uts", "mount"], extraNamespaces: String = "",
        environment: [String] = ["PATH=/bin"], cgroup: String? = nil, ownDevices: Bool = true
    ) throws {
        func list(_ items: [String]) -> String { items.map { "\"\($0)\"" }.joined(separator: ",") }
        let types =
            (namespaces.map { #"{"type":"\#($0)"}"# } + (extraNamespaces.isEmpty ? [] : [extraNamespaces]))
            .joined(separator: ",")
        let capabilities = ["bounding", "effective", "permitted"].map {
            "\"\($0)\":[\"CAP_CHOWN\",\"CAP_DAC_OVERRIDE\",\"CAP_KILL\",\"CAP_SETUID\",\"CAP_SETGID\",\"CAP_SYS_ADMIN\"]"
        }.joined(separator: ",")
        let tmpfs =
            #"{"destination":"/dev","type":"tmpfs","source":"tmpfs","options":["nosuid","mode=755"]},"#
        let text = """
            {"ociVersion":"1.2.0",\(more)"root":{"path":"rootfs"},"hostname":"bundle",
            "process":{\(process.contains("\"capabilities\"") ? "" : "\"capabilities\":{\(capabilities)},")\(process)
              "cwd":"/","args":[\(list(arguments))],"env":[\(list(environment))]},
            "mounts":[{"destination":"/proc","type":"proc","source":"proc"},
              \(ownDevices ? tmpfs : "")
              {"destination":"/dev/pts","type":"devpts","source":"devpts","options":["newinstance","ptmxmode=0666"]}\(mounts)],
            "linux":{\(linux)"cgroupsPath":"\(cgroup ?? "/\(name)")","namespaces":[\(types)]}}
            """
        try writeFile("\(directory)/config.json", Array(text.utf8))
    }

    @discardableResult
    func oci(_ arguments: String..., code: Int32? = nil, directory: String? = nil, variables: [String] = [])
        throws -> Outcome
    {
        try oci(arguments, code: code, directory: directory, variables: variables)
    }

    @discardableResult
    func oci(_ arguments: [String], code: Int32? = nil, directory: String? = nil, variables: [String] = [])
        throws -> Outcome
    {
        let outcome = try RunningProgram(
            [runtime, "--root", state] + arguments, environment: ["PATH=\(Host.path)"] + variables,
            directory: directory ?? self.directory, scratch: "\(self.directory)/scratch"
        ).wait(limit: .seconds(30))
        if let code, outcome.code != code { throw ScenarioError("expected exit \(code):\n\(outcome)") }
        return outcome
    }

    /// Configures, runs and gives the output.
    func run(_ line: String) throws -> String {
        try configure(["sh", "-c", line])
        return try oci("run", name, code: 0).text
    }

    func status(_ id: String? = nil) throws -> String {
        let text = try oci("state", id ?? name, code: 0).output
        return text.split(separator: "\n").first { $0.contains("\"status\"") }?
            .split(separator: "\"").dropFirst(3).first.map(String.init) ?? text
    }

    func require(_ condition: Bool, _ what: @autoclosure () throws -> String) throws {
        if !condition { throw ScenarioError(try what()) }
    }
}

/// Puts the loader and the libraries of a program of the host's below `root`, where it would look for them.
func takeLibraries(of program: String, into root: String) throws {
    let listed = try Host.run(["ldd", program])
    try listed.orThrow()
    let paths = listed.text.split(whereSeparator: \.isWhitespace).filter { $0.hasPrefix("/") }.map(
        String.init)
    try ensureDirectory(root)
    try Host.run(["cp", "-L", "--parents"] + paths + [root]).orThrow()
}
