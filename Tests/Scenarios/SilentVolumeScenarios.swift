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
                    for device in ["\(silent)/data", silent] {
                        let variables = ["SILENT=\(device)", "PATIENCE=1"]
                        let up = try stage.covey("up", "-d", code: 1, variables: variables)
                        for part in [
                            "cannot mount volume \"", "cause: \(device) did not answer within 1s",
                            "x-systemd.mount-timeout=",
                        ] {
                            try stage.require(up.errors.contains(part), "\(up)")
                        }
                        try stage.served()
                        try stage.covey("down", "-v", "--timeout", "1", variables: variables)
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
