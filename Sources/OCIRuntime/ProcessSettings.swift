// SPDX-License-Identifier: Apache-2.0
//
// Words of a process's configuration to the kernel's numbers: capabilities, scheduler, I/O priority, personality,
// processors. What the kernel has no number for is refused by name; capabilities it doesn't know are told and left out,
// as config.md, "Linux Process" wants it.

internal import Basics
internal import CLinux
internal import ContainerRuntime
internal import LaunchPlanning
internal import OCIFormats
internal import SeccompCompiler

func capabilitySets(_ given: RuntimeConfig.Capabilities, warn: (String) -> Void) -> CapabilitySets {
    var bounding: UInt64 = 0
    // PR_CAPBSET_READ: EINVAL beyond the last one this kernel has.
    for number in UInt(0)..<64 {
        let isThere = linux_prctl(PR_CAPBSET_READ, number, 0, 0, 0)
        if isThere < 0 { break }
        bounding |= UInt64(isThere) << UInt64(number)
    }
    var unknown: [String] = []
    var beyond: [String] = []
    func set(_ names: [String]) -> UInt64 {
        var bits: UInt64 = 0
        for name in names {
            guard name.hasPrefix("CAP_"), let capability = Capability(name: name),
                bounding >> UInt64(capability.rawValue) & 1 == 1
            else {
                unknown.append(name)
                continue
            }
            bits |= 1 << UInt64(capability.rawValue)
        }
        return bits
    }
    /// Effective is at most what is permitted, ambient what is inheritable too (capabilities(7), "Thread capability sets").
    func limited(_ names: [String], to most: UInt64) -> UInt64 {
        let bits = set(names)
        if bits & ~most != 0 {
            for capability in Capability.allCases
            where (bits & ~most) >> UInt64(capability.rawValue) & 1 == 1 {
                beyond.append("CAP_\(capability.name)")
            }
        }
        return bits & most
    }
    var sets = CapabilitySets()
    sets.bounding = set(given.bounding)
    sets.permitted = set(given.permitted)
    sets.effective = limited(given.effective, to: sets.permitted)
    sets.inheritable = set(given.inheritable)
    // The kernel raises only what is permitted and inheritable (capabilities(7), "Ambient").
    sets.ambient = limited(given.ambient, to: sets.permitted & sets.inheritable)
    if !unknown.isEmpty {
        warn("ignoring unknown or unavailable capabilities: \(Set(unknown).sorted().joined(separator: ", "))")
    }
    if !beyond.isEmpty {
        warn(
            "ignoring capabilities that are effective and not permitted, or ambient and not permitted and inheritable: "
                + Set(beyond).sorted().joined(separator: ", "))
    }
    return sets
}

func resolveHome(_ uid: UInt32, _ rootfs: String) throws(Failure) -> String {
    try resolveIdentity("\(uid)", roots: [rootfs]).home
}

/// struct sched_attr, sched_setattr(2).
func schedulerAttributes(_ scheduler: RuntimeConfig.Scheduler) throws(Failure) -> [UInt8] {
    let policies: [String: UInt32] = [
        "SCHED_OTHER": 0, "SCHED_FIFO": 1, "SCHED_RR": 2, "SCHED_BATCH": 3, "SCHED_ISO": 4, "SCHED_IDLE": 5,
        "SCHED_DEADLINE": 6,
    ]
    let flagBits: [String: UInt64] = [
        "SCHED_FLAG_RESET_ON_FORK": 1, "SCHED_FLAG_RECLAIM": 2, "SCHED_FLAG_DL_OVERRUN": 4,
        "SCHED_FLAG_KEEP_POLICY": 8, "SCHED_FLAG_KEEP_PARAMS": 16, "SCHED_FLAG_UTIL_CLAMP_MIN": 32,
        "SCHED_FLAG_UTIL_CLAMP_MAX": 64,
    ]
    func refuse(_ cause: String) -> Failure {
        Failure("cannot use process.scheduler", cause: cause, advice: "see sched_setattr(2)")
    }
    guard (-20...19).contains(scheduler.nice) else {
        throw refuse("invalid scheduler.nice: \(scheduler.nice)")
    }
    let realtime = ["SCHED_FIFO", "SCHED_RR"].contains(scheduler.policy)
    if scheduler.priority != 0, !realtime {
        throw refuse("scheduler.priority can only be specified for SchedFIFO or SchedRR policy")
    }
    let deadlines = scheduler.runtime != 0 || scheduler.deadline != 0 || scheduler.period != 0
    if deadlines, scheduler.policy != "SCHED_DEADLINE" {
        throw refuse("scheduler runtime/deadline/period can only be specified for SchedDeadline policy")
    }
    let flags = scheduler.flags.reduce(UInt64(0)) { $0 | (flagBits[$1] ?? 0) }
    var bytes: [UInt8] = []
    func append(_ value: some FixedWidthInteger) { withUnsafeBytes(of: value) { bytes += $0 } }
    append(UInt32(56))
    append(policies[scheduler.policy] ?? 0)
    append(flags)
    append(scheduler.nice)
    append(UInt32(bitPattern: scheduler.priority))
    append(scheduler.runtime)
    append(scheduler.deadline)
    append(scheduler.period)
    append(UInt64(0))  // the clamps of utilization
    return bytes
}

/// IOPRIO_PRIO_VALUE of ioprio_set(2).
func ioPriorityNumber(_ priority: RuntimeConfig.IOPriority) throws(Failure) -> UInt64 {
    guard (0...7).contains(priority.priority) else {
        throw Failure(
            "cannot use process.ioPriority", cause: "priority \(priority.priority) is not from 0 to 7")
    }
    let classes: [String: UInt64] = ["IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3]
    return (classes[priority.priorityClass] ?? 2) << 13 | UInt64(priority.priority)
}

/// For personality(2).
func personalityNumber(_ personality: RuntimeConfig.Personality) throws(Failure) -> UInt64 {
    if let flag = personality.flags.first {
        throw Failure(
            "cannot use linux.personality", cause: "flag \"\(flag)\": personality flags are not supported")
    }
    return personality.domain == "LINUX32" ? 0x0008 : 0
}

/// `0-2,5` → a mask for sched_setaffinity(2).
func processorMask(_ list: String, _ field: String) throws(Failure) -> [UInt8] {
    var mask: [UInt8] = []
    func refuse() -> Failure {
        Failure(
            "cannot use \(field)", cause: "\"\(list)\" is no list of processors",
            advice: "write numbers and ranges, 0-2,5")
    }
    for part in list.split(whereSeparator: { $0 == "," || $0 == " " }) {
        let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
        guard (1...2).contains(ends.count), let first = ends[0], let last = ends[ends.count - 1],
            first <= last, (0..<65536).contains(last)
        else { throw refuse() }
        while mask.count * 8 <= last { mask += [UInt8](repeating: 0, count: 8) }
        for number in first...last { mask[number / 8] |= 1 << UInt8(number % 8) }
    }
    guard mask.contains(where: { $0 != 0 }) else { throw refuse() }
    return mask
}
