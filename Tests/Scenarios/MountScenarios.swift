// SPDX-License-Identifier: Apache-2.0
//
// Mounts of a particular kind: other containers', images', and binds that share or refuse what is mounted beneath.

import Glibc
import Kernel
import Testing

extension Scenarios {
    @Suite("mounts")
    struct Mounts {
        @Test("volumes_from gives another service's volumes and binds, read-only where it says so")
        func volumesFrom() throws {
            try Stage.play("mounts") { stage in
                try stage.covey("up", "-d", "holder", "taker", "reader")
                try stage.exec("holder", "echo a > /shared/a && echo b > /own/b && echo c > /quick/c")
                for service in ["taker", "reader"] {
                    try stage.require(
                        try stage.exec(service, "cat /shared/a /own/b") == "a\nb", "volumes of \(service)")
                    try stage.require(
                        try !stage.execSucceeds(service, "test -e /quick"), "a tmpfs is no volume")
                }
                try stage.exec("taker", "echo t > /own/t")
                // What is its own stays.
                try stage.require(try stage.exec("taker", "cat /files/name") == "other", "its own bind")
                try stage.require(try stage.exec("reader", "cat /own/t /files/name") == "t\nholder", "shared")
                try stage.require(
                    try !stage.execSucceeds("reader", ": > /own/r || : > /shared/r"), "written to")
                try stage.require(
                    try stage.covey("up", "-d", "taker").errors.contains("Started") == false, "unchanged")
                let up = try stage.covey("up", "-d", "nobody", code: 1)
                try stage.require(
                    up.errors.contains("cannot take the volumes of container \"nobody\""), "\(up)")
            }
        }

        @Test("an image's files are mounted read-only")
        func image() throws {
            try Stage.play("mounts") { stage in
                try stage.covey("up", "-d", "pictures")
                try stage.require(
                    try stage.exec("pictures", "cat /image/data/seed") == "from the image", "its files")
                try stage.require(try !stage.execSucceeds("pictures", ": > /image/x"), "written to")
            }
        }

        @Test(
            "a bind hears of mounts on the host, or tells of its own, as it asks; one that can't is refused")
        func propagation() throws {
            try Stage.play("mounts") { stage in
                try stage.withSharedPeer { peer in
                    try stage.covey("up", "-d", "slave")
                    try Host.run(["mount", "-t", "tmpfs", "later", "\(peer)/later"]).orThrow()
                    try stage.exec("slave", "grep -q '/peer/later' /proc/mounts")
                    try stage.exec("slave", "grep -q '/both/later' /proc/mounts")
                    try stage.require(
                        try !stage.execSucceeds("slave", "grep -q '/alone/later' /proc/mounts"), "private")
                    try stage.exec("slave", "mkdir /both/inner && mount -t tmpfs inner /both/inner")
                    try stage.require(
                        contents("/proc/self/mountinfo").contains("\(peer)/inner"), "the host hears")
                    try stage.covey("down", "--timeout", "1")
                    let up = try stage.covey("up", "-d", "unshared", code: 1)
                    try stage.require(up.errors.contains("is not shared"), "\(up)")
                }
            }
        }

        @Test("what is mounted beneath a read-only bind is read-only, writable or left away")
        func beneath() throws {
            try Stage.play("mounts") { stage in
                try stage.withSharedPeer { peer in
                    try Host.run(["mount", "-t", "tmpfs", "later", "\(peer)/later"]).orThrow()
                    try writeFile("\(peer)/later/x", Array("x".utf8))
                    try stage.covey("up", "-d", "beneath")
                    for (place, sees, writes) in [
                        ("all", true, false), ("flat", false, false), ("loose", true, true),
                        ("firm", true, false),
                    ] {
                        try stage.require(
                            try stage.execSucceeds("beneath", "test -e /\(place)/later/x") == sees,
                            "\(place) sees")
                        try stage.require(
                            try stage.execSucceeds("beneath", ": > /\(place)/later/y") == writes,
                            "\(place) writes")
                        try stage.require(
                            try !stage.execSucceeds("beneath", ": > /\(place)/y"), "\(place) is read-only")
                    }
                    try stage.covey("down", "--timeout", "1")
                }
            }
        }
    }

    @Suite("limits")
    struct Limits {
        @Test("rates of a block device are the kernel's; weights it has not are refused by name")
        func blockDevices() throws {
            try Stage.play("block-limits") { stage in
                let disks = ((try? directoryEntries("/sys/block")) ?? []).sorted().filter {
                    exists("/dev/\($0)") && !$0.hasPrefix("loop") && !$0.hasPrefix("zram")
                }
                if let disk = disks.first {
                    let number = contents("/sys/block/\(disk)/dev").filter { $0 != "\n" }
                    let up = try stage.attempt("up", "-d", "bounded", variables: ["DISK=/dev/\(disk)"])
                    if exists("/sys/fs/cgroup/blkio")
                        || stage.cgroupFile("bounded", "io.max").isEmpty == false
                    {
                        try stage.require(up.succeeded, "\(up)")
                        let files: [(String, String)] =
                            exists("/sys/fs/cgroup/blkio")
                            ? [
                                ("blkio/blkio.throttle.read_bps_device", "\(number) 1048576"),
                                ("blkio/blkio.throttle.write_bps_device", "\(number) 2097152"),
                                ("blkio/blkio.throttle.read_iops_device", "\(number) 300"),
                                ("blkio/blkio.throttle.write_iops_device", "\(number) 400"),
                            ] : [("io.max", "\(number) rbps=1048576 wbps=2097152 riops=300 wiops=400")]
                        for (file, expected) in files {
                            let value = stage.cgroupFile("bounded", file)
                            try stage.require(value == expected, "\(file): \(value)")
                        }
                    }
                    try stage.covey("down", "--timeout", "1")
                }
                let wrong = try stage.covey("up", "-d", "bounded", code: 1)
                try stage.require(wrong.errors.contains("/dev/null is no block device"), "\(wrong)")
                let weighed = try stage.attempt("up", "-d", "weighed")
                let weight = ["blkio/blkio.weight", "blkio/blkio.bfq.weight", "io.bfq.weight", "io.weight"]
                    .map { stage.cgroupFile("weighed", $0) }.first { !$0.isEmpty }
                try stage.require(
                    weighed.succeeded
                        ? weight != nil : weighed.errors.contains("no weights for block devices"),
                    "\(weighed)")
            }
        }

        @Test("time for real-time tasks is given where the kernel has groups of them, else refused")
        func realtime() throws {
            try Stage.play("block-limits") { stage in
                let up = try stage.attempt("up", "-d", "realtime")
                guard exists("/sys/fs/cgroup/cpu/cpu.rt_runtime_us") else {
                    return try stage.require(
                        up.errors.contains("cpu_rt_runtime") || up.errors.contains("real-time"), "\(up)")
                }
                try stage.require(up.succeeded, "\(up)")
                try stage.require(stage.cgroupFile("realtime", "cpu/cpu.rt_runtime_us") == "10000", "runtime")
                try stage.require(stage.cgroupFile("realtime", "cpu/cpu.rt_period_us") == "500000", "period")
            }
        }
    }
}

extension Stage {
    /// The project's directory `peer` as a shared mount of its own for as long as `body` runs.
    fileprivate func withSharedPeer(_ body: (String) throws -> Void) throws {
        let peer = "\(files)/peer"
        try Host.run(["mount", "--bind", peer, peer]).orThrow()
        defer { _ = try? Host.run(["umount", "-R", "-l", peer]) }
        try Host.run(["mount", "--make-shared", peer]).orThrow()
        try ensureDirectory("\(peer)/later")
        try body(peer)
    }
}
