// SPDX-License-Identifier: Apache-2.0
//
// SeccompCompiler: seccomp policies → classic BPF programs. Pure: loads nothing, asks the kernel nothing.
//
// A policy is a value: what to do by default and a list of rules on system calls. Rules may be gated by the
// container's capabilities, the machine's architecture and the kernel's version (as in moby's profiles), so one
// policy serves every container; `compile` turns it into the program for one of them.

/// What system calls a container may make.
public struct SeccompPolicy: Hashable, Sendable {
    /// For every call no rule speaks of.
    public var defaultAction: SeccompAction
    /// The first rule without conditions that names a call decides; without one the first whose conditions hold, of those that
    /// may the one that libseccomp asks first (RuleOrder.swift). A rule whose action is the default one says nothing.
    public var rules: [SeccompRule]
    /// The machines on which 32-bit programs live by the policy too; on others they are killed at their first call.
    public var siblings = Set(SeccompArchitecture.allCases)

    public init(defaultAction: SeccompAction, rules: [SeccompRule]) {
        self.defaultAction = defaultAction
        self.rules = rules
    }
}

/// What happens to a system call (seccomp(2), SECCOMP_SET_MODE_FILTER).
public enum SeccompAction: Hashable, Sendable {
    case allow
    /// The call fails with this errno and is not made.
    case errno(UInt16)
    case killProcess
    case killThread
    /// SIGSYS.
    case trap
    /// To the tracer, with this value; ENOSYS without one.
    case trace(UInt16)
    case log
    /// To the listener's descriptor.
    case notify

    /// The filter's return value, linux/seccomp.h.
    public var returnValue: UInt32 {
        switch self {
        case .killProcess: 0x8000_0000
        case .killThread: 0
        case .trap: 0x0003_0000
        case .errno(let code): 0x0005_0000 | UInt32(code)
        case .notify: 0x7fc0_0000
        case .trace(let value): 0x7ff0_0000 | UInt32(value)
        case .log: 0x7ffc_0000
        case .allow: 0x7fff_0000
        }
    }

    /// True for actions that let the call through.
    var isPermissive: Bool {
        switch self {
        case .allow, .log, .trace: true
        case .errno, .killProcess, .killThread, .trap, .notify: false
        }
    }
}

/// An action for some system calls, under conditions.
public struct SeccompRule: Hashable, Sendable {
    /// Those an architecture doesn't have are passed over.
    public var syscalls: [Syscall]
    public var action: SeccompAction
    /// All must hold.
    public var conditions: [ArgumentCondition]
    /// The rule exists only where this holds.
    public var onlyIf: RuleGate?
    /// The rule doesn't exist where any part of this holds.
    public var unless: RuleGate?

    public init(
        _ action: SeccompAction, _ syscalls: [Syscall], when conditions: [ArgumentCondition] = [],
        onlyIf: RuleGate? = nil, unless: RuleGate? = nil
    ) {
        self.syscalls = syscalls
        self.action = action
        self.conditions = conditions
        self.onlyIf = onlyIf
        self.unless = unless
    }
}

/// What a rule's existence depends on.
public struct RuleGate: Hashable, Sendable {
    public var capabilities: CapabilitySet
    /// The machine's own architecture; its 32-bit programs follow it. Empty: any.
    public var architectures: Set<SeccompArchitecture>
    public var minimumKernel: KernelVersion?
    /// It speaks of architectures that are none of ours as well: with none of ours named it never holds.
    public var namesOtherArchitectures = false

    public init(
        capabilities: CapabilitySet = [], architectures: Set<SeccompArchitecture> = [],
        minimumKernel: KernelVersion? = nil
    ) {
        self.capabilities = capabilities
        self.architectures = architectures
        self.minimumKernel = minimumKernel
    }
}

/// A comparison of one argument of a system call.
public struct ArgumentCondition: Hashable, Sendable {
    public enum Comparison: Hashable, Sendable {
        case equal, notEqual, less, lessOrEqual, greater, greaterOrEqual
        /// `argument & mask` is `value & mask`.
        case masked(UInt64)
    }
    public enum Width: Hashable, Sendable {
        /// The whole register.
        case bits64
        /// The low half, for arguments the kernel itself reads as an `int`: a set high bit must not change the verdict.
        case bits32
    }
    /// 0 to 5.
    public var argument: Int
    public let comparison: Comparison
    public let value: UInt64
    public var width: Width

    public init(_ argument: Int, _ comparison: Comparison, _ value: UInt64, width: Width = .bits64) {
        precondition((0..<6).contains(argument))
        self.argument = argument
        self.comparison = comparison
        // libseccomp masks both sides (src/db.c, _db_node_mask_fixup): bits beside the mask would never be found.
        if case .masked(let mask) = comparison { self.value = value & mask } else { self.value = value }
        self.width = width
    }
}

/// A machine's native architecture.
public enum SeccompArchitecture: Hashable, Sendable, CaseIterable {
    case x86_64, aarch64

    /// The one this program was built for.
    public static var current: SeccompArchitecture {
        #if arch(arm64)
            .aarch64
        #else
            .x86_64
        #endif
    }

    /// What profiles call the 32-bit convention that the kernel serves beside this one. Not SCMP_ARCH_X32: that is x86_64's own
    /// numbers with a bit set, which answer ENOSYS whatever is named.
    public var siblingName: String {
        switch self {
        case .x86_64: "SCMP_ARCH_X86"
        case .aarch64: "SCMP_ARCH_ARM"
        }
    }

    /// Those whose sibling is among the architectures a profile names.
    public static func withSibling(in names: some Collection<String>) -> Set<SeccompArchitecture> {
        Set(allCases.filter { names.contains($0.siblingName) })
    }
}

/// A kernel's `major.minor`.
public struct KernelVersion: Hashable, Sendable, Comparable {
    public var major: Int
    public var minor: Int

    public init(_ major: Int, _ minor: Int) {
        self.major = major
        self.minor = minor
    }

    /// From uname(2)'s release, `6.12.9-amd64`; nil when it doesn't begin with two numbers.
    public init?(release: String) {
        let parts = release.split(separator: ".", maxSplits: 2)
        guard parts.count >= 2, let major = Int(parts[0]) else { return nil }
        guard let minor = Int(parts[1].prefix { $0.isASCII && $0.isNumber }) else { return nil }
        self.init(major, minor)
    }

    public static func < (a: KernelVersion, b: KernelVersion) -> Bool {
        (a.major, a.minor) < (b.major, b.minor)
    }
}
