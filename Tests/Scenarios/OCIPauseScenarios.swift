// SPDX-License-Identifier: Apache-2.0
//
// Pausing where it is not a running program that is paused, or where the kernel can't stop one.

import Glibc
import Kernel
import Testing

extension Scenarios {
    @Suite("OCI pauses")
    struct OCIPauses {
        @Test(
            "a created container that is paused is resumed before it is started; killed it ends all the same")
        func pausedEarly() throws {
            try Bundle.play { bundle in
                let id = bundle.name
                try bundle.configure(["sleep", "1000"])
                for isKilled in [false, true] {
                    try bundle.oci("create", id, code: 0)
                    try bundle.oci("pause", id, code: 0)
                    try bundle.require(try bundle.status() == "paused", "not paused")
                    let refused = try bundle.oci("start", id, code: 1)
                    try bundle.require(refused.errors.contains("paused"), "\(refused)")
                    if isKilled {
                        try bundle.oci("kill", id, "KILL", code: 0)
                        try bundle.await("it stops") { try bundle.status() == "stopped" }
                        try bundle.oci("delete", id, code: 0)
                    } else {
                        try bundle.oci("resume", id, code: 0)
                        try bundle.require(try bundle.status() == "created", "not created again")
                        try bundle.oci("start", id, code: 0)
                        try bundle.oci("delete", "--force", id, code: 0)
                    }
                }
            }
        }

        /// A call into a FUSE file system whose daemon has not even said hello waits where only SIGKILL ends it, and no freezer.
        @Test("a container the kernel can't stop is not paused: it runs on, and is paused once it can be")
        func unstoppable() throws {
            try Bundle.play { bundle in
                let (shared, silent) = ("\(bundle.directory)/shared", "\(bundle.directory)/shared/silent")
                try ensureDirectory(shared)
                try bundle.require(
                    mount("tmpfs", shared, "tmpfs", 0, nil) == 0
                        && mount(nil, shared, nil, UInt(MS_SHARED), nil) == 0, "errno \(errno)")
                defer { umount2(shared, Int32(MNT_DETACH)) }
                try ensureDirectory(silent)
                try bundle.configure(
                    [
                        "sh", "-c",
                        "while ! [ -e /tmp/go ]; do sleep 0.01; done; cat /mnt/silent/x; exec sleep 1000",
                    ],
                    mounts:
                        #",{"destination":"/mnt","type":"bind","source":"\#(shared)","options":["rbind","rslave"]}"#
                )
                try bundle.oci("run", "-d", bundle.name, code: 0)

                let device = try openFile("/dev/fuse", flags: O_RDWR)
                let options = "fd=\(device.raw),rootmode=40000,user_id=0,group_id=0"
                try bundle.require(
                    mount("silent", silent, "fuse", 0, options) == 0, "mount fuse: errno \(errno)")
                try writeFile("\(bundle.rootfs)/tmp/go", [])
                try bundle.await("it waits for the file system") {
                    let processes = try bundle.oci("ps", "--format", "json", bundle.name).text
                    return processes.split { !$0.isNumber }.contains {
                        contents("/proc/\($0)/stack").contains("fuse")
                    }
                }
                let refused = try bundle.oci("pause", bundle.name, code: 1)
                try bundle.require(refused.errors.contains("can't be stopped"), "\(refused)")
                try bundle.require(try bundle.status() == "running", "it is half paused")
                try bundle.oci("exec", bundle.name, "true", code: 0)

                // Without a daemon the call ends, with an error.
                umount2(silent, Int32(MNT_DETACH))
                close(device.release())
                try bundle.await("it is paused") { try bundle.oci("pause", bundle.name).code == 0 }
                try bundle.require(try bundle.status() == "paused", "not paused")
                try bundle.oci("resume", bundle.name, code: 0)
                try bundle.oci("delete", "--force", bundle.name, code: 0)
            }
        }
    }
}
