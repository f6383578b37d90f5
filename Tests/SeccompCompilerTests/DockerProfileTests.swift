// SPDX-License-Identifier: Apache-2.0

import SeccompCompiler
import Testing

private let kernel = KernelVersion(6, 12)

struct Call: Sendable, CustomTestStringConvertible {
    var arch = AuditArch.x86_64
    var number: UInt32
    var arguments: [UInt64] = []
    var verdict: UInt32
    var name: String
    var testDescription: String { name }
}

@Suite("Docker's default profile, compiled")
struct DockerProfileTests {
    private func program(
        _ capabilities: CapabilitySet = .dockerDefault, _ architecture: SeccompArchitecture = .x86_64
    ) throws -> SeccompProgram {
        try SeccompPolicy.dockerDefault.compile(
            capabilities: capabilities, architecture: architecture, kernel: kernel)
    }

    @Test(
        "decides each call of the default container as Docker does",
        arguments: [
            Call(number: 0, verdict: Verdicts.allow, name: "read"),
            Call(number: 59, verdict: Verdicts.allow, name: "execve"),
            Call(number: 161, verdict: Verdicts.allow, name: "chroot: SYS_CHROOT is a default"),
            Call(number: 101, verdict: Verdicts.allow, name: "ptrace: the kernel is newer than 4.8"),
            Call(number: 158, verdict: Verdicts.allow, name: "arch_prctl: x86 only"),
            Call(number: 272, verdict: Verdicts.notPermitted, name: "unshare"),
            Call(number: 165, verdict: Verdicts.notPermitted, name: "mount"),
            Call(number: 250, verdict: Verdicts.notPermitted, name: "keyctl"),
            Call(number: 425, verdict: Verdicts.notPermitted, name: "io_uring_setup"),
            Call(number: 323, verdict: Verdicts.notPermitted, name: "userfaultfd"),
            Call(number: 321, verdict: Verdicts.notPermitted, name: "bpf"),
            Call(number: 435, verdict: Verdicts.noSystemCall, name: "clone3"),
            Call(number: 466, verdict: Verdicts.allow, name: "removexattrat, the newest named"),
            Call(number: 467, verdict: Verdicts.noSystemCall, name: "open_tree_attr, newer than the profile"),
            Call(number: 0x3fff_ffff, verdict: Verdicts.noSystemCall, name: "a number of the far future"),
            Call(number: 0x4000_0000, verdict: Verdicts.noSystemCall, name: "x32 read"),
            Call(number: 0xffff_ffff, verdict: Verdicts.noSystemCall, name: "number -1"),
            Call(number: 41, arguments: [2], verdict: Verdicts.allow, name: "socket AF_INET"),
            Call(number: 41, arguments: [37], verdict: Verdicts.allow, name: "socket AF_CAIF"),
            Call(number: 41, arguments: [38], verdict: Verdicts.notPermitted, name: "socket AF_ALG"),
            Call(
                number: 41, arguments: [1 << 32 + 38], verdict: Verdicts.notPermitted,
                name: "socket AF_ALG with a high bit the kernel drops"),
            Call(number: 41, arguments: [39], verdict: Verdicts.allow, name: "socket AF_NFC"),
            Call(number: 41, arguments: [40], verdict: Verdicts.notPermitted, name: "socket AF_VSOCK"),
            Call(number: 41, arguments: [44], verdict: Verdicts.allow, name: "socket AF_XDP"),
            Call(number: 135, arguments: [0], verdict: Verdicts.allow, name: "personality PER_LINUX"),
            Call(number: 135, arguments: [8], verdict: Verdicts.allow, name: "personality PER_LINUX32"),
            Call(number: 135, arguments: [0x20008], verdict: Verdicts.allow, name: "personality UNAME26"),
            Call(number: 135, arguments: [0xffff_ffff], verdict: Verdicts.allow, name: "personality query"),
            Call(
                number: 135, arguments: [0x40000], verdict: Verdicts.notPermitted,
                name: "personality ADDR_NO_RANDOMIZE"),
            Call(number: 56, arguments: [0x11], verdict: Verdicts.allow, name: "clone as fork does"),
            Call(number: 56, arguments: [0x3d0f00], verdict: Verdicts.allow, name: "clone of a thread"),
            Call(
                number: 56, arguments: [0x1000_0011], verdict: Verdicts.notPermitted,
                name: "clone with CLONE_NEWUSER"),
            Call(
                number: 56, arguments: [0x0002_0000], verdict: Verdicts.notPermitted,
                name: "clone with CLONE_NEWNS"),
            Call(arch: AuditArch.i386, number: 3, verdict: Verdicts.allow, name: "i386 read"),
            Call(arch: AuditArch.i386, number: 310, verdict: Verdicts.notPermitted, name: "i386 unshare"),
            Call(arch: AuditArch.i386, number: 435, verdict: Verdicts.noSystemCall, name: "i386 clone3"),
            Call(
                arch: AuditArch.i386, number: 359, arguments: [38], verdict: Verdicts.notPermitted,
                name: "i386 socket AF_ALG"),
            Call(arch: AuditArch.i386, number: 422, verdict: Verdicts.allow, name: "i386 futex_time64"),
            Call(arch: AuditArch.i386, number: 470, verdict: Verdicts.noSystemCall, name: "i386, newer"),
            Call(arch: AuditArch.s390x, number: 3, verdict: Verdicts.killProcess, name: "a foreign machine"),
        ])
    func decides(call: Call) throws {
        let value = try run(program(), arch: call.arch, number: call.number, call.arguments)
        #expect(value == call.verdict)
    }

    @Test("capabilities open what they are for, and clone and clone3 with SYS_ADMIN")
    func capabilities() throws {
        let admin = try program(CapabilitySet.dockerDefault.union(CapabilitySet(.sysAdmin)))
        for number: UInt32 in [165, 166, 272, 308, 321, 435, 428] {
            #expect(try run(admin, arch: AuditArch.x86_64, number: number) == Verdicts.allow, "\(number)")
        }
        #expect(try run(admin, arch: AuditArch.x86_64, number: 56, [0x7e02_0000]) == Verdicts.allow)
        #expect(try run(admin, arch: AuditArch.x86_64, number: 250) == Verdicts.notPermitted)
        let none = try program([])
        #expect(try run(none, arch: AuditArch.x86_64, number: 161) == Verdicts.notPermitted)
        let time = try program(CapabilitySet(.sysTime))
        #expect(try run(time, arch: AuditArch.x86_64, number: 227) == Verdicts.allow)
    }

    @Test("a kernel before 4.8 has no ptrace without SYS_PTRACE")
    func oldKernel() throws {
        let old = KernelVersion(4, 7)
        let policy = SeccompPolicy.dockerDefault
        let plain = try policy.compile(capabilities: .dockerDefault, architecture: .x86_64, kernel: old)
        #expect(try run(plain, arch: AuditArch.x86_64, number: 101) == Verdicts.notPermitted)
        let gifted = try policy.compile(
            capabilities: CapabilitySet(.sysPtrace), architecture: .x86_64, kernel: old)
        #expect(try run(gifted, arch: AuditArch.x86_64, number: 101) == Verdicts.allow)
    }

    @Test(
        "arm64 and 32-bit ARM have their own numbers",
        arguments: [
            Call(arch: AuditArch.aarch64, number: 63, verdict: Verdicts.allow, name: "read"),
            Call(arch: AuditArch.aarch64, number: 79, verdict: Verdicts.allow, name: "newfstatat"),
            Call(arch: AuditArch.aarch64, number: 222, verdict: Verdicts.allow, name: "mmap"),
            Call(arch: AuditArch.aarch64, number: 97, verdict: Verdicts.notPermitted, name: "unshare"),
            Call(
                arch: AuditArch.aarch64, number: 198, arguments: [38], verdict: Verdicts.notPermitted,
                name: "socket AF_ALG"),
            Call(arch: AuditArch.aarch64, number: 435, verdict: Verdicts.noSystemCall, name: "clone3"),
            Call(arch: AuditArch.arm, number: 3, verdict: Verdicts.allow, name: "arm read"),
            Call(arch: AuditArch.arm, number: 337, verdict: Verdicts.notPermitted, name: "arm unshare"),
            Call(
                arch: AuditArch.arm, number: 281, arguments: [38], verdict: Verdicts.notPermitted,
                name: "arm socket AF_ALG"),
            Call(arch: AuditArch.arm, number: 0xf_0000, verdict: Verdicts.noSystemCall, name: "arm gap"),
            Call(arch: AuditArch.arm, number: 0xf_0002, verdict: Verdicts.allow, name: "arm cacheflush"),
            Call(arch: AuditArch.arm, number: 0xf_0003, verdict: Verdicts.notPermitted, name: "arm usr26"),
            Call(arch: AuditArch.arm, number: 0xf_0005, verdict: Verdicts.allow, name: "arm set_tls"),
            Call(arch: AuditArch.arm, number: 0xf_0007, verdict: Verdicts.noSystemCall, name: "arm, newer"),
            Call(arch: AuditArch.arm, number: 467, verdict: Verdicts.noSystemCall, name: "arm call 467"),
            Call(arch: AuditArch.x86_64, number: 0, verdict: Verdicts.killProcess, name: "x86"),
        ])
    func arm(call: Call) throws {
        let value = try run(
            program(.dockerDefault, .aarch64), arch: call.arch, number: call.number, call.arguments)
        #expect(value == call.verdict)
    }

    @Test("stays far below the kernel's limit of 4096 instructions", arguments: SeccompArchitecture.allCases)
    func size(architecture: SeccompArchitecture) throws {
        for capabilities in [CapabilitySet.dockerDefault, .all, []] {
            let program = try program(capabilities, architecture)
            #expect(program.instructions.count < 500)
            #expect(program.bytes.count == program.instructions.count * 8)
        }
    }
}
