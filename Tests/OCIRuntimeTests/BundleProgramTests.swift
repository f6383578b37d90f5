// SPDX-License-Identifier: Apache-2.0
//
// What a bundle's launch programs have in them, seen as text and as filters: what the kernel shows of it is Scenarios'.

import Basics
import LaunchPlanning
import OCIFormats
import Testing

@Suite("launch programs of a bundle")
struct BundleProgramTests {
    private func config(_ linux: String) throws -> RuntimeConfig {
        try RuntimeConfig.read(Array(#"{"ociVersion":"1.2.0","linux":{\#(linux)}}"#.utf8))
    }

    private func filter(_ architectures: String, _ calls: String) throws -> LoadedFilter {
        let config = try config(
            #""seccomp":{"defaultAction":"SCMP_ACT_ALLOW","architectures":[\#(architectures)],"syscalls":[\#(calls)]}"#
        )
        return try LoadedFilter(try #require(config.linux.seccomp), kernel: "6.12")
    }

    // Naming x32 opened the door of i386, and on x86 so did ARM.
    @Test("only a machine's own 32-bit architecture opens it to 32-bit programs")
    func siblings() throws {
        let native = try filter("", "")
        for name in ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64", "SCMP_ARCH_X32", "SCMP_ARCH_S390X"] {
            #expect(try filter("\"\(name)\"", "") == native)
        }
        let both = try filter(#""SCMP_ARCH_X86","SCMP_ARCH_ARM""#, "")
        #expect(both != native)
        #if arch(arm64)
            let own = "SCMP_ARCH_ARM"
        #else
            let own = "SCMP_ARCH_X86"
        #endif
        #expect(try filter("\"\(own)\"", "") == both)
    }

    // As libseccomp does: the rule never applied.
    @Test("of a masked comparison both sides are masked")
    func masks() throws {
        func call(_ value: Int) -> String {
            #"{"names":["kill"],"action":"SCMP_ACT_ERRNO","args":[{"index":0,"op":"SCMP_CMP_MASKED_EQ","value":1,"valueTwo":\#(value)}]}"#
        }
        #expect(try filter("", call(5)) == filter("", call(1)))
        #expect(try filter("", call(4)) == filter("", call(0)) && filter("", call(4)) != filter("", call(1)))
    }

    @Test("a process with a scheduler of its own is made by the interpreter, before it is set")
    func scheduled() throws {
        let process = try RuntimeConfig.readProcess(Array(#"{"cwd":"/","args":["true"]}"#.utf8))
        func order(_ scheduler: [UInt8]) -> [String] {
            var settings = BundleProcess(process)
            settings.scheduler = scheduler
            let exec = BundleExec(id: "x", process: settings, namespaces: 0x2000_0000)
            return bundleExecProgram(for: exec).description.split(separator: "\n").compactMap {
                let name = $0.split(separator: " ").dropFirst().first.map(String.init)
                return ["clone", "scheduler"].contains(name) ? name : nil
            }
        }
        #expect(order([]) == [])
        #expect(order([UInt8](repeating: 56, count: 56)) == ["clone", "scheduler"])
    }

    @Test("a sysctl's first separator says which of the two is which")
    func sysctls() {
        #expect(sysctlPath("net.ipv4.ip_forward") == "net/ipv4/ip_forward")
        #expect(sysctlPath("net/ipv4/conf/eth0.1/forwarding") == "net/ipv4/conf/eth0.1/forwarding")
        #expect(sysctlPath("net.ipv4.conf.eth0/1.forwarding") == "net/ipv4/conf/eth0.1/forwarding")
    }

    @Test("what covers a place is the last mount on it or above it; a change of one is none")
    func covering() {
        func mount(_ target: String, _ source: BundleMount.Source, _ options: [String] = []) -> BundleMount {
            BundleMount(source: source, target: target, options: MountOptions(options), title: target)
        }
        let bind = mount("/dev", .path("/host/dev", isDirectory: true), ["rbind"])
        let tmpfs = mount("/dev", .fileSystem("tmpfs", source: "tmpfs", data: []))
        let change = mount("/dev", .existing, ["bind", "remount", "ro"])
        #expect([bind].hasForeignDev && [tmpfs, bind].hasForeignDev && [bind, change].hasForeignDev)
        #expect(![tmpfs].hasForeignDev && ![bind, tmpfs].hasForeignDev && ![tmpfs, change].hasForeignDev)
        #expect([bind].covering("/dev/shm")?.target == "/dev" && [bind].covering("/device") == nil)
        let inner = mount("/dev/shm", .fileSystem("tmpfs", source: "shm", data: []))
        #expect([bind, inner].covering("/dev/shm/x")?.target == "/dev/shm")
        #expect([inner, bind].covering("/dev/shm/x")?.target == "/dev")
    }
}
