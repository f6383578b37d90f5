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
                try stage.require(try stage.exec("pictures", "ls /part") == "seed", "a directory of it")
                // Of several layers: what is deleted above is not there, a file is a file.
                try stage.covey("build", "made")
                try stage.covey("up", "-d", "album")
                try stage.require(try stage.exec("album", "ls /part") == "sub", "a directory of two layers")
                try stage.require(try stage.exec("album", "cat /part/sub/name /name") == "top\ntop", "a file")
                try stage.require(try !stage.execSucceeds("album", ": > /part/x || : > /name"), "written to")
                let lost = try stage.covey("up", "-d", "lost", code: 1)
                try stage.require(lost.errors.contains("subpath \"no/where\" of image \"bb:1\""), "\(lost)")
            }
        }

        @Test("a tmpfs runs programs where it says exec, and nowhere else")
        func programsInMemory() throws {
            try Stage.play("mounts") { stage in
                try stage.covey("up", "-d", "holder")
                let line = "cp /bin/busybox {}/true && {}/true"
                for (place, runs) in [("/programs", true), ("/quick", false)] {
                    try stage.require(
                        try stage.execSucceeds("holder", line.replacing("{}", with: place)) == runs, place)
                }
            }
        }

        @Test(
            "a volume is the file system or the directory its options say, for all who mount it, until down")
        func volumeOptions() throws {
            try Stage.play("volume-options") { stage in
                try stage.covey("up", "-d", "one", "two")
                try stage.exec("one", "echo shared > /memory/x && echo written > /host/new")
                try stage.require(
                    try stage.exec("two", "cat /memory/x /host/name /host/new /closed/new")
                        == "shared\nof the host\nwritten\nwritten", "both see the same")
                let mounts = try stage.exec("two", "grep -E ' (/memory|/host|/closed) ' /proc/mounts")
                let memory = mounts.split(separator: "\n").first { $0.contains(" /memory ") } ?? ""
                try stage.require(
                    memory.contains("tmpfs") && memory.contains("noexec") && memory.contains("size=1024k")
                        && memory.contains("mode=711"), mounts)
                try stage.require(
                    try !stage.execSucceeds("two", ": > /closed/x || : > /host/x"), "read-only was written to"
                )
                try stage.require(
                    try stage.exec("one", "cat /data/seed") == "from the image", "it was filled")
                try stage.covey("restart", "one")
                try stage.require(try stage.exec("one", "cat /memory/x") == "shared", "after a restart")
                // Once it was started it is its users', whichever boot it is.
                try stage.exec("one", "rm /data/seed")
                try stage.covey("stop", "-t", "0")
                try stage.reboot(emptiesRun: true)
                try stage.covey("up", "-d", "one", "two")
                try stage.require(
                    try stage.exec("one", "ls /data; ls /host/new") == "/host/new", "filled again")
                for (service, said) in [
                    ("nowhere", "/files/nothing is not there (ENOENT)"),
                    ("unknown", "this kernel has no file system \"nofs\" (ENODEV)"),
                    ("wrong", "Bad value for 'size'"),
                ] {
                    let up = try stage.covey("up", "-d", service, code: 1)
                    try stage.require(up.errors.contains(said), "\(up)")
                }
                let other = try stage.covey(
                    "up", "-d", code: 1, variables: ["HOST_DATA=\(stage.files)"])
                try stage.require(
                    other.errors.contains("cannot change the `driver_opts` of volume"), "\(other)")
                try stage.covey("down", "--timeout", "1")
                let left = contents("/proc/self/mountinfo")
                try stage.require(!left.contains("\(stage.directory)/root/volumes"), left)
                // The next up has an empty file system, and the directory as it was; with its volume it stays.
                try stage.covey("up", "-d", "one")
                try stage.require(
                    try stage.exec("one", "ls /memory; cat /host/new") == "written", "a new one")
                try stage.covey("down", "-v", "--timeout", "1")
                try stage.require(
                    contents("\(stage.files)/data/new") == "written\n", "the directory was emptied")
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

        @Test("a container stands below the cgroup it names, ours or somebody's, and leaves nothing there")
        func cgroupParent() throws {
            try Stage.play("parents") { stage in
                let top = "covey-scenario-\(stage.project)"
                let mounts =
                    stage.isUnified
                    ? ["/sys/fs/cgroup"]
                    : ["unified", "pids", "memory"].map { "/sys/fs/cgroup/\($0)" }.filter { exists($0) }
                let variables = ["PARENT=/\(top)/inner"]
                let lost = try stage.covey("up", "-d", "abroad", code: 1, variables: variables)
                try stage.require(
                    lost.errors.contains("an absolute `cgroup_parent` must be there"), "\(lost)")
                let ours = try stage.covey("up", "-d", "abroad", code: 1, variables: ["PARENT=/covey/x"])
                try stage.require(ours.errors.contains("none of them one of Covey's own"), "\(ours)")
                for mount in mounts { try ensureDirectory("\(mount)/\(top)/inner") }
                defer {
                    for mount in mounts {
                        for path in ["\(top)/inner", top] { try? removeDirectory("\(mount)/\(path)") }
                    }
                }
                try stage.covey("up", "-d", "home", "deep", "abroad", variables: variables)
                let places = [
                    ("home", "covey/\(stage.project)/batch/ctr-", true),
                    ("deep", "covey/\(stage.project)/batch/night/ctr-", false),
                    ("abroad", "\(top)/inner/covey-\(stage.project)-ctr-", true),
                ]
                func check(_ when: String) throws {
                    for (service, parent, isLimited) in places {
                        let pid = try stage.container(service).Pid ?? 0
                        let lines = contents("/proc/\(pid)/cgroup").split(separator: "\n")
                        let path = "/\(parent)\(stage.project)-\(service)-1"
                        try stage.require(
                            lines.contains { $0.hasSuffix(path) }, "\(when), \(service): \(lines)")
                        guard isLimited else { continue }
                        let file =
                            stage.isUnified
                            ? "/sys/fs/cgroup\(path)/memory.max"
                            : "/sys/fs/cgroup/memory\(path)/memory.limit_in_bytes"
                        try stage.require(contents(file) == "33554432\n", "\(when): \(file)")
                    }
                }
                try check("at first")
                try stage.exec("home", "grep -q 'Cpus_allowed_list:.0$' /proc/1/status")
                let stats = try stage.covey("stats", "--no-stream", "abroad")
                try stage.require(stats.output.contains("/ 32.0MiB"), "\(stats)")
                try stage.covey("restart", "-t", "1", "deep", "abroad", variables: variables)
                try check("after a restart")
                try stage.killEngine()
                try stage.covey("up", "-d", "home", "deep", "abroad", variables: variables)
                try check("after a new controller")
                try stage.covey("down", "--timeout", "1", variables: variables)
                for mount in mounts {
                    let left = ((try? directoryEntries("\(mount)/\(top)/inner")) ?? []).filter {
                        $0.hasPrefix("covey")
                    }
                    try stage.require(left.isEmpty, "\(left)")
                }
            }
        }

        @Test("storage is bounded where the file system has project quotas; elsewhere that is said")
        func storage() throws {
            try Stage.play("parents") { stage in
                let up = try stage.attempt("up", "-d", "bounded")
                try stage.require(
                    up.succeeded || up.errors.contains("keeps no project quotas"), "\(up)")
                let (disk, place) = ("\(stage.directory)/disk", "\(stage.directory)/quota")
                try Host.run(["truncate", "-s", "128M", disk]).orThrow()
                try Host.run(["mkfs.ext4", "-q", "-O", "quota,project", "-E", "quotatype=prjquota", disk])
                    .orThrow()
                try ensureDirectory(place)
                // A kernel without CONFIG_QFMT_V2 mounts none.
                guard try Host.run(["mount", "-o", "loop,prjquota", disk, place]).succeeded else { return }
                defer { _ = try? Host.run(["umount", "-l", place]) }
                let root = ["COVEY_ROOT=\(place)/root"]
                try stage.covey("down", "--timeout", "1")
                try stage.covey("image", "import", "dir:\(try Host.rootfs.get())", "bb:1", variables: root)
                try stage.covey("up", "-d", "bounded", variables: root)
                for (size, fits) in [(1, true), (4, false)] {
                    let line = "dd if=/dev/zero of=/x bs=1M count=\(size) && sync"
                    let outcome = try stage.start(
                        ["exec", "-T", "bounded", "sh", "-c", line], variables: root
                    ).wait()
                    try stage.require(outcome.succeeded == fits, "\(size) MiB: \(outcome)")
                }
                try stage.covey("down", "-v", "--timeout", "1", variables: root)
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
