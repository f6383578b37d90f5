// SPDX-License-Identifier: Apache-2.0

import Basics
import ContainerModel
import FoundationEssentials
import Planning
import Testing

/// One world, one intent, one plan.
struct LifeCase: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var before: String
    var changes: @Sendable (inout World) -> Void
    var intent: @Sendable (Observation) throws -> Plan
    var plan: String

    init(
        _ description: String, before: String = shop,
        changes: @escaping @Sendable (inout World) -> Void = { _ in },
        intent: @escaping @Sendable (Observation) throws -> Plan, plan: String
    ) {
        testDescription = description
        self.before = before
        self.changes = changes
        self.intent = intent
        self.plan = plan
    }
}

private let shop = """
    db: check; volume data; grace 30s
    job: once; needs db healthy
    web: needs db healthy restart; needs job completed; replicas 2
    """

private func stopEverything(_ world: inout World) {
    for container in world.seen.containers where container.state.isLive {
        world.change(container.name) { $0.state = .exited(code: 143, onRequest: true) }
    }
}

@Suite("start, stop, restart, kill and down look at what exists")
struct PlanLifeTests {
    @Test("its text is golden, and it can be carried out", arguments: lifeCases)
    func golden(test: LifeCase) throws {
        let desired = stack(test.before)
        var world = try World.running(desired, otherThan: test.changes)
        let plan = try test.intent(world.seen)
        if plan.description != test.plan {
            Issue.record("\(test.testDescription)\n--- expected\n\(test.plan)\n--- planned\n\(plan)\n---")
        }
        world.apply(plan, for: desired)
        #expect(world.broken == [])
    }

    @Test("restart runs what has completed again where another one wants it healthy")
    func restartsForTheHealthy() throws {
        var world = try World.running(stack("db: once; check\nweb: needs db healthy"))
        world.change("demo-db-1") { $0.state = .exited(code: 0, onRequest: false) }
        let plan = try planRestart(world.seen)
        #expect(plan.description.contains("start container demo-db-1: restart"), "\(plan)")
    }

    @Test("down leaves nothing of the project but what it is told to keep")
    func downLeavesNothing() throws {
        var world = try World.running(stack(shop + "\nold: net side\nvolume out: external\nuser: volume out"))
        let desired = stack(shop)
        world.apply(try planDown(world.seen), for: desired)
        #expect(world.broken == [])
        #expect(world.seen.containers == [])
        #expect(world.seen.networks == [:])
        #expect(world.seen.volumes.keys.sorted() == ["demo_data", "demo_out"])
        var options = DownOptions()
        options.removeVolumes = true
        world.apply(try planDown(world.seen, options: options), for: desired)
        #expect(world.broken == [])
        #expect(world.seen.volumes.keys.sorted() == ["demo_out"])
        #expect(try planDown(world.seen, options: options).isEmpty)
    }

    @Test("what the project made and declares external by now stays, whether services use it or not")
    func externalStays() throws {
        var world = try World.running(stack("web: net n; net own; volume data; volume more"))
        var options = DownOptions()
        options.removeVolumes = true
        options.external = ExternalNames(networks: ["demo_n"], volumes: ["demo_data"])
        var forgetting = UpOptions()
        forgetting.removeOrphans = true
        var alone = stack("other:")
        alone.external = options.external
        let forgotten = try planUp(alone, observed: world.seen, options: forgetting)
        #expect("\(forgotten)".contains("remove network demo_own"), "\(forgotten)")
        #expect(!"\(forgotten)".contains("remove network demo_n"), "\(forgotten)")
        let named = {
            var named = options
            named.services = ["web"]
            return named
        }()
        #expect(
            "\(try planDown(world.seen, options: named))" == "\(try planDown(world.seen, options: options))")
        world.apply(try planDown(world.seen, options: options), for: stack("web:"))
        #expect(world.broken == [])
        #expect(world.seen.networks.keys.sorted() == ["demo_n"])
        #expect(world.seen.volumes.keys.sorted() == ["demo_data"])
    }

    @Test("a network that was external for a while is not made anew when it is the project's own again")
    func ownAgain() throws {
        var world = try World.running(stack("web: net n\nnetwork n: internal"))
        var external = NetworkRequest(name: "demo_n")
        external.external = true
        world.seen.networks["demo_n"]?.request = external
        #expect(try planUp(stack("web: net n\nnetwork n: internal"), observed: world.seen).isEmpty)
    }

    @Test("down works when nothing is known of the services any more")
    func downWithoutRequests() throws {
        var world = try World.running(stack(shop))
        world.seen.requests = [:]
        var options = DownOptions()
        options.removeVolumes = true
        world.apply(try planDown(world.seen, options: options), for: stack(shop))
        #expect(world.broken == [])
        #expect(world.seen.containers == [] && world.seen.networks == [:] && world.seen.volumes == [:])
    }

    @Test("down works although stored services depend on each other in a circle")
    func downWithCircle() throws {
        var world = try World.running(stack("a:\nb: needs a"))
        world.seen.requests["a"]?.dependencies["b"] = DependencyRequest(condition: .started)
        world.apply(try planDown(world.seen), for: stack("a:\nb: needs a"))
        #expect(world.broken == [])
        #expect(world.seen.containers == [])
    }

    struct Refusal: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var intent: @Sendable () throws -> Plan
        init(_ message: String, _ intent: @escaping @Sendable () throws -> Plan) {
            testDescription = message
            self.intent = intent
        }
    }

    @Test(
        "what cannot be is refused, in words",
        arguments: [
            Refusal("error: there is no service \"wep\"\n  try:   did you mean \"web\"?") {
                var options = UpOptions()
                options.services = ["wep"]
                return try planUp(stack("web:"), observed: Observation(project: "demo"), options: options)
            },
            Refusal("error: there is no service \"dbg\"\n  cause: it is switched off by its profiles") {
                var options = UpOptions()
                options.services = ["dbg"]
                return try planUp(
                    stack("web:\ndisabled dbg"), observed: Observation(project: "demo"), options: options)
            },
            Refusal("error: external volume \"demo_v\" does not exist") {
                try planUp(
                    stack("web: volume v\nvolume v: external"), observed: Observation(project: "demo"))
            },
            Refusal("error: external network \"demo_n\" does not exist") {
                try planUp(stack("web: net n\nnetwork n: external"), observed: Observation(project: "demo"))
            },
            Refusal("error: network \"demo_n\" exists already\n  cause: it belongs to project \"other\"") {
                var world = try World.running(stack("web: net n"))
                world.seen.networks["demo_n"]?.project = "other"
                return try planUp(stack("web: net n"), observed: world.seen)
            },
            Refusal(
                "error: cannot change network \"demo_n\": internal false → true\n"
                    + "  cause: containers of other projects are on it: theirs-1"
            ) {
                var world = try World.running(stack("web: net n"))
                world.seen.networks["demo_n"]?.foreignContainers = ["theirs-1"]
                return try planUp(stack("web: net n\nnetwork n: internal"), observed: world.seen)
            },
            Refusal(
                "error: cannot change network \"demo_n\"\n  cause: container demo-old-1 runs on it, "
                    + "but service \"old\" is not declared\n  try:   use --remove-orphans"
            ) {
                let world = try World.running(stack("web: net n\nold: net n"))
                return try planUp(stack("web: net n\nnetwork n: internal"), observed: world.seen)
            },
            Refusal("error: services depend on each other in a circle\n  cause: a → b → a") {
                try planUp(stack("a: needs b\nb: needs a\nc:"), observed: Observation(project: "demo"))
            },
            Refusal(
                "error: cannot bring up service \"web\"\n  cause: its container demo-web-1 is paused\n"
                    + "  try:   `covey unpause web` lets it go on"
            ) {
                var world = try World.running(stack("db:\nweb: needs db"))
                world.change("demo-web-1") { $0.isPaused = true }
                return try planUp(stack("db:\nweb: needs db"), observed: world.seen)
            },
            Refusal("error: cannot start service \"db\"\n  cause: its container demo-db-1 is paused") {
                var world = try World.running(stack("db:\nweb: needs db"))
                world.change("demo-db-1") { $0.isPaused = true }
                return try planStart(world.seen, services: ["web"])
            },
            Refusal("error: there is no signal \"SIGHOP\"") {
                try planKill(Observation(project: "demo"), signal: "SIGHOP")
            },
            Refusal("error: there is no service \"web\"") {
                try planStop(Observation(project: "demo"), services: ["web"])
            },
        ])
    func refused(refusal: Refusal) {
        #expect {
            _ = try refusal.intent()
        } throws: {
            "\($0)".hasPrefix(refusal.testDescription)
        }
    }

    @Test("kill reaches what waits for its restart policy, with a signal that would end it")
    func killBetweenStarts() throws {
        var world = try World.running(stack("web:"))
        world.change("demo-web-1") { $0.state = .restarting }
        for signal in ["SIGKILL", "TERM"] {
            #expect(try planKill(world.seen, signal: signal).nodes.count == 1)
        }
        #expect(try planKill(world.seen, signal: "SIGHUP").nodes.isEmpty)
    }

    @Test("a network other projects are on stays when the project goes")
    func sharedNetworkStays() throws {
        var world = try World.running(stack("web: net n"))
        world.seen.networks["demo_n"]?.foreignContainers = ["theirs-1"]
        #expect(
            try planDown(world.seen).description == """
                1. stop container demo-web-1 within 10s: down
                2. remove container demo-web-1: down [after 1]
                notice: network demo_n stays: containers of other projects are on it: theirs-1
                """)
    }

    @Test("a volume other projects use stays when the project goes with its volumes")
    func sharedVolumeStays() throws {
        var world = try World.running(stack("web: volume data"))
        world.seen.volumes["demo_data"]?.foreignContainers = ["theirs-1"]
        var options = DownOptions()
        options.removeVolumes = true
        #expect(
            try planDown(world.seen, options: options).description.hasSuffix(
                "notice: volume demo_data stays: containers of other projects use it: theirs-1"))
    }

    @Test("a plan goes through JSON and back, flat for scripts")
    func json() throws {
        let world = try World.running(stack("db: check; volume data\nold:"))
        var options = UpOptions()
        options.removeOrphans = true
        let desired = stack("db: check; mem 1m\nweb: needs db healthy optional; net n; volume more")
        var plan = try planUp(desired, observed: world.seen, options: options)
        plan.nodes += try planDown(world.seen).nodes
        plan.nodes += try planKill(world.seen).nodes
        plan.nodes.append(Plan.Node(operation: .removeVolume(name: "v"), reason: "r"))
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let bytes = try encoder.encode(plan)
        #expect(try JSONDecoder().decode(Plan.self, from: bytes) == plan)
        let small = Plan(project: "demo", nodes: try planStop(world.seen, services: ["old"]).nodes)
        #expect(
            String(decoding: try encoder.encode(small), as: UTF8.self) == """
                {"nodes":[{"after":[],"index":1,"name":"demo-old-1","operation":"stopContainer",\
                "reason":"stop","service":"old","timeoutNanoseconds":10000000000}],\
                "notices":[],"project":"demo"}
                """)
    }

    @Test(
        "JSON that is no plan is refused",
        arguments: [
            #"{"operation":"stopContainer","reason":"","after":[]}"#,
            #"{"operation":"explode","reason":"","after":[]}"#,
            #"{"operation":"removeNetwork","after":[]}"#,
        ])
    func badJSON(node: String) {
        let text = "{\"project\":\"demo\",\"notices\":[],\"nodes\":[\(node)]}"
        #expect(throws: DecodingError.self) {
            try JSONDecoder().decode(Plan.self, from: Data(text.utf8))
        }
    }
}

private let lifeCases: [LifeCase] = [
    LifeCase(
        "down stops dependants first", intent: { try planDown($0) },
        plan: """
            1. stop container demo-web-2 within 10s: down
            2. remove container demo-web-2: down [after 1]
            3. stop container demo-web-1 within 10s: down
            4. remove container demo-web-1: down [after 3]
            5. remove container demo-job-1: down
            6. stop container demo-db-1 within 30s: down [after 1, 3]
            7. remove container demo-db-1: down [after 6]
            8. remove network demo_default: down [after 2, 4, 5, 7]
            """),
    LifeCase(
        "down with volumes, after a stop and with a timeout", changes: stopEverything,
        intent: {
            var options = DownOptions()
            options.removeVolumes = true
            options.timeout = .seconds(1)
            return try planDown($0, options: options)
        },
        plan: """
            1. remove container demo-web-2: down
            2. remove container demo-web-1: down
            3. remove container demo-job-1: down
            4. remove container demo-db-1: down
            5. remove network demo_default: down [after 1, 2, 3, 4]
            6. remove volume demo_data: down --volumes [after 4]
            """),
    LifeCase(
        "down of one service leaves networks that others are on",
        intent: {
            var options = DownOptions()
            options.services = ["web"]
            options.timeout = .seconds(1)
            return try planDown($0, options: options)
        },
        plan: """
            1. stop container demo-web-2 within 1s: down
            2. remove container demo-web-2: down [after 1]
            3. stop container demo-web-1 within 1s: down
            4. remove container demo-web-1: down [after 3]
            """),
    LifeCase(
        "down of a service takes its dependants along, and the volumes and networks that they alone had",
        before: """
            own: net inner; volume data
            user: needs own; net inner; net outer; volume both; grace 1s
            other: net outer; volume both
            """,
        intent: {
            var options = DownOptions()
            options.services = ["own"]
            options.removeVolumes = true
            return try planDown($0, options: options)
        },
        plan: """
            1. stop container demo-user-1 within 1s: down
            2. remove container demo-user-1: down [after 1]
            3. stop container demo-own-1 within 10s: down [after 1]
            4. remove container demo-own-1: down [after 3]
            5. remove network demo_inner: down [after 2, 4]
            6. remove volume demo_data: down --volumes [after 4]
            """),
    LifeCase(
        "down of a service removes no volume that a container of a forgotten definition may have",
        before: "own: volume data\nother:",
        changes: { $0.change("demo-other-1") { $0.configHash = Digest(of: []) } },
        intent: {
            var options = DownOptions()
            options.services = ["own"]
            options.removeVolumes = true
            return try planDown($0, options: options)
        },
        plan: """
            1. stop container demo-own-1 within 10s: down
            2. remove container demo-own-1: down [after 1]
            """),
    LifeCase(
        "rm removes what does not run",
        changes: { world in
            world.change("demo-web-2") { $0.state = .exited(code: 1, onRequest: true) }
        }, intent: { try planRemove($0, services: ["web"]) },
        plan: "1. remove container demo-web-2: rm"),
    LifeCase(
        "rm --stop stops what runs, dependants first, and removes all",
        intent: { try planRemove($0, services: ["web", "db"], stop: true) },
        plan: """
            1. stop container demo-web-2 within 10s: rm --stop
            2. remove container demo-web-2: rm [after 1]
            3. stop container demo-web-1 within 10s: rm --stop
            4. remove container demo-web-1: rm [after 3]
            5. stop container demo-db-1 within 30s: rm --stop [after 1, 3]
            6. remove container demo-db-1: rm [after 5]
            """),
    LifeCase(
        "stop stops what runs, dependants first", intent: { try planStop($0) },
        plan: """
            1. stop container demo-web-2 within 10s: stop
            2. stop container demo-web-1 within 10s: stop
            3. stop container demo-db-1 within 30s: stop [after 1, 2]
            """),
    LifeCase(
        "stop of a named service leaves those who depend on it",
        intent: { try planStop($0, services: ["db"], timeout: .milliseconds(1500)) },
        plan: "1. stop container demo-db-1 within 1s500ms: stop"),
    LifeCase(
        "stop of what is stopped is nothing", changes: stopEverything, intent: { try planStop($0) },
        plan: "nothing to do"),
    LifeCase("start of what runs is nothing", intent: { try planStart($0) }, plan: "nothing to do"),
    LifeCase(
        "start starts in order, what has completed stays", changes: stopEverything,
        intent: { try planStart($0) },
        plan: """
            1. start container demo-db-1: not running (stopped)
            2. await db healthy: for web [after 1]
            3. start container demo-web-1: not running (stopped) [after 2]
            4. start container demo-web-2: not running (stopped) [after 2]
            """),
    LifeCase(
        "start of a named service starts what it depends on", changes: stopEverything,
        intent: { try planStart($0, services: ["job"]) },
        plan: """
            1. start container demo-db-1: not running (stopped)
            2. await db healthy: for job [after 1]
            3. start container demo-job-1: not running (exited 0) [after 2]
            """),
    LifeCase(
        "start makes nothing, and says so",
        changes: {
            $0.remove("demo-db-1")
            $0.change("demo-job-1") { $0.state = .dead }
        }, intent: { try planStart($0) },
        plan: """
            nothing to do
            notice: service "db" has no container; `covey up` makes one
            notice: container demo-job-1 is half made or half removed; `covey up` repairs it
            """),
    LifeCase(
        "restart restarts all in order", intent: { try planRestart($0) },
        plan: """
            1. stop container demo-web-2 within 10s: restart
            2. stop container demo-web-1 within 10s: restart
            3. stop container demo-db-1 within 30s: restart [after 1, 2]
            4. start container demo-db-1: restart [after 3]
            5. await db healthy: for web [after 4]
            6. start container demo-web-1: restart [after 2, 5]
            7. start container demo-web-2: restart [after 1, 5]
            """),
    LifeCase(
        "restart of a service takes along those who asked for it",
        intent: { try planRestart($0, services: ["db"], timeout: .zero) },
        plan: """
            1. stop container demo-web-2 within 0s: dependency "db" is restarted
            2. stop container demo-web-1 within 0s: dependency "db" is restarted
            3. stop container demo-db-1 within 0s: restart [after 1, 2]
            4. start container demo-db-1: restart [after 3]
            5. await db healthy: for web [after 4]
            6. start container demo-web-1: dependency "db" is restarted [after 2, 5]
            7. start container demo-web-2: dependency "db" is restarted [after 1, 5]
            """),
    LifeCase(
        "restart without dependencies",
        intent: { try planRestart($0, services: ["db"], noDependencies: true) },
        plan: """
            1. stop container demo-db-1 within 30s: restart
            2. start container demo-db-1: restart [after 1]
            """),
    LifeCase(
        "restart starts what does not run", changes: stopEverything,
        intent: { try planRestart($0, services: ["job"]) }, plan: "1. start container demo-job-1: restart"),
    LifeCase(
        "kill signals what runs, all at once", intent: { try planKill($0, signal: "hup") },
        plan: """
            1. send SIGHUP to container demo-web-1: kill
            2. send SIGHUP to container demo-web-2: kill
            3. send SIGHUP to container demo-db-1: kill
            """),
]
