// SPDX-License-Identifier: Apache-2.0
//
// Bounds and weights of block devices, and the time of real-time tasks: limits whose files are not on every kernel, and
// that speak of devices by number. Documentation/admin-guide/cgroup-v1/blkio-controller.rst, cgroup-v2.rst "IO",
// Documentation/scheduler/sched-rt-group.rst.

internal import Basics
internal import CLinux
internal import ContainerModel
internal import Kernel

extension ProjectCgroup {
    /// Writes `blkio_config` to a container's directory.
    func setBlockLimits(_ limits: ResourceLimits, of child: String, container: String) throws(Failure) {
        guard let block = limits.blockIO, let hierarchy = Controller.io.hierarchy(of: host),
            let directory = directory(in: hierarchy)
        else { return }
        let doing = "cannot limit block devices of container \"\(container)\""
        var lines: [(file: String, line: String)] = []
        if block.weight != nil || !block.weights.isEmpty {
            lines += try directory.weightLines(block, child, doing)
        }
        let bounds = [
            (block.readBytes, "rbps", "read_bps"), (block.writeBytes, "wbps", "write_bps"),
            (block.readOperations, "riops", "read_iops"), (block.writeOperations, "wiops", "write_iops"),
        ]
        for (entries, unified, legacy) in bounds {
            for entry in entries {
                let device = try deviceNumbers(entry.path, doing)
                // A rate of 0 is none, as in Docker.
                lines.append(
                    hierarchy.unified
                        ? ("io.max", "\(device) \(unified)=\(entry.value > 0 ? "\(entry.value)" : "max")")
                        : ("blkio.throttle.\(legacy)_device", "\(device) \(entry.value)"))
            }
        }
        for (file, line) in lines {
            do throws(SyscallError) {
                try directory.write("\(child)/\(file)", line)
            } catch {
                let advice =
                    error.errno == .noDevice
                    ? "limits are kept for whole disks, not for partitions: name the disk" : nil
                throw Failure("\(doing): \(line)", error, advice: advice)
            }
        }
    }

    /// Real-time tasks get none of a cgroup's time unless all cgroups above have as much: the project's are raised first.
    func setRealtime(_ limits: ResourceLimits, of place: ContainerPlace, container: String) throws(Failure) {
        let child = place.child
        guard limits.realtimeRuntime != nil || limits.realtimePeriod != nil,
            let hierarchy = host.hierarchy(of: "cpu"), let directory = directory(in: hierarchy)
        else { return }
        let doing = "cannot give container \"\(container)\" time for real-time tasks"
        guard directory.has("cpu.rt_runtime_us") else {
            throw Failure(
                doing, cause: "this kernel has no groups of real-time tasks (CONFIG_RT_GROUP_SCHED)",
                advice: "remove `cpu_rt_runtime` and `cpu_rt_period`")
        }
        let period = limits.realtimePeriod ?? 1_000_000
        let runtime = limits.realtimeRuntime ?? 0
        do throws(SyscallError) {
            for path in above(place, in: directory).dropFirst() {
                let own = try readText("\(path)/cpu.rt_runtime_us").filter { $0 != "\n" }
                let ownPeriod = try readText("\(path)/cpu.rt_period_us").filter { $0 != "\n" }
                let share = (Double(own) ?? 0) / max(Double(ownPeriod) ?? 1, 1)
                if share >= Double(runtime) / Double(period) { continue }
                try writeControl("\(path)/cpu.rt_period_us", "\(period)")
                try writeControl("\(path)/cpu.rt_runtime_us", "\(runtime)")
            }
            // The runtime may never be above the period, whichever was there before.
            try directory.write("\(child)/cpu.rt_runtime_us", "0")
            try directory.write("\(child)/cpu.rt_period_us", "\(period)")
            try directory.write("\(child)/cpu.rt_runtime_us", "\(runtime)")
        } catch {
            throw Failure(
                doing, error,
                advice: error.errno == .invalid
                    ? "the groups of this host share what is in \(hierarchy.mountPoint)/cpu.rt_runtime_us: take less"
                    : nil)
        }
    }
}

extension CgroupDirectory {
    /// Weights are a scheduler's affair: BFQ has files of its own in both versions, iocost io.weight in v2.
    fileprivate func weightLines(_ block: BlockLimits, _ child: String, _ doing: String) throws(Failure) -> [(
        file: String, line: String
    )] {
        let candidates =
            hierarchy.unified
            ? ["io.bfq.weight", "io.weight"] : ["blkio.weight", "blkio.bfq.weight"]
        guard let file = candidates.first(where: { has("\(child)/\($0)") }) else {
            throw Failure(
                doing,
                cause: "this kernel has no weights for block devices here (BFQ, or iocost on cgroup v2)",
                advice: "remove `weight` and `weight_device`; rates are kept")
        }
        // [10, 1000] onto [1, 10000], as runtimes of the OCI do.
        func scaled(_ weight: Int64) -> Int64 {
            file == "io.weight" ? 1 + (weight - 10) * 9999 / 990 : weight
        }
        var lines: [(String, String)] = []
        if let weight = block.weight {
            lines.append((file, file.hasPrefix("io.") ? "default \(scaled(Int64(weight)))" : "\(weight)"))
        }
        for entry in block.weights {
            let name = hierarchy.unified ? file : file + "_device"
            lines.append((name, "\(try deviceNumbers(entry.path, doing)) \(scaled(entry.value))"))
        }
        return lines
    }
}

/// `8:0` of a block device's path.
private func deviceNumbers(_ path: String, _ doing: String) throws(Failure) -> String {
    let status: stat
    do throws(SyscallError) {
        status = try fileStatus(path, follow: true)
    } catch {
        throw Failure(doing, error, advice: "name a disk of this host, such as /dev/sda")
    }
    // S_IFBLK (inode(7)).
    guard status.st_mode & 0o170000 == 0o060000 else {
        throw Failure(
            doing, cause: "\(path) is no block device", advice: "name a disk of this host, such as /dev/sda")
    }
    return "\(linux_major(UInt64(status.st_rdev))):\(linux_minor(UInt64(status.st_rdev)))"
}
