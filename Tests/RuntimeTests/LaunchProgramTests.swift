// SPDX-License-Identifier: Apache-2.0
//
// Launch programs as text, small ones in full, and the verifier under mutations of them.

import Basics
private import CLaunch
import ContainerModel
import Kernel
import LaunchPlanning
import Testing

private let host = HostFacts(overlayLowerdirPlus: true, cgroupV2: true, boundingCapabilities: 0x3)

private func containerExample() -> LaunchProgram {
    let request = ContainerRequest(
        image: ImageFacts(reference: "test", id: Digest(of: []), layers: ["/layers/a"]),
        arguments: ["sleep", "9"])
    var prepared = PreparedContainer(
        lowers: ["/layers/a"], upper: "/s/upper", work: "/s/work", mountPoint: "/s/root")
    prepared.hostname = "web-1"
    prepared.environment = ["PATH=/bin", "KEY=secret"]
    prepared.capabilities = 0x3
    return containerProgram(for: request, prepared: prepared, host: host, intoCgroup: true)
}

private func execExample() -> LaunchProgram {
    let request = ExecRequest(arguments: ["true"], environment: ["PATH=/bin"], workingDirectory: "/")
    return execProgram(for: request, intoCgroup: true)
}

/// Numbers that are the same each time.
private struct Steady: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state ^ state >> 29
    }
}

@Suite("launch programs")
struct LaunchProgramTests {
    private func words(_ program: LaunchProgram) -> [String] {
        program.description.split(separator: "\n").compactMap { line in
            let parts = line.split(separator: " ")
            guard let first = parts.first, Int(first) != nil, parts.count > 1 else { return nil }
            return String(parts[1])
        }
    }

    @Test("an exec closes all else before it joins, joins, clones once more and runs")
    func exec() {
        let expected = """
            dumpable reset-signals setsid write close-others join clone setsid duplicate duplicate duplicate chdir
            umask stub bounding groups identity capabilities close-on-exec exec
            """
        #expect(words(execExample()) == list(expected))
    }

    @Test("a container's program ends in the order security asks for, and tells no value of its environment")
    func container() {
        let program = containerExample()
        let expected = """
            reset-signals setsid write propagation fsmount attach-host fsmount attach fsmount attach
            mknod mknod mknod mknod mknod mknod mkdir mkdir mkdir symlink symlink symlink symlink symlink symlink
            fsmount attach fsmount attach fsmount attach fsmount attach fsmount attach write write hostname
            ensure-directory fsmount open read-only read-only read-only read-only read-only
            mask mask mask mask mask mask mask mask mask mask mask mask
            duplicate duplicate duplicate pivot-root chdir umask stub bounding groups identity
            capabilities close-on-exec exec
            """
        #expect(words(program) == list(expected))
        #expect(!program.description.contains("secret"))
        #expect(program.description.contains("\"KEY=…\""))
    }

    private func list(_ text: String) -> [String] {
        text.split { $0 == " " || $0 == "\n" }.map(String.init)
    }

    @Test("what the planner writes is verified", arguments: [containerExample(), execExample()])
    func verified(program: LaunchProgram) {
        var bad: Int32 = 0
        let bytes = program.encoded()
        #expect(bytes.withUnsafeBytes { covey_launch_verify($0.baseAddress, $0.count, &bad) } == 0)
    }

    @Test("the verifier answers whatever the bytes are", arguments: [containerExample(), execExample()])
    func mutated(program: LaunchProgram) {
        let good = program.encoded()
        var random = Steady(state: 20)
        var refused = 0
        for _ in 0..<10_000 {
            var bytes = good
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let at = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes[at] = 0xff
                case 2: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
                default: bytes.removeLast(min(bytes.count - 1, Int.random(in: 0..<64, using: &random)))
                }
            }
            // A copy of exactly this size on the heap: a byte read past it is seen by the address sanitizer.
            var bad: Int32 = 0
            let verdict = bytes.withUnsafeBytes { covey_launch_verify($0.baseAddress, $0.count, &bad) }
            #expect(verdict == 0 || verdict == 22)
            if verdict != 0 { refused += 1 }
        }
        #expect(refused > 100)
    }
}
