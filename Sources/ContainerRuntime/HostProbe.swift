// SPDX-License-Identifier: Apache-2.0
//
// What this host can do, asked of the kernel by trying, never by its version.

public import Basics
internal import CLinux
public import Kernel
public import LaunchPlanning
internal import SeccompCompiler

extension HostFacts {
    /// Probes the running kernel; a few system calls, meant to be called once.
    public static func probe() throws(SyscallError) -> HostFacts {
        HostFacts(
            overlayLowerdirPlus: probeLowerdirPlus(), cgroupV2: probeUnifiedCgroup(),
            boundingCapabilities: try readBoundingSet(), thermalThrottleCPUs: throttledProcessors())
    }
}

/// `lowerdir+` (Linux 6.7): for a path that can't be, fsconfig(2) answers that, and EINVAL only for a key it doesn't know. A
/// path that is would be held, and given back with a wait for an RCU grace period (milliseconds, seen in 6.18).
private func probeLowerdirPlus() -> Bool {
    let fs = linux_fsopen("overlay")
    guard fs >= 0 else { return false }
    defer { close(fs) }
    do throws(SyscallError) {
        try retrying("fsconfig") { linux_fsconfig_string(fs, "lowerdir+", "/dev/null/none") }
        return true
    } catch {
        return error.errno != .invalid
    }
}

/// CGROUP2_SUPER_MAGIC at the usual place: the unified hierarchy alone.
private func probeUnifiedCgroup() -> Bool {
    guard let fd = try? openFile("/sys/fs/cgroup", flags: O_PATH | O_DIRECTORY) else { return false }
    return linux_statfs_type(fd.raw) == 0x6367_7270
}

private func readBoundingSet() throws(SyscallError) -> UInt64 {
    for line in try readText("/proc/self/status").split(separator: "\n") where line.hasPrefix("CapBnd:") {
        let digits = line.dropFirst(7).drop { $0 == " " || $0 == "\t" }
        return UInt64(digits, radix: 16) ?? 0
    }
    return 0
}

private func throttledProcessors() -> [Int] {
    let base = "/sys/devices/system/cpu"
    guard exists(base + "/cpu0/thermal_throttle") else { return [] }
    let names = (try? directoryEntries(base)) ?? []
    return names.compactMap { $0.hasPrefix("cpu") ? Int($0.dropFirst(3)) : nil }.sorted()
}

/// Docker's default seccomp profile for a capability set, as BPF; compiled once for each set.
public struct SeccompFilters {
    private var compiled: [UInt64: [UInt8]] = [:]
    private let kernel: KernelVersion

    public init() {
        kernel =
            KernelVersion(release: (try? readText("/proc/sys/kernel/osrelease")) ?? "")
            ?? KernelVersion(5, 14)
    }

    /// - Throws: when the profile does not compile; a container without its filter is never started instead.
    public mutating func filter(capabilities: UInt64) throws(Failure) -> [UInt8] {
        if let known = compiled[capabilities] { return known }
        do throws(SeccompError) {
            let program = try SeccompPolicy.dockerDefault.compile(
                capabilities: CapabilitySet(rawValue: capabilities), architecture: .current, kernel: kernel)
            compiled[capabilities] = program.bytes
            return program.bytes
        } catch {
            throw Failure("cannot compile the default seccomp profile", cause: "\(error)")
        }
    }
}
