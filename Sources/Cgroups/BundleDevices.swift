// SPDX-License-Identifier: Apache-2.0
//
// Which devices an OCI container's processes may open and make: the rules of `linux.resources.devices` in their order,
// the last that speaks of a device decides; after them the devices every container has. What no rule speaks of is
// refused. On v1 lines in devices.allow and devices.deny, on v2 a BPF program.

public import Basics
internal import Kernel
public import OCIFormats

extension BundleCgroup {
    /// Sets the policy; on v2 programs that a parent has say no as well.
    public func setDevices(_ rules: [RuntimeResources.DeviceRule]) throws(Failure) {
        let doing = "cannot set the rules of linux.resources.devices"
        let ordered = rules.map(DeviceDecision.init) + DeviceDecision.always
        do throws(SyscallError) {
            if let place = place(of: "devices"), !place.hierarchy.unified {
                try writeControl("\(place.path)/devices.deny", "a")
                for decision in ordered {
                    let file = decision.allow ? "devices.allow" : "devices.deny"
                    try writeControl("\(place.path)/\(file)", decision.line)
                }
            } else if let unified {
                let directory = try openFile(unified.path, flags: 0o200000)  // O_DIRECTORY
                try attachDeviceProgram(deviceProgram(ordered), toCgroup: directory.raw)
            }
        } catch {
            throw Failure(doing, error)
        }
    }
}

/// A rule that says yes or no.
struct DeviceDecision: Hashable {
    var allow: Bool
    /// `c` or `b`; nil is of any kind, number and access.
    var kind: Character?
    /// nil: any.
    var major: UInt32?
    var minor: UInt32?
    /// BPF_DEVCG_ACC_* of linux/bpf.h: 1 makes a node, 2 reads, 4 writes.
    var access: UInt32 = 7

    init(allow: Bool, _ kind: Character, _ major: UInt32?, _ minor: UInt32?, access: UInt32 = 7) {
        self.allow = allow
        self.kind = kind
        self.major = major
        self.minor = minor
        self.access = access
    }

    init(_ given: RuntimeResources.DeviceRule) {
        allow = given.allow
        guard given.type == "c" || given.type == "b" else { return }
        kind = given.type?.first
        access = (given.access ?? "rwm").reduce(0) { $0 | ($1 == "r" ? 2 : $1 == "w" ? 4 : 1) }
        major = given.major.flatMap { $0 < 0 ? nil : UInt32(clamping: $0) }
        minor = given.minor.flatMap { $0 < 0 ? nil : UInt32(clamping: $0) }
    }

    /// What every container has (config-linux.md, "Default Devices"), its terminals, and the making of nodes, which
    /// opens none.
    static let always: [DeviceDecision] =
        [
            DeviceDecision(allow: true, "c", nil, nil, access: 1),
            DeviceDecision(allow: true, "b", nil, nil, access: 1),
            DeviceDecision(allow: true, "c", 136, nil),
        ]
        + [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2)].map {
            DeviceDecision(allow: true, "c", $0.0, $0.1)
        }

    /// For devices.allow and devices.deny.
    var line: String {
        guard let kind else { return "a" }
        let letters = [(2, "r"), (4, "w"), (1, "m")].filter { access & $0.0 != 0 }.map(\.1).joined()
        return "\(kind) \(major.map(String.init) ?? "*"):\(minor.map(String.init) ?? "*") \(letters)"
    }
}

/// 1 allows, 0 refuses. The rules are asked from the last to the first; one that allows must cover all that is wanted,
/// one that refuses any of it.
///
/// Registers: r2 kind, r3 wanted access, r4 major, r5 minor, from `struct bpf_cgroup_dev_ctx`.
func deviceProgram(_ decisions: [DeviceDecision]) -> [UInt64] {
    var code: [UInt64] = [
        bpf(0x61, 2, source: 1, offset: 0), bpf(0x54, 2, 0xffff),
        bpf(0x61, 3, source: 1, offset: 0), bpf(0x74, 3, 16),
        bpf(0x61, 4, source: 1, offset: 4), bpf(0x61, 5, source: 1, offset: 8),
    ]
    for decision in decisions.reversed() {
        // Each test jumps over the rest of its rule; `body` is what remains after it.
        var body = [bpf(0xb7, 0, decision.allow ? 1 : 0), bpf(0x95, 0)]
        func skip(_ jump: UInt8, _ register: UInt8, _ value: UInt32) {
            body.insert(bpf(jump, register, value, offset: Int16(body.count)), at: 0)
        }
        if let kind = decision.kind {
            if let minor = decision.minor { skip(0x55, 5, minor) }
            if let major = decision.major { skip(0x55, 4, major) }
            if decision.access != 7 {
                // Allowing: skip unless nothing beyond the rule is wanted; refusing: skip if nothing of it is.
                skip(decision.allow ? 0x55 : 0x15, 1, 0)
                body.insert(bpf(0x54, 1, decision.allow ? ~decision.access & 7 : decision.access), at: 0)
                body.insert(bpf(0xbc, 1, source: 3), at: 0)
            }
            skip(0x55, 2, kind == "b" ? 1 : 2)
        }
        code += body
        // What follows a rule without a condition is never reached, and the kernel's verifier refuses such code.
        if decision.kind == nil { return code }
    }
    return code + [bpf(0xb7, 0, 0), bpf(0x95, 0)]
}

/// One `struct bpf_insn`, linux/bpf.h.
private func bpf(
    _ code: UInt8, _ register: UInt8, _ immediate: UInt32 = 0, source: UInt8 = 0, offset: Int16 = 0
) -> UInt64 {
    UInt64(code) | UInt64(register) << 8 | UInt64(source) << 12
        | UInt64(UInt16(bitPattern: offset)) << 16 | UInt64(immediate) << 32
}
