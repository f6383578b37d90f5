// SPDX-License-Identifier: Apache-2.0
//
// Texts of `covey oci`: help and version in the forms of runc and crun, which scripts read, lines of --log as runc writes
// them, and flags of `update` as the document they stand for.

internal import Basics
internal import JSONFormat
internal import Kernel
internal import OCIRuntime

func ociHelp(_ command: CommandDefinition) -> String {
    let text = helpText(command).split(separator: "\n", omittingEmptySubsequences: false).dropFirst()
        .map { $0.hasPrefix("Usage: covey ") ? "Usage: \(OCIName.written) " + $0.dropFirst(13) : String($0) }
        .map {
            $0.hasPrefix("`covey --help`")
                ? "`\(OCIName.written) --help` lists the flags of every command." : $0
        }
    return "NAME:\n   \(OCIName.written) \(command.name) - \(command.summary)\n"
        + text.joined(separator: "\n")
}

var ociHelpText: String {
    let text = helpText(commands: ociCommandTable, globals: ociGlobalFlags)
        .split(separator: "\n", omittingEmptySubsequences: false).dropFirst().joined(separator: "\n")
    return
        "NAME:\n   \(OCIName.written) - Open Container Initiative runtime (specification \(ociVersion)), by Covey\n"
        + text.replacing("covey [FLAGS]", with: "\(OCIName.written) [FLAGS]").replacing(
            "covey COMMAND", with: "\(OCIName.written) COMMAND")
}

/// Lines as runc has them; the last one as crun's, what there is beyond the specification's bare words. What there is not is
/// not named: readers look for the name alone.
var ociVersionText: String {
    """
    \(OCIName.link ?? "covey-oci") version \(coveyVersion)
    commit: covey \(coveyVersion)
    spec: \(ociVersion)
    +SELINUX +APPARMOR +CAP +SECCOMP +EBPF +SYSTEMD_NOTIFY

    """
}

/// logrus's two formats, which conmon and containerd parse.
func logLine(_ level: String, _ message: String, json: Bool) -> [UInt8] {
    let time = rfc3339(nanoseconds: realtimeNanoseconds())
    if !json { return Array("time=\"\(time)\" level=\(level) msg=\(quoted(message))\n".utf8) }
    var bytes: [UInt8] = []
    JSONValue.object([
        ("level", .string(level)), ("msg", .string(message)), ("time", .string(time)),
    ]).write(to: &bytes)
    return bytes + [UInt8(ascii: "\n")]
}

/// A `linux.resources` object out of `update`'s flags.
func resourcesDocument(_ arguments: Arguments) throws(Failure) -> [UInt8] {
    var cpu: [(String, JSONValue)] = []
    var memory: [(String, JSONValue)] = []
    var all: [(String, JSONValue)] = []
    for (flag, name) in [
        (FlagName.cpuPeriod, "period"), (.cpuQuota, "quota"), (.cpuBurst, "burst"), (.cpuShare, "shares"),
        (.cpuRealtimePeriod, "realtimePeriod"), (.cpuRealtimeRuntime, "realtimeRuntime"), (.cpuIdle, "idle"),
    ] {
        if let value = try number(flag, arguments, units: false) { cpu.append((name, .integer(value))) }
    }
    for (flag, name) in [(FlagName.cpusetProcessors, "cpus"), (.cpusetNodes, "mems")] {
        if let list = arguments.last(flag) { cpu.append((name, .string(list))) }
    }
    for (flag, name) in [
        (FlagName.memory, "limit"), (.memoryReservation, "reservation"), (.memorySwap, "swap"),
    ] {
        if let value = try number(flag, arguments, units: true) { memory.append((name, .integer(value))) }
    }
    if !cpu.isEmpty { all.append(("cpu", .object(cpu))) }
    if !memory.isEmpty { all.append(("memory", .object(memory))) }
    if let limit = try number(.pidsLimit, arguments, units: false) {
        all.append(("pids", .object([("limit", .integer(limit))])))
    }
    if let weight = try number(.blkioWeight, arguments, units: false) {
        all.append(("blockIO", .object([("weight", .integer(weight))])))
    }
    if all.isEmpty {
        throw Failure(
            "cannot update the container", cause: "no limit is given", advice: "see `covey oci update --help`"
        )
    }
    var bytes: [UInt8] = []
    JSONValue.object(all).write(to: &bytes)
    return bytes
}

/// A whole number, for sizes with `k`, `m`, `g` or `t` after it; -1 stands for no limit.
private func number(_ flag: FlagName, _ arguments: Arguments, units: Bool) throws(Failure) -> Int64? {
    guard let text = arguments.last(flag) else { return nil }
    if let value = Int64(text) { return value }
    var digits = text.lowercased()[...]
    if digits.last == "b" { digits.removeLast() }
    let powers: [Character: Int64] = ["k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40]
    if units, let last = digits.last, let unit = powers[last], let value = Int64(digits.dropLast()) {
        let (product, overflow) = value.multipliedReportingOverflow(by: unit)
        if !overflow { return product }
    }
    throw Failure(
        "cannot understand --\(flag.rawValue) \(text)",
        cause: units ? "it is no size such as 512m" : "it is no whole number")
}
