// SPDX-License-Identifier: Apache-2.0
//
// The host's git, for repositories that Dockerfiles and `build` name. It is the user's to install; without it those are
// refused. What it does is bounded here, as the repository is anybody's:
//
// - an environment of our own: no configuration but ours (GIT_CONFIG_NOSYSTEM, GIT_CONFIG_GLOBAL), no prompt, no
//   credential helper, no askpass; an SSH agent where the build was given one
// - transports: https, ssh, and plain ones to this machine; never `file` or `ext`, for submodules neither
//   (CVE-2022-39253, CVE-2018-17456; git(1), GIT_ALLOW_PROTOCOL)
// - no hooks and no templates (core.hooksPath, init.templateDir; CVE-2024-32002 ran one of a submodule's)
// - silence ends it: GIT_HTTP_LOW_SPEED_*, ssh's keep-alive
//
// Source: git(1) "ENVIRONMENT VARIABLES", git-config(1), git-fetch(1), git-ls-remote(1).

internal import Basics
internal import CLinux
internal import ImageBuild
internal import Kernel

struct GitProgram {
    private let program: String
    private let environment: [String: String]
    /// The agent's socket for ssh.
    private let agent: String?
    /// Seconds of silence.
    private let stall: Int64

    /// - environment: of the client; of it PATH, proxies and certificates count.
    init(environment: [String: String], agent: String?, doing: String) throws(Failure) {
        let path = environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin"
        let places = path.split(separator: ":").filter { $0.hasPrefix("/") }.map { "\($0)/git" }
        guard let found = places.first(where: { access($0, X_OK) == 0 }) else {
            throw Failure(
                doing, cause: "git is not installed here, and repositories are read through it",
                advice: "apt-get install git")
        }
        program = found
        self.agent = agent
        stall = environment["COVEY_STALL_SECONDS"].flatMap { Int64($0) } ?? 25
        var own: [String: String] = [
            "PATH": path, "LC_ALL": "C", "HOME": "/nonexistent",
            "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0", "GIT_LFS_SKIP_SMUDGE": "1", "GIT_PROTOCOL_FROM_USER": "0",
            "GIT_HTTP_LOW_SPEED_LIMIT": "1000", "GIT_HTTP_LOW_SPEED_TIME": "\(stall)",
            "GIT_SSH_COMMAND":
                "ssh -o BatchMode=yes -o ConnectTimeout=10 -o ServerAliveInterval=\(stall) -o ServerAliveCountMax=1",
        ]
        let passed = ["http_proxy", "https_proxy", "all_proxy", "no_proxy"]
        for name in passed + passed.map({ $0.uppercased() }) + ["SSL_CERT_FILE", "GIT_SSL_CAINFO"] {
            own[name] = environment[name]
        }
        if let agent { own["SSH_AUTH_SOCK"] = agent }
        self.environment = own
    }

    private func doing(_ reference: GitReference) -> String { "cannot read the repository \(reference.url)" }

    /// The commit that a revision stands for at the other end now.
    func commit(_ reference: GitReference) throws(Failure) -> String {
        if let commit = reference.commit { return commit }
        let doing = doing(reference)
        let name = reference.revision ?? "HEAD"
        let wanted = ["refs/heads/\(name)", "refs/tags/\(name)^{}", "refs/tags/\(name)", name]
        // A tag's `^{}` is asked for by a pattern, which git takes as a glob: a name has none (GitReference).
        let text = try run(
            ["ls-remote", "--", reference.url] + ["refs/heads/\(name)", "refs/tags/\(name)*", name],
            in: "/", reference, doing)
        var found: [String: String] = [:]
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: "\t", maxSplits: 1).map(String.init)
            if parts.count == 2, GitProgram.isCommit(parts[0]) { found[parts[1]] = parts[0] }
        }
        // Branches go before tags, as for `git checkout`.
        for each in wanted { if let commit = found[each] { return commit } }
        throw Failure(
            doing, cause: "it has no branch or tag \"\(name)\"",
            advice: "name a branch, a tag, or a whole commit id")
    }

    /// Puts a commit's files, submodules included, into an empty directory.
    func checkOut(_ reference: GitReference, _ commit: String, into directory: String, keepsGit: Bool)
        throws(Failure)
    {
        let doing = doing(reference)
        func git(_ arguments: [String]) throws(Failure) -> String {
            try run(arguments, in: directory, reference, doing)
        }
        let format = commit.utf8.count == 64 ? ["--object-format=sha256"] : []
        _ = try git(["init", "-q"] + format + ["."])
        _ = try git(["remote", "add", "origin", reference.url])
        do throws(Failure) {
            _ = try git(["fetch", "-q", "--depth=1", "--no-tags", "origin", commit])
        } catch {
            // Servers need not give a commit that no name stands for, nor a shallow one.
            _ = try git([
                "fetch", "-q", "--no-tags", "origin", "+refs/heads/*:refs/remotes/origin/*",
                "+refs/tags/*:refs/tags/*",
            ])
        }
        _ = try git(["checkout", "-q", "--detach", commit])
        let head = try git(["rev-parse", "--verify", "HEAD"]).filter { !$0.isWhitespace }
        guard head == commit else { throw Failure(doing, cause: "commit \(commit) came as \(head)") }
        let hasModules = exists("\(directory)/.gitmodules")
        if hasModules { _ = try git(["submodule", "update", "-q", "--init", "--recursive", "--depth=1"]) }
        if keepsGit { return }
        do throws(SyscallError) {
            try removeTree("\(directory)/.git")
            if hasModules {
                let top = try openFile(directory, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
                try GitProgram.removeLinks(in: top.raw)
            }
        } catch {
            throw Failure(doing, error)
        }
    }

    /// A submodule has a file `.git`; no commit can hold one.
    private static func removeLinks(in directory: Int32) throws(SyscallError) {
        for name in try entryNames(of: directory) {
            guard let status = try status(of: name, at: directory) else { continue }
            if String(cName: name) == ".git", status.isRegular {
                try retrying("unlinkat", ".git") { unlinkat(directory, name, 0) }
            } else if status.isDirectory {
                let child = try openFile(name, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: directory)
                try removeLinks(in: child.raw)
            }
        }
    }

    private static func isCommit(_ text: String) -> Bool {
        [40, 64].contains(text.utf8.count)
            && text.utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
    }

    // MARK: Running it

    private static let settings = [
        "core.hooksPath=/dev/null", "init.templateDir=", "init.defaultBranch=main", "core.fsmonitor=false",
        "core.askPass=", "credential.helper=", "advice.detachedHead=false", "core.autocrlf=false",
        "protocol.version=2", "gc.auto=0",
    ]

    private func run(_ arguments: [String], in directory: String, _ reference: GitReference, _ doing: String)
        throws(Failure) -> String
    {
        guard !reference.isPlain || reference.isLoopback else {
            throw Failure(
                doing, cause: "its URL is neither encrypted nor authenticated",
                advice: "use https:// or ssh://")
        }
        var environment = environment
        environment["GIT_ALLOW_PROTOCOL"] = reference.isLoopback ? "https:ssh:http:git" : "https:ssh"
        let words =
            [program] + GitProgram.settings.flatMap { ["-c", $0] } + arguments
        var output: [UInt8] = []
        var errors = ""
        let code: Int
        do throws(SyscallError) {
            let pipe = try makePipe()
            let null = try openFile("/dev/null")
            let told = SharedFD(try memoryFile("git"))
            let pid = try spawnProgram(
                program, words,
                environment: environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" },
                directory: directory, streams: (null.raw, pipe.second.raw, told.raw))
            let reader = SharedFD(try pipe.first.duplicate())
            // Git alone holds the other end now.
            _ = consume pipe
            var buffer = [UInt8](repeating: 0, count: 65536)
            while true {
                let count = try retrying("read") {
                    buffer.withUnsafeMutableBytes { read(reader.raw, $0.baseAddress, $0.count) }
                }
                if count == 0 { break }
                // No answer we ask for is longer; the rest is read for git's sake.
                if output.count < 8 << 20 { output += buffer[..<count] }
            }
            code = try waitForProgram(pid)
            try retrying("lseek") { lseek(told.raw, 0, SEEK_SET) }
            errors = String(decoding: try readAll(told.raw), as: UTF8.self)
        } catch {
            throw Failure(doing, error)
        }
        guard code == 0 else { throw failure(arguments, errors, code, doing) }
        return String(decoding: output, as: UTF8.self)
    }

    private func failure(_ arguments: [String], _ errors: String, _ code: Int, _ doing: String) -> Failure {
        let lines = errors.split(whereSeparator: \.isNewline).map(String.init)
        let said = lines.first { $0.hasPrefix("fatal:") } ?? lines.last ?? "it said nothing"
        var advice: String?
        if errors.contains("could not read Username") || errors.contains("Permission denied") {
            advice = "no credential is sent: use ssh with an agent (--ssh default), or a public repository"
        } else if errors.contains("transport '") && errors.contains("not allowed") {
            advice = "repositories and their submodules come by https or ssh"
        }
        return Failure(
            doing, cause: "git \(arguments.first ?? "") ended with \(code): \(said)", advice: advice)
    }
}
