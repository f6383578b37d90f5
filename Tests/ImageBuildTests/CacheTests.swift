// SPDX-License-Identifier: Apache-2.0

import Basics
import ImageBuild
import Kernel
import Testing

@Suite("the step cache", .enabled(if: isRoot, "needs root"))
struct CacheTests {
    static let dockerfile = """
        FROM base AS make
        WORKDIR /src
        COPY one two/ ./
        RUN cat one > /out
        FROM scratch
        COPY --from=make /out /out
        COPY other /other
        LABEL a=1
        """

    private func sandbox() throws -> BuildSandbox {
        let sandbox = try BuildSandbox("one = 1\ntwo/t = 2\nother = 3")
        try sandbox.makeBase()
        return sandbox
    }

    @Test("an unchanged build runs nothing and gives the same image")
    func unchanged() throws {
        let sandbox = try sandbox()
        let first = try sandbox.build(Self.dockerfile)
        #expect(first.stepsRun == 5)
        let index = try readFile("\(sandbox.root)/images/index.json")
        let second = try sandbox.build(Self.dockerfile)
        #expect(second.stepsRun == 0)
        #expect(second.stepsCached == 5)
        #expect(second.id == first.id)
        #expect(try readFile("\(sandbox.root)/images/index.json") == index)
        try sandbox.expectNothingLeft()
    }

    @Test("stages whose cache is not wanted are built anew, the others not")
    func noCacheStages() throws {
        let sandbox = try sandbox()
        let text =
            "FROM base AS a\nRUN echo a > /a\nFROM base AS b\nRUN echo b > /b\nFROM scratch\nCOPY --from=a /a /\nCOPY --from=b /b /"
        _ = try sandbox.build(text)
        let again = try sandbox.build(text) { $0.noCacheStages = ["b"] }
        #expect(again.stepsRun == 1)
        #expect(again.stepsCached == 3)
    }

    @Test("with one thing at a time independent stages come one after another")
    func oneByOne() throws {
        let sandbox = try sandbox()
        // Whoever finds another at work fails.
        let step = "RUN mkdir /meet/busy && sleep 0.1 && rmdir /meet/busy"
        let stages = ["a", "b", "c"].map { "FROM base AS \($0)\n\(step)\n" }.joined()
        let copies = ["a", "b", "c"].map { "COPY --from=\($0) /bin/busybox /\($0)\n" }.joined()
        let meeting = "\(sandbox.path)/meet"
        try makeDirectory(meeting)
        var request = BuildRequest(
            context: sandbox.context, dockerfile: Array("\(stages)FROM scratch\n\(copies)".utf8))
        request.tags = ["test"]
        request.parallel = 1
        _ = try build(request, store: sandbox.store, runner: .meeting(at: meeting)) { _ in }
        try sandbox.expectNothingLeft()
    }

    @Test("independent stages are under way at once, and what one needs is there")
    func parallel() throws {
        let sandbox = try sandbox()
        // Each waits for the other's file: one after the other would never end.
        let text = """
            FROM base AS a
            RUN --network=none echo a
            RUN touch /meet/a; until [ -e /meet/b ]; do sleep 0.01; done
            FROM base AS b
            RUN touch /meet/b; until [ -e /meet/a ]; do sleep 0.01; done
            FROM base AS unneeded
            RUN exit 1
            FROM scratch
            COPY --from=a /bin/busybox /a
            COPY --from=b /bin/busybox /b
            """
        let meeting = "\(sandbox.path)/meet"
        try makeDirectory(meeting)
        var request = BuildRequest(context: sandbox.context, dockerfile: Array(text.utf8))
        request.tags = ["test"]
        _ = try build(request, store: sandbox.store, runner: .meeting(at: meeting)) { _ in }
        try sandbox.expectNothingLeft()
    }

    @Test("touching a file is no change, changing it runs what depends on it")
    func dependants() throws {
        let sandbox = try sandbox()
        _ = try sandbox.build(Self.dockerfile)
        spawn(["/usr/bin/touch", "\(sandbox.context)/one"])
        #expect(try sandbox.build(Self.dockerfile).stepsRun == 0)
        try sandbox.write("other = 4")
        _ = try sandbox.build(Self.dockerfile)
        #expect(
            sandbox.outcomes == ["cached WORKDIR", "cached COPY", "cached RUN", "cached COPY", "done COPY"])
        try sandbox.write("one = 5")
        _ = try sandbox.build(Self.dockerfile)
        #expect(sandbox.outcomes == ["cached WORKDIR", "done COPY", "done RUN", "done COPY", "done COPY"])
        #expect(try sandbox.tree() == "f 644 0:0 other = 4\nf 644 0:0 out = 5")
    }

    @Test("what a step does not change its dependants do not see")
    func narrow() throws {
        let sandbox = try sandbox()
        _ = try sandbox.build(Self.dockerfile)
        // The RUN is done again, but copies from it select the same content.
        try sandbox.write("two/t = 9")
        _ = try sandbox.build(Self.dockerfile)
        #expect(
            sandbox.outcomes == ["cached WORKDIR", "done COPY", "done RUN", "cached COPY", "cached COPY"])
    }

    @Test("a mode is a change, a label is none")
    func modes() throws {
        let sandbox = try sandbox()
        let first = try sandbox.build(Self.dockerfile)
        spawn(["/bin/chmod", "600", "\(sandbox.context)/other"])
        #expect(try sandbox.build(Self.dockerfile).stepsRun == 1)
        let labelled = try sandbox.build("\(Self.dockerfile) b=2")
        #expect(labelled.stepsRun == 0)
        #expect(labelled.id != first.id)
    }

    @Test("a changed line runs itself and what stands after it")
    func changedLine() throws {
        let sandbox = try sandbox()
        _ = try sandbox.build("FROM base\nRUN echo 1 > /a\nRUN echo 2 > /b\nRUN echo 3 > /c")
        _ = try sandbox.build("FROM base\nRUN echo 1 > /a\nRUN echo 4 > /b\nRUN echo 3 > /c")
        #expect(sandbox.outcomes == ["cached RUN", "done RUN", "done RUN"])
    }

    @Test("an argument is part of a RUN once it is declared, a proxy never")
    func arguments() throws {
        let sandbox = try sandbox()
        let text = "FROM base\nRUN echo $http_proxy > /a\nARG V=1\nRUN echo $V > /b"
        _ = try sandbox.build(text)
        _ = try sandbox.build(text) { $0.arguments = ["V": "2", "http_proxy": "p"] }
        #expect(sandbox.outcomes == ["cached RUN", "done RUN"])
        _ = try sandbox.build("FROM base\nRUN echo $http_proxy") { $0.arguments = ["http_proxy": "p"] }
        #expect(sandbox.output == ["p"])
    }

    @Test("hosts, limits and /dev/shm of the build are part of a RUN, and of nothing else")
    func settings() throws {
        let sandbox = try sandbox()
        let changes: [(inout BuildRequest) -> Void] = [
            { _ in }, { $0.extraHosts = [("a", "192.0.2.1")] }, { $0.extraHosts = [("a", "192.0.2.2")] },
            { $0.limits.ulimits = ["nofile": StepUlimit(soft: 5, hard: 6)] },
            { $0.limits.ulimits = ["nofile": StepUlimit(soft: 5, hard: 7)] },
            { $0.limits.sharedMemory = 1 << 20 },
        ]
        for change in changes {
            _ = try sandbox.build("FROM base\nCOPY one /one\nRUN true", change)
            #expect(sandbox.outcomes.last == "done RUN")
            _ = try sandbox.build("FROM base\nCOPY one /one\nRUN true", change)
            #expect(sandbox.outcomes == ["cached COPY", "cached RUN"])
        }
    }

    @Test(
        "a step takes a cache it names twice once, and stages that want two caches in other orders both get them",
        .timeLimit(.minutes(1)))
    func cacheLocks() throws {
        let sandbox = try sandbox()
        func mount(_ id: String, _ target: String, _ sharing: String) -> String {
            "--mount=type=cache,id=\(id),target=/\(target),sharing=\(sharing)"
        }
        for (first, second) in [("locked", "locked"), ("shared", "locked"), ("locked", "private")] {
            let line = "RUN \(mount("c", "a", first)) \(mount("c", "b", second)) true"
            _ = try sandbox.build("FROM base\n\(line)") { $0.noCache = true }
        }
        let (c, d) = (mount("c", "c", "locked"), mount("d", "d", "locked"))
        let text = """
            FROM base AS one
            RUN \(c) \(d) true
            FROM base AS two
            RUN \(d) \(c) true
            FROM scratch
            COPY --from=one /bin/sh /one
            COPY --from=two /bin/sh /two
            """
        for _ in 0..<20 {
            _ = try sandbox.build(text) {
                $0.noCache = true
                $0.parallel = 2
            }
        }
    }

    @Test("without the cache every step runs")
    func noCache() throws {
        let sandbox = try sandbox()
        _ = try sandbox.build(Self.dockerfile)
        #expect(try sandbox.build(Self.dockerfile) { $0.noCache = true }.stepsRun == 5)
    }

    @Test("a step whose layer is gone gets it back from its blob; one whose record is torn runs again")
    func lostLayer() throws {
        let sandbox = try BuildSandbox("a = 1")
        _ = try sandbox.build("FROM scratch\nCOPY a /")
        try removeTree("\(sandbox.root)/layers")
        #expect(try sandbox.build("FROM scratch\nCOPY a /").stepsRun == 0)
        #expect(try sandbox.tree() == "f 644 0:0 a = 1")
        for name in try directoryEntries("\(sandbox.root)/buildcache/steps") {
            try writeFile("\(sandbox.root)/buildcache/steps/\(name)", "2026".utf8)
        }
        #expect(try sandbox.build("FROM scratch\nCOPY a /").stepsRun == 1)
        #expect(try sandbox.tree() == "f 644 0:0 a = 1")
    }

    @Test("only the stages the target needs are built")
    func target() throws {
        let sandbox = try BuildSandbox("a = 1\nb = 2")
        let text = "FROM nowhere AS x\nRUN no\nFROM scratch AS one\nCOPY a /\nFROM one AS two\nCOPY b /"
        #expect(try sandbox.build(text) { $0.target = "one" }.stepsRun == 1)
        #expect(try sandbox.tree() == "f 644 0:0 a = 1")
        #expect(try sandbox.build(text) { $0.target = "2" }.stepsRun == 1)
        #expect(try sandbox.tree() == "f 644 0:0 a = 1\nf 644 0:0 b = 2")
    }

    @Test("what a killed build left is removed by the next")
    func leftovers() throws {
        let sandbox = try BuildSandbox("a = 1")
        let left = "\(sandbox.root)/buildcache/work/1-2/1-upper"
        try ensureDirectory(left)
        try writeFile("\(sandbox.root)/buildcache/work/1-2/lock", [])
        _ = try sandbox.build("FROM scratch\nCOPY a /")
        try sandbox.expectNothingLeft()
    }
}
