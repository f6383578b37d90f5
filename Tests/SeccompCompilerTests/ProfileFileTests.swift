// SPDX-License-Identifier: Apache-2.0

import Basics
import SeccompCompiler
import Testing

private let kernel = KernelVersion(6, 12)

private func policy(_ json: String) throws(Failure) -> SeccompPolicy {
    try SeccompPolicy(json: Array(json.utf8), profile: "seccomp profile \"p.json\"")
}

@Suite("a profile's file becomes a policy")
struct ProfileFileTests {
    @Test("names, arguments, gates and errno mean what they do in Docker")
    func docker() throws {
        let policy = try policy(
            """
            {
              "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
              "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
              "syscalls": [
                {"names": ["read", "no_such_call"], "action": "SCMP_ACT_ALLOW"},
                {"name": "write", "action": "SCMP_ACT_ERRNO", "errnoRet": 13,
                 "args": [{"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}]},
                {"names": ["write"], "action": "SCMP_ACT_ALLOW",
                 "args": [{"index": 0, "value": 2, "op": "SCMP_CMP_NE"}]},
                {"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [
                  {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}]},
                {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
                {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "9.9"}},
                {"names": ["chroot"], "action": "SCMP_ACT_ALLOW", "excludes": {"arches": ["s390x"]}},
                {"names": ["acct"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["s390x"]}},
                {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [
                  {"index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]}
              ]
            }
            """)
        func verdict(_ number: UInt32, _ arguments: [UInt64] = [], _ capabilities: CapabilitySet = []) throws
            -> UInt32
        {
            let program = try policy.compile(
                capabilities: capabilities, architecture: .x86_64, kernel: kernel)
            return try run(program, arch: AuditArch.x86_64, number: number, arguments)
        }
        #expect(try verdict(0) == Verdicts.allow)
        #expect(try verdict(1, [2]) == 0x0005_000d)
        #expect(try verdict(1, [1]) == Verdicts.allow)
        #expect(try verdict(41, [1]) == Verdicts.allow && verdict(41, [2]) == Verdicts.allow)
        #expect(try verdict(41, [3]) == Verdicts.noSystemCall)
        #expect(try verdict(165) == Verdicts.noSystemCall)
        #expect(try verdict(165, [], CapabilitySet(.sysAdmin)) == Verdicts.allow)
        #expect(try verdict(101) == Verdicts.noSystemCall)
        #expect(try verdict(161) == Verdicts.allow)
        #expect(try verdict(163) == Verdicts.noSystemCall)
        #expect(try verdict(56, [0x1200_0011]) == Verdicts.noSystemCall)
        #expect(try verdict(56, [0x0100_0011]) == Verdicts.allow)
    }

    @Test(
        "a machine's 32-bit programs are served where their own architecture is named, and no other",
        arguments: [
            ("\"SCMP_ARCH_X86_64\"", false, false), ("\"SCMP_ARCH_X86_64\", \"SCMP_ARCH_X86\"", true, false),
            ("\"SCMP_ARCH_X32\"", false, false), ("\"SCMP_ARCH_ARM\"", false, true), ("", true, true),
        ])
    func architectures(names: String, x86: Bool, arm: Bool) throws {
        let policy = try policy(
            "{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"architectures\": [\(names)]}")
        for (machine, sibling, serves) in [
            (SeccompArchitecture.x86_64, AuditArch.i386, x86), (.aarch64, AuditArch.arm, arm),
        ] {
            let program = try policy.compile(capabilities: [], architecture: machine, kernel: kernel)
            let verdict = try run(program, arch: sibling, number: 3)
            #expect(verdict == (serves ? Verdicts.allow : Verdicts.killProcess))
        }
    }

    @Test("of a masked comparison both sides are masked, as libseccomp does")
    func masks() throws {
        let policy = try policy(
            """
            {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ERRNO", "args": [
              {"index": 0, "op": "SCMP_CMP_MASKED_EQ", "value": 1, "valueTwo": 5}]}]}
            """)
        let program = try policy.compile(capabilities: [], architecture: .x86_64, kernel: kernel)
        #expect(try run(program, arch: AuditArch.x86_64, number: 0, [3]) == Verdicts.notPermitted)
        #expect(try run(program, arch: AuditArch.x86_64, number: 0, [4]) == Verdicts.allow)
    }

    @Test(
        "what is not understood is said with its place",
        arguments: [
            ("{", "is no JSON"), ("[]", "has no `defaultAction`"),
            ("{\"defaultAction\": \"SCMP_ACT_ALOW\"}", "did you mean SCMP_ACT_ALLOW?"),
            ("{\"defaultAction\": \"SCMP_ACT_NOTIFY\"}", "wants a listener"),
            (
                "{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"flags\": [\"SECCOMP_FILTER_FLAG_LOG\"]}",
                "has the flag"
            ),
            ("{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": {}}", "`syscalls`, is no list"),
            (
                "{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [{\"action\": \"SCMP_ACT_LOG\"}]}",
                "`syscalls[0]`, names no system call"
            ),
            (
                """
                {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_LOG",
                 "args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]}]}
                """, "`syscalls[0].args[0]`, has no `index` from 0 to 5"
            ),
            (
                """
                {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_LOG",
                 "includes": {"caps": ["CAP_MAGIC"]}}]}
                """, "CAP_MAGIC"
            ),
            (
                """
                {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
                 {"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 65536}]}
                """, "`syscalls[0]`, gives SCMP_ACT_ERRNO the number 65536"
            ),
            (
                "{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"defaultErrnoRet\": 4096}",
                "the largest is 4095"
            ),
        ])
    func mistakes(json: String, said: String) {
        let failure = #expect(throws: Failure.self) { try policy(json) }
        let text = [failure?.doing, failure?.cause, failure?.advice].compactMap { $0 }.joined(separator: " ")
        #expect(text.contains(said))
    }
}
