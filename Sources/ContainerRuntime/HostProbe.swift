// SPDX-License-Identifier: Apache-2.0
//
// What this host can do, asked of the kernel by trying; its version is believed only where it says that something is there.

public import Basics
internal import CLinux
internal import Kernel
public import LaunchPlanning
internal import SeccompCompiler

extension HostFacts {
    /// Probes the running kernel; a few system calls, meant to be called once.
    public static func probe() -> HostFacts {
        HostFacts(
            overlayLowerdirPlus: overlayTakesLowerdirPlus, cgroupV2: probeUnifiedCgroup(),
            boundingCapabilities: boundingCapabilitySet(), thermalThrottleCPUs: throttledProcessors())
    }
}

/// `lowerdir+` (Linux 6.7), asked for as a flag: a kernel that knows it answers that it wants a value, one that doesn't that
/// the parameter is unknown, both with EINVAL; which it was is read from the context (fsopen(2)). Before 6.5 overlayfs took
/// any key and found fault when it was mounted. A value that can't be would be told on the console, half a millisecond; one
/// that can be would be held and given back with a wait for an RCU grace period (both seen in 6.18).
///
/// Asked once for a process and those forked from it: the kernel stays the same, and giving the context back waits for an RCU
/// grace period.
///
/// A kernel of 6.8 or later has it and is not asked.
public let overlayTakesLowerdirPlus =
    KernelVersion(release: kernelRelease()).map { $0 >= KernelVersion(6, 8) } == true || probeLowerdirPlus()

private func probeLowerdirPlus() -> Bool {
    let raw = linux_fsopen("overlay")
    guard raw >= 0 else { return false }
    let fs = OwnedFD(taking: raw)
    guard linux_fsconfig_flag(raw, "lowerdir+") < 0 else { return false }
    var text = [UInt8](repeating: 0, count: 256)
    let count = text.withUnsafeMutableBytes { read(fs.raw, $0.baseAddress, $0.count) }
    return count > 0 && String(decoding: text[..<count], as: UTF8.self).contains("Bad value for")
}

/// CGROUP2_SUPER_MAGIC at the usual place: the unified hierarchy alone.
private func probeUnifiedCgroup() -> Bool {
    guard let fd = try? openFile("/sys/fs/cgroup", flags: O_PATH | O_DIRECTORY) else { return false }
    return linux_statfs_type(fd.raw) == 0x6367_7270
}

private func throttledProcessors() -> [Int] {
    let base = "/sys/devices/system/cpu"
    guard exists(base + "/cpu0/thermal_throttle") else { return [] }
    let names = (try? directoryEntries(base)) ?? []
    return names.compactMap { $0.hasPrefix("cpu") ? Int($0.dropFirst(3)) : nil }.sorted()
}

/// Seccomp profiles for a capability set, as BPF; Docker's default one unless another is given. Compiled once for each set.
public struct SeccompFilters {
    private struct Key: Hashable {
        var capabilities: UInt64
        var profile: String?
    }
    private var compiled: [Key: [UInt8]] = [:]
    private let kernel: KernelVersion

    public init() {
        kernel = KernelVersion(release: kernelRelease()) ?? KernelVersion(5, 14)
    }

    /// Of nearly every container: made once for a keeper and all its controllers.
    private static let usual = try? SeccompFilters().compile(CapabilitySet.dockerDefault.rawValue, nil)

    /// - Parameter profile: a profile's JSON.
    /// - Throws: when the profile does not compile; a container without its filter is never started instead.
    public mutating func filter(capabilities: UInt64, profile: String? = nil) throws(Failure) -> [UInt8] {
        let key = Key(capabilities: capabilities, profile: profile)
        if let known = compiled[key] { return known }
        let program: [UInt8]
        if profile == nil, capabilities == CapabilitySet.dockerDefault.rawValue,
            let usual = SeccompFilters.usual
        {
            program = usual
        } else {
            program = try compile(capabilities, profile)
        }
        compiled[key] = program
        return program
    }

    private func compile(_ capabilities: UInt64, _ profile: String?) throws(Failure) -> [UInt8] {
        let policy =
            if let profile {
                try SeccompPolicy(json: Array(profile.utf8), profile: "the seccomp profile")
            } else { SeccompPolicy.dockerDefault }
        do throws(SeccompError) {
            return try policy.compile(
                capabilities: CapabilitySet(rawValue: capabilities), architecture: .current, kernel: kernel
            ).bytes
        } catch {
            throw Failure(
                "cannot compile the \(profile == nil ? "default " : "")seccomp profile", cause: error.cause,
                advice: profile == nil ? nil : error.advice)
        }
    }

    /// Says what is wrong with a profile before anything is made for it.
    public static func check(profile json: [UInt8], named name: String) throws(Failure) {
        let policy = try SeccompPolicy(json: json, profile: name)
        do throws(SeccompError) {
            _ = try policy.compile(capabilities: .all, architecture: .current, kernel: KernelVersion(99, 0))
        } catch {
            throw Failure("cannot compile \(name)", cause: error.cause, advice: error.advice)
        }
    }
}
