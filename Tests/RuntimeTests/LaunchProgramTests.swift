// SPDX-License-Identifier: Apache-2.0
//
// Launch programs as text, small ones in full, and the verifier under mutations of them.

import Basics
private import CLaunch
import ContainerModel
import ContainerRuntime
import Kernel
import Testing

@testable import LaunchPlanning

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

    @Test("an exec closes all else before it joins, joins, and leaves its second process to the stub")
    func exec() {
        let expected = """
            dumpable reset-signals setsid write close-others join duplicate duplicate duplicate chdir
            umask stub bounding groups identity capabilities close-on-exec exec
            """
        #expect(words(execExample()) == list(expected))
    }

    @Test("a program with more descriptors than there are is told so before it is run")
    func excess() {
        var program = containerExample()
        #expect(program.excess == nil)
        for _ in 0..<512 { _ = program.newSlot() }
        #expect(program.excess?.contains("descriptors") == true)
    }

    @Test("an exec takes the container's label on the host's side, and its second process is made by us")
    func labelledExec() {
        var request = ExecRequest(arguments: ["true"], environment: [], workingDirectory: "/")
        request.appArmorProfile = "web"
        request.seLinuxContext = "a:b:c:d"
        let program = execProgram(for: request, intoCgroup: false)
        #expect(
            words(program).prefix(8).elementsEqual(
                list("dumpable reset-signals setsid write close-others write write join")))
        #expect(words(program).contains("clone") && !words(program).contains("stub"))
        let labels = program.steps.filter { $0.texts.first?.hasPrefix("/proc/self/attr") == true }
        #expect(labels.map { String(decoding: $0.blob, as: UTF8.self) } == ["exec web", "a:b:c:d"])
    }

    @Test("where the stub could not make it, an exec's second process is made before its settings")
    func earlySecondProcess() {
        var request = ExecRequest(arguments: ["true"], environment: [], workingDirectory: "/")
        func clonesItself() -> Bool { words(execProgram(for: request, intoCgroup: false)).contains("clone") }
        // BPF_RET: everything is allowed, nothing is.
        request.seccomp = [6, 0, 0, 0, 0, 0, 0xff, 0x7f]
        #expect(!clonesItself())
        request.seccomp = [6, 0, 0, 0, 1, 0, 5, 0]
        #expect(clonesItself())
        request.seccomp = []
        request.ulimits = ["nproc": LimitPair(soft: 9, hard: 9)]
        #expect(!clonesItself())
        request.identity = ProcessIdentity(uid: 1000, gid: 1000, groups: [], home: "/")
        #expect(clonesItself())
    }

    @Test("a container's program ends in the order security asks for, and tells no value of its environment")
    func container() {
        let program = containerExample()
        let expected = """
            reset-signals setsid write propagation fsmount attach-host fsmount attach fsmount attach
            mknod mknod mknod mknod mknod mknod mkdir mkdir mkdir symlink symlink symlink symlink symlink symlink
            fsmount attach fsmount attach fsmount attach fsmount attach fsmount attach write write hostname
            ensure-directory pivot-root fsmount open read-only read-only read-only read-only read-only
            mask mask mask mask mask mask mask mask mask mask mask mask
            duplicate duplicate duplicate chdir umask stub bounding groups identity
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

    /// Found by Tests/fuzz/launch: rounded up to the next message, such a length was 0, and the verifier went on for ever
    /// (as CVE-2021-43784, a length that overflows).
    @Test(
        "a netlink message longer than can be is refused",
        arguments: [15, 17, 0xffff_fffd, 0xffff_ffff] as [UInt32])
    func netlinkLength(length: UInt32) {
        var program = containerExample()
        var message = [UInt8](repeating: 0, count: 16)
        withUnsafeBytes(of: length) { message.replaceSubrange(0..<4, with: $0) }
        program.steps[0] = .init(
            code: L_NETLINK.rawValue, slots: [-1, -1, -1], texts: [], blob: message, flags: 0, numbers: [0],
            doing: "")
        var bad: Int32 = 0
        let bytes = program.encoded()
        #expect(bytes.withUnsafeBytes { covey_launch_verify($0.baseAddress, $0.count, &bad) } == 22)
        #expect(bad == 0)
    }

    /// An error's words were lost when the child failed before it had read that its links are ready: "its first process
    /// ended before it ran its program" was all that was told.
    @Test("what a child says last is heard, also when it read nothing of what it was sent")
    func lastWords() throws {
        let pair = try packetSocketPair()
        let ours = try pair.first.duplicate()
        var report = launch_report()
        report.kind = REPORT_FAILED
        report.operation = 7
        report.error = 1
        try sendMessage(pair.second.raw, withUnsafeBytes(of: report) { [UInt8]($0) })
        try sendTag(5, to: ours.raw)
        _ = consume pair
        guard case .failed(7, .notPermitted) = try LaunchReport.receive(ours.raw) else {
            Issue.record("its words are lost")
            return
        }
        if try LaunchReport.receive(ours.raw) != nil { Issue.record("it says more") }

        let silent = try packetSocketPair()
        let other = try silent.first.duplicate()
        try sendTag(5, to: other.raw)
        _ = consume silent
        #expect(throws: SyscallError.self) { _ = try LaunchReport.receive(other.raw) }
    }

    /// A hook, while which the launched process waits, stands for whoever comes to its binary by /proc.
    @Test("a program that no stub will stand before is run by a process whose binary nobody can write to")
    func apart() throws {
        let look =
            "{ exec 9</proc/$PPID/exe; echo x >/proc/self/fd/9; } 2>&1 | grep -q 'Read-only file system'"
        var program = LaunchProgram(cloneFlags: 0, given: ["sync", "input", "kept"])
        program.add(L_WRITE_SLOT, "writing", slots: [Slot(2)], blob: [1])
        program.add(
            L_HOOK, "looking", slots: [Slot(1)], blob: nulTerminated(["/bin/sh", "sh", "-c", look]),
            flags: UInt32(LAUNCH_UNCHECKED), numbers: [3, 0, 0])
        program.add(L_EXIT, "ending", numbers: [0])
        let null = try openFile("/dev/null", flags: 0)
        func outcome() throws -> String {
            let pair = try packetSocketPair()
            let child = try DirectChild(program, descriptors: [null.raw, pair.second.raw])
            do throws(Failure) { try child.waitForExec() } catch { return "failed" }
            _ = try child.wait()
            return try receiveMessage(pair.first.raw, capacity: 8).bytes == [1] ? "done" : "mute"
        }
        #expect(try outcome() == "failed", "its binary is read-only anyway")
        program.isApart = true
        #expect(try outcome() == "done")

        #expect(!containerExample().isApart && !execExample().isApart)
        var request = ExecRequest(arguments: ["true"], environment: ["PATH=/bin"], workingDirectory: "/")
        request.seLinuxContext = "a:b:c:d"
        #expect(execProgram(for: request, intoCgroup: true).isApart)
    }

    /// Found by Tests/fuzz/launch: two numbers of strings whose sum is small again.
    @Test("more strings than there are is refused, whatever their numbers add up to")
    func stringCounts() throws {
        var program = execExample()
        let last = program.steps.count - 1
        program.steps[last].numbers = [1, 2, .max]
        var bad: Int32 = 0
        let bytes = program.encoded()
        #expect(bytes.withUnsafeBytes { covey_launch_verify($0.baseAddress, $0.count, &bad) } == 22)
        #expect(bad == last)
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
