// SPDX-License-Identifier: Apache-2.0
//
// Volumes whose file system never answers: a FUSE one whose daemon reads nothing of what it is asked.

import Glibc
import Kernel
import Testing

extension Scenarios {
    @Suite struct SilentVolumes {
        @Test("a volume that does not answer holds up who wants it, not the project, and leaves nothing")
        func answers() throws {
            try Stage.play("silent-volume") { stage in
                try stage.withSilentFileSystem { silent in
                    let variables = ["SILENT=\(silent)/data"]
                    try stage.covey("up", "-d", "well", variables: variables)
                    let ended = try stage.start(["up", "-d"], variables: variables)
                    try stage.eventually("one mount waits for both") { stage.mountsInWork == 1 }
                    try stage.served()

                    // One of the two is stopped: the other still wants it. The last takes the child along.
                    let stopped = try stage.start(["stop", "waits", "too"])
                    try stage.require(try stopped.wait().code == 0, "stopped")
                    let outcome = try ended.wait()
                    try stage.require(
                        outcome.code == 1 && outcome.errors.contains("cannot mount volume")
                            && outcome.errors.contains("meanwhile"), "\(outcome)")
                    try stage.require(stage.mountsInWork == 0, "its child is left")

                    // The controller is killed in the middle of it.
                    let again = try stage.start(["up", "-d", "waits"], variables: variables)
                    try stage.eventually("the mount waits again") { stage.mountsInWork == 1 }
                    kill(stage.engine()[1], SIGKILL)
                    try stage.eventually("another controller answers") {
                        try stage.attempt("ps").succeeded
                    }
                    try stage.served()
                    try stage.covey("down", "--timeout", "1", variables: variables, limit: .seconds(20))
                    try stage.require(try again.wait().code == 1, "its client was told")
                    try stage.require(stage.engine().isEmpty, "a process is left")
                }
            }
        }

        @Test("what does not answer in time is told, and so is one that is mounted and can't be filled")
        func patience() throws {
            try Stage.play("silent-volume") { stage in
                try stage.withSilentFileSystem { silent in
                    // Its root is there without a question; what is in it is not.
                    for (device, doing, told) in [
                        ("\(silent)/data", "cannot mount volume", "did not answer within"),
                        (silent, "cannot fill volume", "stood still for"),
                    ] {
                        // A longer time, as it is advised, is a change that the volume takes.
                        for (patience, text) in [("300ms", "300ms"), ("0.5s", "500ms")] {
                            let variables = ["SILENT=\(device)", "PATIENCE=\(patience)"]
                            let up = try stage.covey("up", "-d", code: 1, variables: variables)
                            for part in [
                                "\(doing) \"", "cause: \(device) \(told) \(text)", "x-systemd.mount-timeout=",
                            ] {
                                try stage.require(up.errors.contains(part), "\(up)")
                            }
                        }
                        try stage.served()
                        try stage.covey("down", "-v", "--timeout", "1", variables: ["SILENT=\(device)"])
                        let left = contents("/proc/self/mountinfo")
                        try stage.require(!left.contains("\(stage.directory)/root/volumes"), left)
                    }
                    let wrong = try stage.covey(
                        "up", "-d", "waits", code: 1, variables: ["SILENT=\(silent)", "PATIENCE=soon"])
                    try stage.require(
                        wrong.errors.contains("`x-systemd.mount-timeout=soon` is no time"), "\(wrong)")
                }
            }
        }

        @Test("kill ends a container that waits for its volume; a signal that ends nothing is refused")
        func killed() throws {
            try Stage.play("silent-volume") { stage in
                try stage.withSilentFileSystem { silent in
                    let variables = ["SILENT=\(silent)/data", "PATIENCE=9999999999"]
                    try stage.covey("up", "-d", "well", variables: variables)
                    let up = try stage.start(["up", "-d", "waits"], variables: variables)
                    try stage.eventually("it waits") { stage.mountsInWork == 1 }
                    let refused = try stage.covey("kill", "-s", "HUP", "waits", code: 1, variables: variables)
                    try stage.require(refused.errors.contains("its program does not run yet"), "\(refused)")
                    try stage.require(stage.mountsInWork == 1, "it was ended")
                    try stage.covey("kill", "waits", variables: variables)
                    let ended = try up.wait()
                    try stage.require(
                        ended.code == 1 && ended.errors.contains("killed meanwhile"), "\(ended)")
                    try stage.require(stage.mountsInWork == 0, "its child is left")
                    try stage.served()
                    try stage.covey("down", "-v", "--timeout", "1", variables: variables)
                }
            }
        }

        @Test("a volume of ours that another project is filling is waited for by a child")
        func others() throws {
            try Stage.play("silent-volume") { stage in
                try stage.covey("up", "-d", "well")
                let volume = "\(stage.directory)/root/volumes/\(stage.project)_own"
                try ensureDirectory(volume)
                let held = try FileLock(directory: volume)
                let up = try stage.start(["up", "-d", "plain"])
                try stage.eventually("it waits") { stage.mountsInWork == 1 }
                try stage.served()
                _ = consume held
                try stage.require(try up.wait().code == 0, "it was filled")
                try stage.require(try stage.exec("plain", "ls /data") == "seed", "by the image")
                try stage.covey("down", "-v", "--timeout", "1")
            }
        }

        @Test("a policy counts the starts that fail for want of a volume")
        func lost() throws {
            try Stage.play("silent-volume") { stage in
                let device = "\(stage.files)/data"
                try ensureDirectory(device)
                try stage.covey("up", "-d", "again")
                guard let program = try stage.container("again").Pid else {
                    throw ScenarioError("it does not run")
                }
                let mounted = "\(stage.directory)/root/volumes/\(stage.project)_silent/data"
                try stage.require(umount2(mounted, Int32(MNT_DETACH)) == 0, "it was mounted")
                try removeTree(device)
                kill(pid_t(program), SIGKILL)
                try stage.eventually("it was tried as often as it may be") {
                    let log = contents("\(stage.directory)/run/\(stage.project)/engine.log")
                    return try stage.container("again").State == "exited"
                        && log.split(separator: "\n").filter { $0.contains("is not there (ENOENT)") }.count
                            == 2
                }
                try stage.covey("down", "-v", "--timeout", "1")
            }
        }
    }
}

extension Stage {
    /// Children of the controller: each mounts a volume. Keeper and controller are the other two.
    fileprivate var mountsInWork: Int { max(0, engine().count - 2) }

    /// The controller has time for others.
    fileprivate func served() throws {
        try require(try exec("well", "echo served") == "served", "a container that has nothing to do with it")
        try require(try container("well").State == "running", "its state")
    }

    /// A FUSE file system whose daemon never reads what it is asked.
    fileprivate func withSilentFileSystem(_ body: (_ path: String) throws -> Void) throws {
        let path = "\(files)/silent"
        try ensureDirectory(path)
        let device = try openFile("/dev/fuse", flags: O_RDWR)
        let options = "fd=\(device.raw),rootmode=40000,user_id=0,group_id=0"
        guard mount("silent", path, "fuse", 0, options) == 0 else {
            throw ScenarioError("mount fuse: \(String(cString: strerror(errno)))")
        }
        defer { umount2(path, Int32(MNT_DETACH)) }
        try body(path)
    }
}
