// SPDX-License-Identifier: Apache-2.0
//
// Host: what a scenario needs of the machine, and whether it is there. A skip is loud; with CI=true it is a failure.

import Glibc
import Kernel
import Testing

enum Host {
    /// The repository, from the place this file was compiled at.
    static let repository = #filePath.split(separator: "/").dropLast(4).reduce(into: "") { $0 += "/\($1)" }

    /// The binary under test: $COVEY, else the release build unless a source is newer, else the debug build.
    static let covey: String? = {
        if let path = variable("COVEY") { return path }
        let release = "\(repository)/.build/release/covey"
        let debug = "\(repository)/.build/debug/covey"
        let newest = tree("\(repository)/Sources").map(modified).max() ?? 0
        if access(release, X_OK) == 0, modified(release) >= newest { return release }
        return access(debug, X_OK) == 0 ? debug : nil
    }()

    static let inCI = variable("CI").map { $0 == "true" || $0 == "1" } ?? false

    /// What keeps scenarios from running here, in words; empty when nothing does.
    static let lacks: [String] = {
        var lacks: [String] = []
        if covey == nil { lacks.append("the built binary: swift build -c release --static-swift-stdlib") }
        if getuid() != 0 {
            lacks.append("root")
        } else if (try? run(["unshare", "--net", "--mount", "true"]))?.succeeded != true {
            lacks.append("CAP_SYS_ADMIN")
        }
        for tool in ["ip", "nft", "nsenter", "busybox", "script", "cc"] where which(tool) == nil {
            lacks.append("the program \(tool)")
        }
        if let busybox = which("busybox"), !contentsStartStatic(busybox) { lacks.append("a static busybox") }
        return lacks
    }()

    /// Scenarios run; in CI they run in any case, so that what is missing fails.
    static let isReady = lacks.isEmpty || inCI

    static func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    static func which(_ name: String) -> String? {
        ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
            .map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 }
    }

    /// Runs a program of the host to its end.
    @discardableResult
    static func run(_ command: [String]) throws -> Outcome {
        try RunningProgram(command, environment: ["PATH=\(path)"], directory: "/", scratch: "/tmp").wait()
    }

    static let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    /// A root file system with a static busybox and every applet, made once for a test run.
    static let rootfs = Result<String, any Error>(catching: {
        var template = Array("/tmp/covey-scenario-rootfs.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw ScenarioError("mkdtemp") }
        let root = String(decoding: template.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        chmod(root, 0o755)
        for name in ["bin", "etc", "proc", "sys", "dev", "data", "root", "home"] {
            try ensureDirectory("\(root)/\(name)")
        }
        try ensureDirectory("\(root)/tmp")
        chmod("\(root)/tmp", 0o1777)
        guard let busybox = which("busybox") else { throw ScenarioError("no busybox") }
        try writeFile("\(root)/bin/busybox", try readFile(busybox), mode: 0o755)
        for applet in try run([busybox, "--list"]).lines where applet != "busybox" {
            symlink("busybox", "\(root)/bin/\(applet)")
        }
        for program in ["echod", "attacker"] {
            let source = "\(repository)/Tests/Scenarios/projects/\(program).c"
            try run(["cc", "-static", "-O1", "-o", "\(root)/bin/\(program)", source]).orThrow()
        }
        try writeFile(
            "\(root)/etc/passwd",
            Array("root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home:/bin/sh\n".utf8))
        try writeFile("\(root)/etc/group", Array("root:x:0:\napp:x:1000:\nextra:x:2000:app\n".utf8))
        try writeFile("\(root)/data/seed", Array("from the image\n".utf8))
        atexit { try? removeTree(Host.rootfsPath) }
        return root
    })

    static var rootfsPath: String { (try? rootfs.get()) ?? "/nonexistent" }

    private static func modified(_ path: String) -> Int {
        (try? fileStatus(path, follow: true)).map { $0.st_mtim.tv_sec } ?? 0
    }

    /// A program without an interpreter (elf(5), PT_INTERP) needs no library in the container.
    private static func contentsStartStatic(_ path: String) -> Bool {
        guard let bytes = try? readFile(path) else { return false }
        return bytes.prefix(4096).firstRange(of: Array("/lib64/ld-linux".utf8)) == nil
            && bytes.prefix(4096).firstRange(of: Array("/lib/ld-linux".utf8)) == nil
    }
}

/// A line on standard error, for the person who watches.
func say(_ line: String) { try? writeAll(2, Array("\(line)\n".utf8)) }

@Suite("the host of the scenarios")
struct HostTests {
    @Test("this host can run the scenarios; in CI it must")
    func ready() {
        guard !Host.lacks.isEmpty else { return }
        let message = "scenarios need \(Host.lacks.joined(separator: ", "))"
        if Host.inCI {
            Issue.record("\(message)")
        } else {
            say("\n*** SKIPPED: ALL SCENARIOS: \(message) ***\n")
        }
    }
}
