// SPDX-License-Identifier: Apache-2.0
//
// `develop.watch`: files of the host that change are followed into the containers.

import Glibc
import Kernel
import Testing

extension Scenarios {
    @Suite("watch")
    struct Watch {
        @Test(
            "files are synchronized at first and when they change, are made or removed; ignored ones are not")
        func synchronized() throws {
            try Stage.play("watch") { stage in
                let watch = try stage.start(["watch", "app"])
                func has(_ path: String, _ text: String) throws -> Bool {
                    try stage.execSucceeds("app", "test \"$(cat \(path))\" = '\(text)'")
                }
                try stage.eventually("the first synchronization") { try has("/srv/app/sub/two.txt", "two") }
                try stage.require(
                    try !stage.execSucceeds("app", "test -e /srv/app/old.log"), "ignored at first")
                let pid = try stage.container("app").Pid
                // What is ignored may be written without a pause, to the end of this test.
                try stage.serve(["sh", "-c", "while :; do echo noise >>src/noise.log; sleep 0.02; done"])
                try stage.write("src/one.txt", "changed\n")
                try stage.eventually("a changed file") { try has("/srv/app/one.txt", "changed") }
                try ensureDirectory("\(stage.files)/src/new/deep")
                try stage.write("src/new/deep/file", "made\n")
                try stage.write("src/other.log", "ignored\n")
                try stage.eventually("a new file") { try has("/srv/app/new/deep/file", "made") }
                try stage.require(try !stage.execSucceeds("app", "test -e /srv/app/other.log"), "ignored")
                try removeTree("\(stage.files)/src/sub")
                try stage.eventually("a removed directory") {
                    try !stage.execSucceeds("app", "test -e /srv/app/sub")
                }
                try stage.write("src/app.conf", "set\n")
                try stage.eventually("the command of sync+exec") { try has("/tmp/reloads", "reloaded") }
                try stage.require(try stage.container("app").Pid == pid, "it was restarted")
                try stage.write("restart.txt", "second\n")
                try stage.eventually("sync+restart") {
                    try stage.container("app").Pid != pid && has("/srv/restart.txt", "second")
                }
                // The restart is over when something after it is done: a signal would cut it short.
                try stage.write("src/one.txt", "last\n")
                try stage.eventually("a file after it") { try has("/srv/app/one.txt", "last") }
                watch.signal(SIGINT)
                try stage.require(try watch.wait().code == 0, "the watch's end")
            }
        }

        @Test("rebuild makes a new image and a new container; what .dockerignore names changes nothing")
        func rebuilt() throws {
            try Stage.play("watch") { stage in
                let up = try stage.start(["up", "--watch", "web"])
                try stage.eventually("it is up") { try stage.execSucceeds("web", "grep -q 1 /page") }
                try stage.eventually("it watches") { up.soFar.errors.contains("watching web") }
                let pid = try stage.container("web").Pid
                try stage.write("web/notes", "nothing\n")
                try stage.write("web/page", "version 2\n")
                try stage.eventually("the new page") { try stage.execSucceeds("web", "grep -q 2 /page") }
                try stage.require(try stage.container("web").Pid != pid, "the same container")
                up.signal(SIGINT)
                try stage.require(try up.wait().code == 130, "up's end")
            }
        }

        @Test("a rebuild's old image goes unless --prune=false; --quiet hides what build steps write")
        func pruned() throws {
            try Stage.play("watch") { stage in
                try stage.write(
                    "web/Dockerfile",
                    "FROM bb:1\nCOPY page /page\nRUN echo he''ard\nCMD [\"sleep\", \"1000\"]\n")
                for (number, flags, stays, isHeard) in [
                    (2, ["--prune=false"], true, true), (3, ["--quiet"], false, false),
                ] {
                    let watch = try stage.start(["watch"] + flags + ["web"])
                    try stage.eventually("it watches") { watch.soFar.errors.contains("watching web") }
                    let old = try stage.covey("images", "-q", "web").text.split(separator: ":").last ?? ""
                    let blob = "\(stage.directory)/root/images/blobs/sha256/\(old)"
                    try stage.require(exists(blob), "no image \(old)")
                    try stage.write("web/page", "version \(number)\n")
                    try stage.eventually("the new page") {
                        try stage.execSucceeds("web", "grep -q \(number) /page")
                    }
                    // A signal would cut it short.
                    try stage.eventually("the rebuild's end") { !watch.isRebuilding }
                    watch.signal(SIGINT)
                    let outcome = try watch.wait()
                    try stage.require(outcome.code == 0, "the watch's end: \(outcome)")
                    try stage.require(exists(blob) == stays, "\(flags): the old image")
                    try stage.require(outcome.errors.contains(" heard") == isHeard, "\(flags): \(outcome)")
                }
            }
        }

        @Test("links of the container lead nowhere out of it")
        func contained() throws {
            try Stage.play("watch") { stage in
                try stage.covey("up", "-d", "app")
                try stage.covey(
                    "exec", "-T", "-u", "0", "app", "sh", "-c",
                    "mkdir /srv && ln -s ../../../../../../etc /srv/app")
                let watch = try stage.start(["watch", "--no-up", "app"])
                try stage.eventually("the link is followed inside") {
                    try stage.execSucceeds("app", "test -e /etc/one.txt && test -e /etc/sub/two.txt")
                }
                try stage.require(!exists("/etc/one.txt") && !exists("/etc/sub"), "written outside")
                watch.signal(SIGINT)
                try stage.require(try watch.wait().code == 0, "the watch's end")
            }
        }

        @Test("what can't be watched is refused by name")
        func refused() throws {
            try Stage.play("watch") { stage in
                let nothing = try stage.covey("watch", "plain", code: 1)
                try stage.require(nothing.errors.contains("there is nothing to watch"), "\(nothing)")
                let unbuilt = try stage.covey("watch", "--no-up", "unbuilt", code: 1)
                try stage.require(unbuilt.errors.contains("it has no `build`"), "\(unbuilt)")
                let detached = try stage.covey("up", "-d", "--watch", "plain", code: 1)
                try stage.require(detached.errors.contains("cannot watch in the background"), "\(detached)")
            }
        }
    }
}

extension RunningProgram {
    /// It has a child that is what itself is.
    fileprivate var isRebuilding: Bool {
        let own = contents("/proc/\(pid)/cmdline")
        return ((try? directoryEntries("/proc")) ?? []).compactMap { pid_t($0) }.contains { other in
            let fields = statFields(other)  // the second is the parent
            return fields.count > 1 && fields[1] == "\(pid)" && contents("/proc/\(other)/cmdline") == own
        }
    }
}
