// SPDX-License-Identifier: Apache-2.0
//
// Which device nodes a project's processes may open and make. One policy for the whole project, set on its own cgroup
// before any process is in it; everything below inherits. On v1 it is lines in devices.allow; on v2 a BPF program
// (BPF_PROG_TYPE_CGROUP_DEVICE), which the kernel runs at every open and mknod of a device.

/// Devices that are allowed; all others are not.
public struct DevicePolicy: Hashable, Sendable {
    public struct Access: OptionSet, Hashable, Sendable {
        public let rawValue: UInt8
        public init(rawValue: UInt8) { self.rawValue = rawValue }
        /// BPF_DEVCG_ACC_* of linux/bpf.h.
        public static let makeNode = Access(rawValue: 1)
        public static let read = Access(rawValue: 2)
        public static let write = Access(rawValue: 4)
        public static let all: Access = [.makeNode, .read, .write]
    }

    public enum Kind: UInt8, Hashable, Sendable {
        /// BPF_DEVCG_DEV_* of linux/bpf.h.
        case block = 1
        case character = 2
    }

    public struct Rule: Hashable, Sendable {
        public var kind: Kind
        /// nil: any.
        public var major: UInt32?
        public var minor: UInt32?
        public var access: Access

        public init(_ kind: Kind, _ major: UInt32?, _ minor: UInt32?, _ access: Access) {
            self.kind = kind
            self.major = major
            self.minor = minor
            self.access = access
        }
    }

    public var allowed: [Rule]

    public init(allowed: [Rule]) { self.allowed = allowed }

    /// Docker's list with what runc adds: the OCI devices, consoles and ptys; any node may be made, few opened.
    public static let dockerDefault = DevicePolicy(allowed: [
        Rule(.character, nil, nil, .makeNode),
        Rule(.block, nil, nil, .makeNode),
        Rule(.character, 1, 3, .all),  // null
        Rule(.character, 1, 5, .all),  // zero
        Rule(.character, 1, 7, .all),  // full
        Rule(.character, 1, 8, .all),  // random
        Rule(.character, 1, 9, .all),  // urandom
        Rule(.character, 5, 0, .all),  // tty
        Rule(.character, 5, 1, .all),  // console
        Rule(.character, 5, 2, .all),  // ptmx
        Rule(.character, 136, nil, .all),  // ptys
    ])

    /// Lines for v1's devices.allow, after `a` was written to devices.deny.
    var allowLines: [String] {
        allowed.map { rule in
            let major = rule.major.map(String.init) ?? "*"
            let minor = rule.minor.map(String.init) ?? "*"
            var access = ""
            if rule.access.contains(.read) { access += "r" }
            if rule.access.contains(.write) { access += "w" }
            if rule.access.contains(.makeNode) { access += "m" }
            return "\(rule.kind == .block ? "b" : "c") \(major):\(minor) \(access)"
        }
    }

    /// The program for v2: 1 allows, 0 refuses with EPERM.
    ///
    /// Registers: r2 kind, r3 wanted access, r4 major, r5 minor, from `struct bpf_cgroup_dev_ctx`.
    var program: [UInt64] {
        var code: [UInt64] = [
            instruction(0x61, 2, source: 1, offset: 0),
            instruction(0x54, 2, 0xffff),
            instruction(0x61, 3, source: 1, offset: 0),
            instruction(0x74, 3, 16),
            instruction(0x61, 4, source: 1, offset: 4),
            instruction(0x61, 5, source: 1, offset: 8),
        ]
        for rule in allowed {
            // Each test jumps over the rest of its rule; `body` is what remains after it.
            var body: [UInt64] = [instruction(0xb7, 0, 1), instruction(0x95, 0)]
            func unless(_ register: UInt8, is value: UInt32) {
                body.insert(instruction(0x55, register, value, offset: Int16(body.count)), at: 0)
            }
            if let minor = rule.minor { unless(5, is: minor) }
            if let major = rule.major { unless(4, is: major) }
            if rule.access != .all {
                unless(1, is: 0)
                body.insert(instruction(0x54, 1, UInt32(~rule.access.rawValue & 7)), at: 0)
                body.insert(instruction(0xbc, 1, source: 3), at: 0)
            }
            unless(2, is: UInt32(rule.kind.rawValue))
            code += body
        }
        return code + [instruction(0xb7, 0, 0), instruction(0x95, 0)]
    }

    /// One `struct bpf_insn`, linux/bpf.h.
    private func instruction(
        _ code: UInt8, _ register: UInt8, _ immediate: UInt32 = 0, source: UInt8 = 0, offset: Int16 = 0
    ) -> UInt64 {
        UInt64(code) | UInt64(register) << 8 | UInt64(source) << 12
            | UInt64(UInt16(bitPattern: offset)) << 16 | UInt64(immediate) << 32
    }
}
