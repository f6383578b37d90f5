// SPDX-License-Identifier: Apache-2.0
//
// A state directory and a context of their own for one test, programs really run by unshare and chroot, and image
// trees as text.

import Basics
import CLinux
import Glibc
import ImageBuild
import Images
import Kernel
import Testing

final class BuildSandbox {
    let path: String
    var root: String { "\(path)/state" }
    var context: String { "\(path)/context" }
    var store: ImageStore { ImageStore(root: root) }
    private(set) var events: [BuildEvent] = []

    /// The context in lines `path [mode] = text`, `path/ [mode]`, `path -> target`; `⏎` is a newline.
    init(_ context: String = "") throws {
        var template = Array("/tmp/covey-build-test-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        path = String(cName: template)
        try makeDirectory("\(path)/state")
        try makeDirectory("\(path)/context")
        try write(context)
    }

    deinit { try? removeTree(path) }

    func write(_ lines: String) throws {
        for line in lines.split(separator: "\n") {
            let parts = line.split(separator: " ", maxSplits: 1).map(String.init)
            let name = "\(context)/\(parts[0])"
            let rest = parts.count > 1 ? parts[1] : ""
            let slash = try #require(name.dropLast().lastIndex(of: "/"))
            try ensureDirectory(String(name[..<slash]))
            if name.hasSuffix("/") {
                try ensureDirectory(String(name.dropLast()))
                if let mode = UInt32(rest, radix: 8) { chmod(name, mode) }
            } else if rest.hasPrefix("-> ") {
                symlink(String(rest.dropFirst(3)), name)
            } else {
                let halves = rest.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                let text = halves.count > 1 ? String(halves[1].drop { $0 == " " }) : ""
                let content = text.split(separator: "⏎", omittingEmptySubsequences: false).joined(
                    separator: "\n")
                try writeFile(name, content.utf8)
                chmod(name, UInt32(halves[0].filter { $0 != " " }, radix: 8) ?? 0o644)
            }
        }
    }

    func build(
        _ dockerfile: String, tag: String = "test", into store: ImageStore? = nil,
        _ change: (inout BuildRequest) -> Void = { _ in }
    ) throws -> BuiltImage {
        var request = BuildRequest(context: context, dockerfile: Array(dockerfile.utf8))
        request.tags = [tag]
        request.namedContexts["host"] = .directory("/")
        change(&request)
        events = []
        return try ImageBuild.build(request, store: store ?? self.store, runner: .chroot) {
            self.events.append($0)
        }
    }

    /// `base`: a busybox with its links, and users.
    func makeBase() throws {
        _ = try build(
            """
            FROM scratch
            COPY --from=host /bin/busybox /bin/busybox
            RUN ["/bin/busybox", "--install", "-s", "/bin"]
            COPY <<passwd <<group /etc/
            root:x:0:0::/:/bin/sh
            me:x:1000:1001::/:/bin/sh
            passwd
            root:x:0:
            us:x:2000:
            group
            """, tag: "base")
    }

    /// Steps as `cached` or `done`, in order.
    var outcomes: [String] {
        var texts: [Int: String] = [:]
        var result: [String] = []
        for event in events {
            if case .began(let number, _, _, let text) = event { texts[number] = text }
            if case .ended(let number, let outcome) = event, let text = texts[number], !text.hasPrefix("FROM")
            {
                result.append(
                    (outcome == .cached ? "cached " : "done ") + (text.split(separator: " ").first ?? ""))
            }
        }
        return result
    }

    var output: [String] {
        events.compactMap { if case .output(_, let line) = $0 { line } else { nil } }
    }
    var warnings: [String] {
        events.compactMap { if case .warning(let warning) = $0 { warning.text } else { nil } }
    }

    func image(_ reference: String = "test") throws -> StoredImage { try store.resolve(reference) }

    /// Every path of an image, but for those below `/bin`, with type, mode, owner, and content or target.
    func tree(_ reference: String = "test") throws -> String {
        let image = try image(reference)
        var lines: [String] = []
        try list(try OverlayDirectory(layers: image.facts.layers), "", &lines)
        return lines.joined(separator: "\n")
    }

    private func list(_ directory: OverlayDirectory, _ path: String, _ lines: inout [String]) throws {
        for name in try directory.names() {
            let text = path + String(cName: name)
            guard let entry = try directory.entry(name) else { continue }
            switch entry {
            case .directory(let child):
                lines.append(describe("d", try fileStatus(of: child.layers[0].raw), text))
                if text != "bin" { try list(child, text + "/", &lines) }
            case .other(let status, let holder):
                if status.isSymlink {
                    let target = String(decoding: try linkTarget(name, at: holder.raw), as: UTF8.self)
                    lines.append("l \(status.st_uid):\(status.st_gid) \(text) -> \(target)")
                } else if status.isRegular {
                    let fd = try openFile(name, flags: O_RDONLY, at: holder.raw)
                    let content = String(decoding: try readAll(fd.raw), as: UTF8.self)
                    let shown =
                        content.utf8.count > 100
                        ? "\(content.utf8.count) bytes"
                        : content.split(separator: "\n", omittingEmptySubsequences: false).joined(
                            separator: "⏎")
                    let names = status.st_nlink > 1 ? " x\(status.st_nlink)" : ""
                    lines.append(describe("f", status, text) + names + (shown.isEmpty ? "" : " = \(shown)"))
                } else {
                    lines.append(describe(status.isCharacterDevice ? "c" : "?", status, text))
                }
            }
        }
    }

    private func describe(_ kind: String, _ status: stat, _ path: String) -> String {
        let mode = String(status.st_mode & 0o7777, radix: 8)
        return "\(kind) \(mode) \(status.st_uid):\(status.st_gid) \(path)"
    }

    /// Nothing but finished records: no upper, no work directory, no mount below the sandbox.
    func expectNothingLeft() throws {
        let work = "\(root)/buildcache/work"
        if exists(work) { #expect(try directoryEntries(work) == []) }
        #expect(!(try readText("/proc/self/mountinfo")).contains(path))
    }
}

extension StepRunner {
    /// Runs steps on the real kernel: namespaces by unshare(1), the root by mount(8) and chroot(1).
    static var chroot: StepRunner { meeting(at: nil) }

    /// The same, with a directory of the host at /meet.
    static func meeting(at directory: String?) -> StepRunner {
        StepRunner { (request: StepRequest) throws(Failure) -> StepEnd in
            let merged = request.upper + "-merged"
            try? ensureDirectory(merged)
            defer { try? removeDirectory(merged) }
            let mount =
                request.lowers.isEmpty
                ? "mount --bind \(request.upper) \(merged)"
                : "mount -t overlay overlay -o lowerdir=\(request.lowers.joined(separator: ":"))"
                    + ",upperdir=\(request.upper),workdir=\(request.work),redirect_dir=off,index=off,metacopy=off \(merged)"
            let user = request.user.isEmpty ? "" : "--userspec=\(request.user)"
            let script = """
                /usr/bin/\(mount) || exit 99
                mkdir -p "\(merged)\(request.workingDirectory)"
                \(directory.map { "mkdir -p \(merged)/meet && /usr/bin/mount --bind \($0) \(merged)/meet || exit 98" } ?? "")
                exec /usr/sbin/chroot \(user) \(merged) /bin/busybox sh -c 'cd "$0" && exec "$@"' "$@"
                """
            var arguments = ["/usr/bin/unshare", "--mount", "--pid", "--fork", "--ipc"]
            if request.network == .none { arguments.append("--net") }
            arguments += ["/bin/sh", "-c", script, "sh", request.workingDirectory] + request.arguments
            return StepEnd(code: spawn(arguments, request.environment, request.output))
        }
    }
}

/// Runs a program to its end and hands its output on.
@discardableResult
func spawn(
    _ arguments: [String], _ environment: [String] = [], _ output: (UnsafeRawBufferPointer) -> Void = { _ in }
)
    -> Int32
{
    var ends: [Int32] = [0, 0]
    guard pipe2(&ends, O_CLOEXEC) == 0 else { return -1 }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
    posix_spawn_file_actions_adddup2(&actions, ends[1], 2)
    posix_spawn_file_actions_addclose(&actions, ends[0])
    var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
    var values: [UnsafeMutablePointer<CChar>?] = environment.map { strdup($0) } + [nil]
    defer { for pointer in words + values { free(pointer) } }
    var pid: pid_t = 0
    let failed = posix_spawn(&pid, arguments[0], &actions, nil, &words, &values)
    close(ends[1])
    defer { close(ends[0]) }
    guard failed == 0 else { return 127 }
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
        let count = read(ends[0], &buffer, buffer.count)
        if count <= 0 { break }
        buffer.withUnsafeBytes { output(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
    }
    var status: Int32 = 0
    waitpid(pid, &status, 0)
    return status & 0x7f == 0 ? status >> 8 & 0xff : 128 + status & 0x7f
}

/// What a failing call said, without its place.
func failing(_ body: () throws -> Void) -> Failure? {
    do {
        try body()
        return nil
    } catch { return error as? Failure }
}

let isRoot = geteuid() == 0

func writeBytes(_ path: String, _ bytes: [UInt8]) throws { try writeFile(path, bytes) }
