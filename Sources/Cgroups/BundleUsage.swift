// SPDX-License-Identifier: Apache-2.0
//
// What an OCI container uses, by its controllers' files, v1 and v2 (kernel Documentation/admin-guide/cgroup-v1/ and
// cgroup-v2.rst). What no controller counts is 0. How it is told to users is OCIRuntime's.

internal import Kernel

/// One look at a container's cgroup.
public struct BundleUsage: Sendable {
    /// Something counted, with its bound; nil is none.
    public struct Amount: Sendable {
        public var limit: UInt64?
        public var usage: UInt64 = 0
        /// The most it was.
        public var peak: UInt64 = 0
        /// How often the bound was met.
        public var failures: UInt64 = 0
    }
    /// Times in nanoseconds.
    public struct Processor: Sendable {
        public var total: UInt64 = 0
        public var kernel: UInt64 = 0
        public var user: UInt64 = 0
        /// v1 alone counts each processor.
        public var each: [UInt64] = []
        public var periods: UInt64 = 0
        public var throttledPeriods: UInt64 = 0
        public var throttledTime: UInt64 = 0
    }
    public struct Memory: Sendable {
        public var cache: UInt64 = 0
        public var usage = Amount()
        /// Memory and swap together.
        public var swap = Amount()
        public var kernel = Amount()
        public var kernelTCP = Amount()
        /// memory.stat as it is.
        public var raw: [(name: String, value: UInt64)] = []
    }
    /// From or to one block device.
    public struct Transfer: Sendable {
        public var major: UInt64
        public var minor: UInt64
        /// `Read`, `Write`, …
        public var operation: String
        public var value: UInt64
    }

    public var processes = Amount()
    public var processor = Processor()
    public var memory = Memory()
    /// Processor and memory node numbers.
    public var processors: [UInt64] = []
    public var memoryNodes: [UInt64] = []
    public var transferredBytes: [Transfer] = []
    public var transfers: [Transfer] = []
    /// By page size, `2MB`.
    public var hugePages: [(size: String, amount: Amount)] = []
}

extension BundleCgroup {
    public var usage: BundleUsage {
        var usage = BundleUsage()
        if let pids = files(of: "pids") {
            usage.processes = .init(limit: pids.number("pids.max"), usage: pids.number("pids.current") ?? 0)
        }
        if let unified, !unified.hierarchy.controllers.isEmpty || files(of: "cpuacct") == nil {
            usage.processor = ControllerFiles(directory: unified.path).unifiedProcessor
        }
        if let accounting = files(of: "cpuacct") {
            usage.processor = accounting.legacyProcessor(throttling: files(of: "cpu"))
        }
        if let memory = files(of: "memory") {
            usage.memory = memory.isUnified ? memory.unifiedMemory : memory.legacyMemory
        }
        if let sets = files(of: "cpuset") {
            usage.processors = sets.list(sets.isUnified ? "cpuset.cpus.effective" : "cpuset.cpus")
            usage.memoryNodes = sets.list(sets.isUnified ? "cpuset.mems.effective" : "cpuset.mems")
        }
        if let io = files(of: "io") {
            (usage.transferredBytes, usage.transfers) = io.unifiedTransfers
        } else if let io = files(of: "blkio") {
            usage.transferredBytes = io.legacyTransfers("io_service_bytes")
            usage.transfers = io.legacyTransfers("io_serviced")
        }
        if let pages = files(of: "hugetlb") { usage.hugePages = pages.hugePages }
        return usage
    }

    private func files(of controller: String) -> ControllerFiles? {
        place(of: controller).map { ControllerFiles(directory: $0.path, isUnified: $0.hierarchy.unified) }
    }
}

/// One directory's files as numbers; a file that isn't there says nothing.
private struct ControllerFiles {
    let directory: String
    var isUnified = true

    func text(_ file: String) -> String { (try? readText("\(directory)/\(file)")) ?? "" }

    /// nil for `max` as well, and for what v1 writes instead: the largest number of whole pages.
    func number(_ file: String) -> UInt64? {
        let value = UInt64(text(file).prefix { $0 != "\n" })
        return value.flatMap { $0 >= 0x7fff_ffff_ffff_0000 ? nil : $0 }
    }

    /// Lines of a name and a number.
    func table(_ file: String) -> [(name: String, value: UInt64)] {
        text(file).split(separator: "\n").compactMap { line in
            let parts = line.split(separator: " ")
            guard parts.count == 2, let value = UInt64(parts[1]) else { return nil }
            return (String(parts[0]), value)
        }
    }

    func numbers(_ file: String) -> [UInt64] {
        text(file).split(whereSeparator: \.isWhitespace).compactMap { UInt64($0) }
    }

    /// `0-2,5` in full.
    func list(_ file: String) -> [UInt64] {
        text(file).split(whereSeparator: { $0 == "," || $0.isWhitespace }).flatMap { part -> [UInt64] in
            let ends = part.split(separator: "-").compactMap { UInt64($0) }
            guard let first = ends.first, let last = ends.last, first <= last, last < 1 << 16 else {
                return []
            }
            return Array(first...last)
        }
    }

    // MARK: processors

    var unifiedProcessor: BundleUsage.Processor {
        let found = Dictionary(table("cpu.stat"), uniquingKeysWith: { $1 })
        func nanoseconds(_ key: String) -> UInt64 { (found[key] ?? 0) &* 1000 }
        return .init(
            total: nanoseconds("usage_usec"), kernel: nanoseconds("system_usec"),
            user: nanoseconds("user_usec"), periods: found["nr_periods"] ?? 0,
            throttledPeriods: found["nr_throttled"] ?? 0, throttledTime: nanoseconds("throttled_usec"))
    }

    func legacyProcessor(throttling: ControllerFiles?) -> BundleUsage.Processor {
        let found = Dictionary(throttling?.table("cpu.stat") ?? [], uniquingKeysWith: { $1 })
        return .init(
            total: number("cpuacct.usage") ?? 0, kernel: number("cpuacct.usage_sys") ?? 0,
            user: number("cpuacct.usage_user") ?? 0, each: numbers("cpuacct.usage_percpu"),
            periods: found["nr_periods"] ?? 0, throttledPeriods: found["nr_throttled"] ?? 0,
            throttledTime: found["throttled_time"] ?? 0)
    }

    // MARK: memory

    var legacyMemory: BundleUsage.Memory {
        func amount(_ name: String) -> BundleUsage.Amount {
            .init(
                limit: number("\(name).limit_in_bytes"), usage: number("\(name).usage_in_bytes") ?? 0,
                peak: number("\(name).max_usage_in_bytes") ?? 0, failures: number("\(name).failcnt") ?? 0)
        }
        let raw = table("memory.stat")
        return .init(
            cache: raw.first { $0.name == "cache" }?.value ?? 0, usage: amount("memory"),
            swap: amount("memory.memsw"), kernel: amount("memory.kmem"),
            kernelTCP: amount("memory.kmem.tcp"), raw: raw)
    }

    var unifiedMemory: BundleUsage.Memory {
        func amount(_ name: String, failures: String) -> BundleUsage.Amount {
            .init(
                limit: number("\(name).max"), usage: number("\(name).current") ?? 0,
                peak: number("\(name).peak") ?? 0,
                failures: table("\(name).events").first { $0.name == failures }?.value ?? 0)
        }
        let raw = table("memory.stat")
        let usage = amount("memory", failures: "max")
        var swap = amount("memory.swap", failures: "fail")
        // v2 counts swap by itself; those who read this know v1's sum.
        swap.usage += usage.usage
        swap.limit = if let limit = swap.limit, let own = usage.limit { limit &+ own } else { nil }
        return .init(
            cache: raw.first { $0.name == "file" }?.value ?? 0, usage: usage, swap: swap, raw: raw)
    }

    // MARK: block devices and huge pages

    /// io.stat: `8:0 rbytes=4096 wbytes=0 rios=1 wios=0 …` for each device.
    var unifiedTransfers: (bytes: [BundleUsage.Transfer], count: [BundleUsage.Transfer]) {
        let names = ["rbytes": "Read", "wbytes": "Write", "rios": "Read", "wios": "Write"]
        var (bytes, count): ([BundleUsage.Transfer], [BundleUsage.Transfer]) = ([], [])
        for line in text("io.stat").split(separator: "\n") {
            let words = line.split(separator: " ")
            guard let device = words.first.flatMap(device) else { continue }
            for word in words.dropFirst() {
                let parts = word.split(separator: "=")
                guard parts.count == 2, let name = names[String(parts[0])], let value = UInt64(parts[1])
                else {
                    continue
                }
                let one = BundleUsage.Transfer(
                    major: device.major, minor: device.minor, operation: name, value: value)
                if parts[0].hasSuffix("bytes") { bytes.append(one) } else { count.append(one) }
            }
        }
        return (bytes, count)
    }

    /// `8:0 Read 4096`; by the scheduler where it counts, else by the throttling layer, which sees all.
    func legacyTransfers(_ name: String) -> [BundleUsage.Transfer] {
        for file in [
            "blkio.bfq.\(name)_recursive", "blkio.throttle.\(name)_recursive", "blkio.throttle.\(name)",
        ] {
            let found = text(file).split(separator: "\n").compactMap { line -> BundleUsage.Transfer? in
                let words = line.split(separator: " ")
                guard words.count == 3, let device = device(words[0]), let value = UInt64(words[2]) else {
                    return nil
                }
                return .init(
                    major: device.major, minor: device.minor, operation: String(words[1]), value: value)
            }
            if !found.isEmpty { return found }
        }
        return []
    }

    private func device(_ text: Substring) -> (major: UInt64, minor: UInt64)? {
        let numbers = text.split(separator: ":").map { UInt64($0) }
        guard numbers.count == 2, let major = numbers[0], let minor = numbers[1] else { return nil }
        return (major, minor)
    }

    var hugePages: [(size: String, amount: BundleUsage.Amount)] {
        let suffix = isUnified ? ".current" : ".usage_in_bytes"
        let files = ((try? directoryEntries(directory)) ?? []).sorted()
        return files.compactMap { file in
            guard file.hasPrefix("hugetlb."), file.hasSuffix(suffix), !file.contains(".rsvd.") else {
                return nil
            }
            let name = String(file.dropLast(suffix.count))
            let limits = isUnified ? ("max", "peak") : ("limit_in_bytes", "max_usage_in_bytes")
            let failures =
                isUnified
                ? table("\(name).events").first { $0.name == "max" }?.value : number("\(name).failcnt")
            return (
                String(name.dropFirst("hugetlb.".count)),
                .init(
                    limit: number("\(name).\(limits.0)"), usage: number(file) ?? 0,
                    peak: number("\(name).\(limits.1)") ?? 0, failures: failures ?? 0)
            )
        }
    }
}
