// SPDX-License-Identifier: Apache-2.0
//
// Which device nodes processes may open and make. A project has one policy, and a container that asks for more or other
// devices one of its own. On v1 it is lines in devices.allow and devices.deny; on v2 a BPF program
// (BPF_PROG_TYPE_CGROUP_DEVICE), which the kernel runs at every open and mknod of a device.

extension DevicePolicy.Rule: CustomStringConvertible {
    /// As v1's files have it: `c 1:3 rwm`; of both kinds, `a`.
    public var description: String {
        // Plain on purpose: for the standard library's text of a number the runtime looks for conformances.
        func number(_ value: UInt32?) -> String {
            guard var left = value else { return "*" }
            var digits: [UInt8] = []
            repeat {
                digits.insert(UInt8(ascii: "0") + UInt8(left % 10), at: 0)
                left /= 10
            } while left > 0
            return String(decoding: digits, as: UTF8.self)
        }
        var text = kind == nil ? "a " : kind == .block ? "b " : "c "
        text += number(major) + ":" + number(minor) + " "
        if access.contains(.read) { text += "r" }
        if access.contains(.write) { text += "w" }
        if access.contains(.makeNode) { text += "m" }
        return text
    }

    /// True when some access to some device is spoken of by both; both are of one kind.
    fileprivate func overlaps(_ other: Self) -> Bool {
        kind == other.kind && (major == nil || other.major == nil || major == other.major)
            && (minor == nil || other.minor == nil || minor == other.minor)
            && !access.isDisjoint(with: other.access)
    }

    /// True when no device of `other` is left out.
    fileprivate func coversDevices(of other: Self) -> Bool {
        (major == nil || major == other.major) && (minor == nil || minor == other.minor)
    }
}

/// Devices that are allowed and refused.
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

    /// One line of a policy; a later one wins over those before it, as in the OCI's `linux.resources.devices`.
    public struct Rule: Hashable, Sendable {
        /// nil: both.
        public var kind: Kind?
        /// nil: any.
        public var major: UInt32?
        public var minor: UInt32?
        public var access: Access
        public var allows: Bool

        public init(
            _ kind: Kind?, _ major: UInt32?, _ minor: UInt32?, _ access: Access, allows: Bool = true
        ) {
            self.kind = kind
            self.major = major
            self.minor = minor
            self.access = access
            self.allows = allows
        }
    }

    /// What no rule speaks of.
    public private(set) var allowsOthers: Bool
    public private(set) var rules: [Rule]

    /// Nothing but these.
    public init(allowed: [Rule]) { self.init(rules: allowed) }

    /// - Parameter allowsOthers: what holds before the first rule.
    public init(allowsOthers: Bool = false, rules: [Rule]) {
        self.allowsOthers = allowsOthers
        self.rules = []
        for rule in rules { add(rule) }
    }

    /// A rule on everything makes those before it moot.
    public mutating func add(_ rule: Rule) {
        if rule.kind == nil, rule.major == nil, rule.minor == nil, rule.access == .all {
            allowsOthers = rule.allows
            rules = []
        } else {
            rules.append(rule)
        }
    }

    /// Every device, as for a privileged container.
    public static let everything = DevicePolicy(allowsOthers: true, rules: [])

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

    /// What is written to v1's files in turn.
    ///
    /// v1 knows no order: it has what holds for all devices, and exceptions from that. A rule for what holds anyway takes
    /// back what it covers of the exceptions before it; one that covers only a part of an exception (all characters but
    /// null) can't be said there, and the kernel would accept and ignore it (dev_exception_rm, security/device_cgroup.c).
    /// - Throws: the rule that can't be said.
    func legacyLines() throws(UnspeakableRule) -> [(file: String, line: String)] {
        var exceptions: [Rule] = []
        for rule in rules {
            for kind in rule.kind.map({ [$0] }) ?? [.character, .block] {
                var rule = rule
                rule.kind = kind
                if rule.allows != allowsOthers {
                    exceptions.append(rule)
                    continue
                }
                for index in exceptions.indices.reversed() where rule.overlaps(exceptions[index]) {
                    guard rule.coversDevices(of: exceptions[index]) else { throw UnspeakableRule(rule: rule) }
                    exceptions[index].access.subtract(rule.access)
                    if exceptions[index].access.isEmpty { exceptions.remove(at: index) }
                }
            }
        }
        return [(allowsOthers ? "devices.allow" : "devices.deny", "a")]
            + exceptions.map { ($0.allows ? "devices.allow" : "devices.deny", $0.description) }
    }

    /// A rule that v1 has no way to keep beside those before it.
    struct UnspeakableRule: Error { let rule: Rule }

    /// The program for v2: 1 allows, 0 refuses with EPERM. The last rule that speaks of an access decides, so it is asked
    /// first: one that allows must allow all that is wanted, one that refuses any of it.
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
        for rule in rules.reversed() {
            // Each test jumps over the rest of its rule; `body` is what remains after it.
            var body: [UInt64] = [instruction(0xb7, 0, rule.allows ? 1 : 0), instruction(0x95, 0)]
            func unless(_ register: UInt8, is value: UInt32) {
                body.insert(instruction(0x55, register, value, offset: Int16(body.count)), at: 0)
            }
            if let minor = rule.minor { unless(5, is: minor) }
            if let major = rule.major { unless(4, is: major) }
            if rule.access != .all {
                if rule.allows {
                    unless(1, is: 0)
                } else {
                    body.insert(instruction(0x15, 1, 0, offset: Int16(body.count)), at: 0)
                }
                let others = ~rule.access.rawValue & 7
                body.insert(instruction(0x54, 1, UInt32(rule.allows ? others : rule.access.rawValue)), at: 0)
                body.insert(instruction(0xbc, 1, source: 3), at: 0)
            }
            if let kind = rule.kind { unless(2, is: UInt32(kind.rawValue)) }
            code += body
        }
        return code + [instruction(0xb7, 0, allowsOthers ? 1 : 0), instruction(0x95, 0)]
    }

    /// One `struct bpf_insn`, linux/bpf.h.
    private func instruction(
        _ code: UInt8, _ register: UInt8, _ immediate: UInt32 = 0, source: UInt8 = 0, offset: Int16 = 0
    ) -> UInt64 {
        UInt64(code) | UInt64(register) << 8 | UInt64(source) << 12
            | UInt64(UInt16(bitPattern: offset)) << 16 | UInt64(immediate) << 32
    }
}
