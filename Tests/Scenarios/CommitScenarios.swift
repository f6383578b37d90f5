// SPDX-License-Identifier: Apache-2.0
//
// `commit` beside others who want the container to stand still: another `commit`, and the user's own `pause`.

import Glibc
import Kernel
import Testing

extension Scenarios {
    @Suite("commit")
    struct Commits {
        @Test(
            "a container stands still until the last of its commits has read it, and a pause outlives them all"
        )
        func holders() throws {
            try Stage.play("one") { stage in
                try stage.write(
                    "compose.yaml",
                    "services: {a: {image: bb:1, command: [sleep, '1000'], init: true}}\n")
                try stage.covey("up", "-d")
                try stage.exec("a", "echo kept >/file")
                let images = "\(stage.directory)/root/images"
                let upper = tree("\(stage.directory)/root/projects").first { $0.hasSuffix("/upper/file") }
                func state() throws -> String { try stage.container("a").State }
                /// The layer goes into a file without a name (open(2), O_TMPFILE), which procfs calls `#INODE`.
                func isWriting(_ pid: pid_t) -> Bool {
                    links("/proc/\(pid)/fd").contains { $0.hasPrefix("\(images)/#") }
                }

                // A commit that waits with the container held: the file's lease is ours (fcntl(2), F_SETLEASE), and who
                // opens it waits until we give it back. The signal that asks for it would end us.
                signal(SIGIO, SIG_IGN)
                var lease: SharedFD? = SharedFD(try openFile(upper ?? "", flags: O_RDWR))
                let raw = lease?.raw ?? -1
                try stage.require(
                    fcntl(raw, 1024 /* F_SETLEASE */, Int32(F_WRLCK)) == 0, "no lease: \(errno)")
                let commits = try ["first:1", "second:1"].map { name in
                    let commit = try stage.start(["commit", "a", name])
                    try stage.eventually("\(name) holds the container") {
                        isWriting(commit.pid)
                    }
                    return commit
                }
                try stage.require(try state() == "paused", "it does not stand still")
                let refused = try stage.attempt("exec", "-T", "a", "true")
                try stage.require(refused.errors.contains("once `covey commit` has read"), "\(refused)")

                // The first ends, and the second does not yet.
                commits[1].signal(SIGSTOP)
                lease = nil
                try commits[0].wait(limit: .seconds(20)).orThrow()
                try stage.require(try state() == "paused", "thawed beneath the second commit")
                try stage.covey("pause", "a")
                commits[1].signal(SIGCONT)
                try commits[1].wait(limit: .seconds(20)).orThrow()
                try stage.require(try state() == "paused", "the end of a commit undid the pause")
                try stage.covey("commit", "a", "third:1")
                try stage.require(try state() == "paused", "a commit of a paused container woke it")
                try stage.covey("unpause", "a")
                try stage.require(try state() == "running", "unpause did nothing")
                try stage.require(try stage.exec("a", "cat /file") == "kept", "the file")
                // One that is killed holds nothing.
                lease = SharedFD(try openFile(upper ?? "", flags: O_RDWR))
                let again = lease?.raw ?? -1
                try stage.require(fcntl(again, 1024, Int32(F_WRLCK)) == 0, "no lease: \(errno)")
                let killed = try stage.start(["commit", "a", "fourth:1"])
                try stage.eventually("it holds the container") {
                    isWriting(killed.pid)
                }
                killed.signal(SIGKILL)
                lease = nil
                _ = try killed.wait(limit: .seconds(20))
                try stage.eventually("its container goes on") { try state() == "running" }

                // What ends in the middle of a large file leaves none of it.
                try stage.exec("a", "dd if=/dev/zero of=/large bs=1M count=0 seek=1000000")
                let before = tree(images)
                let commit = try stage.start(["commit", "a", "fifth:1"])
                try stage.eventually("the commit writes") { isWriting(commit.pid) }
                let exports = try (0..<2).map { _ in try stage.start(["export", "-o", "all.tar", "a"]) }
                try stage.eventually("the exports write") {
                    exports.allSatisfy { export in
                        links("/proc/\(export.pid)/fd").contains { $0.hasPrefix("\(stage.files)/") }
                    }
                }
                for (program, signal) in [(commit, SIGINT), (exports[0], SIGINT), (exports[1], SIGKILL)] {
                    program.signal(signal)
                    let code = try program.wait(limit: .seconds(20)).code
                    try stage.require(code == 128 + signal, "\(code), not as by signal \(signal)")
                }
                try stage.require(
                    tree(images) == before, "left: \(tree(images).filter { !before.contains($0) })")
                let left = try directoryEntries(stage.files).filter { $0.contains(".tar") }
                try stage.require(left.isEmpty, "left: \(left)")
                try stage.exec("a", "rm /large")
            }
        }
    }
}

/// What the links of a directory lead to.
private func links(_ directory: String) -> [String] {
    guard let top = try? openFile(directory, flags: O_RDONLY | O_DIRECTORY) else { return [] }
    return ((try? directoryEntries(directory)) ?? []).compactMap { name in
        (try? linkTarget(name.cName, at: top.raw)).map { String(decoding: $0, as: UTF8.self) }
    }
}
