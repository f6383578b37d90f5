// SPDX-License-Identifier: Apache-2.0

import Basics
import ContainerModel
import Planning
import Testing

/// One world, one stack, one plan.
struct UpCase: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var before: String
    var changes: @Sendable (inout World) -> Void
    var after: String
    var options: UpOptions
    var plan: String

    init(
        _ description: String, before: String = "",
        changes: @escaping @Sendable (inout World) -> Void = { _ in },
        after: String? = nil, options: @Sendable (inout UpOptions) -> Void = { _ in }, plan: String
    ) {
        testDescription = description
        self.before = before
        self.changes = changes
        self.after = after ?? before
        self.options = UpOptions()
        options(&self.options)
        self.plan = plan
    }
}

@Suite("up plans the shortest way to the desired state")
struct PlanUpTests {
    @Test("its text is golden, and carrying it out leaves nothing to do", arguments: upCases)
    func golden(test: UpCase) throws {
        var world = try World.running(stack(test.before), otherThan: test.changes)
        #expect(world.broken == [])
        let desired = stack(test.after)
        let plan = try planUp(desired, observed: world.seen, options: test.options)
        if plan.description != test.plan {
            Issue.record("\(test.testDescription)\n--- expected\n\(test.plan)\n--- planned\n\(plan)\n---")
        }
        world.apply(plan, for: desired)
        #expect(world.broken == [])
        var again = test.options
        again.forceRecreate = false
        again.recreateDependencies = false
        let second = try planUp(desired, observed: world.seen, options: again)
        #expect(!second.changesSomething, "\(second)")
    }
}

let upCases: [UpCase] = [
    UpCase(
        "a first up makes all there is", after: "web:\ndb: volume data",
        plan: """
            1. create network demo_default: it does not exist
            2. create volume demo_data: it does not exist
            3. create container demo-db-1: service "db" is new [after 1, 2]
            4. start container demo-db-1: service "db" is new [after 3]
            5. create container demo-web-1: service "web" is new [after 1]
            6. start container demo-web-1: service "web" is new [after 5]
            """),
    UpCase("an unchanged stack plans nothing", before: "web:\ndb: volume data", plan: "nothing to do"),
    UpCase("an empty stack plans nothing", plan: "nothing to do"),
    UpCase(
        "each condition is awaited once, and only by those who ask for it",
        after: """
            db: check
            migrate: once; needs db healthy
            web: needs migrate completed; needs db healthy
            api: needs db healthy
            proxy: needs web; needs api
            """,
        plan: """
            1. create network demo_default: it does not exist
            2. create container demo-db-1: service "db" is new [after 1]
            3. start container demo-db-1: service "db" is new [after 2]
            4. await db healthy: for api, migrate, web [after 3]
            5. create container demo-api-1: service "api" is new [after 1]
            6. start container demo-api-1: service "api" is new [after 4, 5]
            7. create container demo-migrate-1: service "migrate" is new [after 1]
            8. start container demo-migrate-1: service "migrate" is new [after 4, 7]
            9. await migrate completed: for web [after 8]
            10. create container demo-web-1: service "web" is new [after 1]
            11. start container demo-web-1: service "web" is new [after 4, 9, 10]
            12. create container demo-proxy-1: service "proxy" is new [after 1]
            13. start container demo-proxy-1: service "proxy" is new [after 6, 11, 12]
            """),
    UpCase(
        "a container without dependencies waits for nothing but its networks and volumes",
        after: "a: net one\nb: net two; volume v\nc: net one two",
        plan: """
            1. create network demo_one: it does not exist
            2. create network demo_two: it does not exist
            3. create volume demo_v: it does not exist
            4. create container demo-a-1: service "a" is new [after 1]
            5. start container demo-a-1: service "a" is new [after 4]
            6. create container demo-b-1: service "b" is new [after 2, 3]
            7. start container demo-b-1: service "b" is new [after 6]
            8. create container demo-c-1: service "c" is new [after 1, 2]
            9. start container demo-c-1: service "c" is new [after 8]
            """),
    UpCase(
        "a changed attribute recreates just that service, with the reason",
        before: "web: mem 256m\ndb:", after: "web: mem 512m\ndb:",
        plan: """
            1. stop container demo-web-1 within 10s: mem_limit 256 MiB → 512 MiB
            2. remove container demo-web-1: mem_limit 256 MiB → 512 MiB [after 1]
            3. create container demo-web-1: mem_limit 256 MiB → 512 MiB [after 2]
            4. start container demo-web-1: mem_limit 256 MiB → 512 MiB [after 3]
            """),
    UpCase(
        "every change is named, values of variables are not",
        before: "web: env A=1 B=2; image app:1; secret old; grace 3s",
        after: "web: env A=x C=3; image app:2; secret new; port 80; check",
        plan: """
            1. stop container demo-web-1 within 3s: image app:1 → app:2, environment A changed, environment B removed, environment C added, secret "key" content changed, port 80:80 added, stop_grace_period 3s → 10s, healthcheck added
            2. remove container demo-web-1: image app:1 → app:2, environment A changed, environment B removed, environment C added, secret "key" content changed, port 80:80 added, stop_grace_period 3s → 10s, healthcheck added [after 1]
            3. create container demo-web-1: image app:1 → app:2, environment A changed, environment B removed, environment C added, secret "key" content changed, port 80:80 added, stop_grace_period 3s → 10s, healthcheck added [after 2]
            4. start container demo-web-1: image app:1 → app:2, environment A changed, environment B removed, environment C added, secret "key" content changed, port 80:80 added, stop_grace_period 3s → 10s, healthcheck added [after 3]
            """),
    UpCase(
        "a change nothing is known of says so", before: "web: mem 256m",
        changes: { $0.seen.requests = [:] }, after: "web: mem 512m",
        plan: """
            1. stop container demo-web-1 within 10s: configuration changed
            2. remove container demo-web-1: configuration changed [after 1]
            3. create container demo-web-1: configuration changed [after 2]
            4. start container demo-web-1: configuration changed [after 3]
            """),
    UpCase(
        "a changed image is known without the old request", before: "web: image app:1",
        changes: { $0.seen.requests = [:] }, after: "web: image app:2",
        plan: """
            1. stop container demo-web-1 within 10s: image changed
            2. remove container demo-web-1: image changed [after 1]
            3. create container demo-web-1: image changed [after 2]
            4. start container demo-web-1: image changed [after 3]
            """),
    UpCase(
        "a recreated service goes only when its dependencies are ready",
        before: "db: check\nweb: needs db healthy; mem 1m",
        after: "db: check; mem 2m\nweb: needs db healthy; mem 2m",
        plan: """
            1. stop container demo-db-1 within 10s: mem_limit none → 2 MiB
            2. remove container demo-db-1: mem_limit none → 2 MiB [after 1]
            3. create container demo-db-1: mem_limit none → 2 MiB [after 2]
            4. start container demo-db-1: mem_limit none → 2 MiB [after 3]
            5. await db healthy: for web [after 4]
            6. stop container demo-web-1 within 10s: mem_limit 1 MiB → 2 MiB [after 5]
            7. remove container demo-web-1: mem_limit 1 MiB → 2 MiB [after 6]
            8. create container demo-web-1: mem_limit 1 MiB → 2 MiB [after 7]
            9. start container demo-web-1: mem_limit 1 MiB → 2 MiB [after 8]
            """),
    UpCase(
        "restart: true restarts the dependant around its dependency, and so on",
        before: "db:\napi: needs db restart\nweb: needs api restart\nlog: needs db",
        after: "db: mem 1m\napi: needs db restart\nweb: needs api restart\nlog: needs db",
        plan: """
            1. stop container demo-web-1 within 10s: dependency "api" is restarted
            2. stop container demo-api-1 within 10s: dependency "db" is recreated [after 1]
            3. stop container demo-db-1 within 10s: mem_limit none → 1 MiB [after 2]
            4. remove container demo-db-1: mem_limit none → 1 MiB [after 3]
            5. create container demo-db-1: mem_limit none → 1 MiB [after 4]
            6. start container demo-db-1: mem_limit none → 1 MiB [after 5]
            7. start container demo-api-1: dependency "db" is recreated [after 2, 6]
            8. start container demo-web-1: dependency "api" is restarted [after 1, 7]
            """),
    UpCase(
        "a dependant with restart: true that is recreated as well is stopped first",
        before: "db: check\napi: needs db healthy restart",
        after: "db: check; mem 1m\napi: needs db healthy restart; mem 1m",
        plan: """
            1. stop container demo-api-1 within 10s: mem_limit none → 1 MiB
            2. remove container demo-api-1: mem_limit none → 1 MiB [after 1]
            3. stop container demo-db-1 within 10s: mem_limit none → 1 MiB [after 1]
            4. remove container demo-db-1: mem_limit none → 1 MiB [after 3]
            5. create container demo-db-1: mem_limit none → 1 MiB [after 4]
            6. start container demo-db-1: mem_limit none → 1 MiB [after 5]
            7. await db healthy: for api [after 6]
            8. create container demo-api-1: mem_limit none → 1 MiB [after 2]
            9. start container demo-api-1: mem_limit none → 1 MiB [after 7, 8]
            """),
    UpCase(
        "a dependant with restart: true that does not run stays as it is",
        before: "db:\njob: once; needs db restart", after: "db: mem 1m\njob: once; needs db restart",
        plan: """
            1. stop container demo-db-1 within 10s: mem_limit none → 1 MiB
            2. remove container demo-db-1: mem_limit none → 1 MiB [after 1]
            3. create container demo-db-1: mem_limit none → 1 MiB [after 2]
            4. start container demo-db-1: mem_limit none → 1 MiB [after 3]
            """),
    UpCase(
        "scale up makes the missing ones", before: "web: replicas 1", after: "web: replicas 3",
        plan: """
            1. create container demo-web-2: scale 1 → 3
            2. start container demo-web-2: scale 1 → 3 [after 1]
            3. create container demo-web-3: scale 1 → 3
            4. start container demo-web-3: scale 1 → 3 [after 3]
            """),
    UpCase(
        "scale down removes the highest numbers, dependants or not", before: "db:\nweb: replicas 3; needs db",
        after: "db:\nweb: replicas 1; needs db",
        plan: """
            1. stop container demo-web-3 within 10s: 1 of "web" wanted
            2. remove container demo-web-3: 1 of "web" wanted [after 1]
            3. stop container demo-web-2 within 10s: 1 of "web" wanted
            4. remove container demo-web-2: 1 of "web" wanted [after 3]
            """),
    UpCase(
        "scale to nothing", before: "web: replicas 2", after: "web: replicas 0",
        plan: """
            1. stop container demo-web-2 within 10s: 0 of "web" wanted
            2. remove container demo-web-2: 0 of "web" wanted [after 1]
            3. stop container demo-web-1 within 10s: 0 of "web" wanted
            4. remove container demo-web-1: 0 of "web" wanted [after 3]
            """),
    UpCase(
        "a hole in the numbers is filled", before: "web: replicas 3", changes: { $0.remove("demo-web-2") },
        plan: """
            1. create container demo-web-2: it is missing
            2. start container demo-web-2: it is missing [after 1]
            """),
    UpCase(
        "replicas are recreated beside each other", before: "web: replicas 2",
        after: "web: replicas 2; mem 1m",
        plan: """
            1. stop container demo-web-1 within 10s: mem_limit none → 1 MiB
            2. remove container demo-web-1: mem_limit none → 1 MiB [after 1]
            3. create container demo-web-1: mem_limit none → 1 MiB [after 2]
            4. start container demo-web-1: mem_limit none → 1 MiB [after 3]
            5. stop container demo-web-2 within 10s: mem_limit none → 1 MiB
            6. remove container demo-web-2: mem_limit none → 1 MiB [after 5]
            7. create container demo-web-2: mem_limit none → 1 MiB [after 6]
            8. start container demo-web-2: mem_limit none → 1 MiB [after 7]
            """),
    UpCase(
        "a crashed container is started", before: "web:",
        changes: { $0.change("demo-web-1") { $0.state = .exited(code: 1, onRequest: false) } },
        plan: "1. start container demo-web-1: not running (exited 1)"),
    UpCase(
        "a container that ended while nobody looked is started", before: "web:",
        changes: { $0.change("demo-web-1") { $0.state = .exited(code: nil, onRequest: false) } },
        plan: "1. start container demo-web-1: not running (exited with unknown code)"),
    UpCase(
        "a stopped container is started, even when it ended with 0", before: "web:",
        changes: { $0.change("demo-web-1") { $0.state = .exited(code: 0, onRequest: true) } },
        plan: "1. start container demo-web-1: not running (stopped)"),
    UpCase(
        "repairing drift brings back what is missing, and leaves what has ended to its policy",
        before: "web:\ndb:\njob:",
        changes: {
            $0.change("demo-web-1") { $0.state = .exited(code: 1, onRequest: false) }
            $0.change("demo-db-1") { $0.state = .exited(code: 0, onRequest: true) }
            $0.remove("demo-job-1")
        }, options: { $0.leaveEnded = true },
        plan: """
            1. create container demo-job-1: it is missing
            2. start container demo-job-1: it is missing [after 1]
            """),
    UpCase(
        "a container that was never started is", before: "web:",
        changes: { $0.change("demo-web-1") { $0.state = .created } },
        plan: "1. start container demo-web-1: not started yet"),
    UpCase(
        "what its policy restarts is left to it", before: "web: restart always",
        changes: { $0.change("demo-web-1") { $0.state = .restarting } }, plan: "nothing to do"),
    UpCase(
        "what always restarts and yet has ended is started", before: "web: restart always",
        changes: { $0.change("demo-web-1") { $0.state = .exited(code: 0, onRequest: false) } },
        plan: "1. start container demo-web-1: not running (exited 0)"),
    UpCase(
        "a half made container is made anew", before: "web:",
        changes: { $0.change("demo-web-1") { $0.state = .dead } },
        plan: """
            1. remove container demo-web-1: half made or half removed
            2. create container demo-web-1: half made or half removed [after 1]
            3. start container demo-web-1: half made or half removed [after 2]
            """),
    UpCase(
        "a one-shot that has completed is left alone, and its dependant does not wait",
        before: "job: once\nweb: needs job completed",
        changes: { $0.remove("demo-web-1") },
        plan: """
            1. create container demo-web-1: it is missing
            2. start container demo-web-1: it is missing [after 1]
            """),
    UpCase(
        "a one-shot with on-failure that has completed is left alone",
        before: "job: once; restart on-failure",
        plan: "nothing to do"),
    UpCase(
        "a one-shot that was not there is awaited although its dependant runs no more",
        before: "job: once\nweb: needs job completed",
        changes: {
            $0.change("demo-job-1") { $0.state = .exited(code: 3, onRequest: false) }
            $0.change("demo-web-1") { $0.state = .exited(code: 1, onRequest: false) }
        },
        plan: """
            1. start container demo-job-1: not running (exited 3)
            2. await job completed: for web [after 1]
            3. start container demo-web-1: not running (exited 1) [after 2]
            """),
    UpCase(
        "a changed one-shot runs again, its running dependant runs on",
        before: "job: once\nweb: needs job completed", after: "job: once; mem 1m\nweb: needs job completed",
        plan: """
            1. remove container demo-job-1: mem_limit none → 1 MiB
            2. create container demo-job-1: mem_limit none → 1 MiB [after 1]
            3. start container demo-job-1: mem_limit none → 1 MiB [after 2]
            """),
    UpCase(
        "a dependency that is not healthy yet is awaited", before: "db: check\nweb: needs db healthy",
        changes: {
            $0.change("demo-db-1") { $0.health = .starting }
            $0.remove("demo-web-1")
        },
        plan: """
            1. await db healthy: for web
            2. create container demo-web-1: it is missing
            3. start container demo-web-1: it is missing [after 1, 2]
            """),
    UpCase(
        "an optional dependency is awaited, whatever comes of it",
        after: "db: check\nlog:\nweb: needs db healthy optional; needs log optional",
        plan: """
            1. create network demo_default: it does not exist
            2. create container demo-db-1: service "db" is new [after 1]
            3. start container demo-db-1: service "db" is new [after 2]
            4. create container demo-log-1: service "log" is new [after 1]
            5. start container demo-log-1: service "log" is new [after 4]
            6. await db healthy if it can be: for web [after 3]
            7. await log started if it can be: for web [after 5]
            8. create container demo-web-1: service "web" is new [after 1]
            9. start container demo-web-1: service "web" is new [after 6, 7, 8]
            """),
    UpCase(
        "orphans are told of", before: "web:\nold:", after: "web:",
        plan: """
            nothing to do
            notice: orphans: demo-old-1 (their services are not declared; --remove-orphans removes them)
            """),
    UpCase(
        "orphans are removed when asked, with the network nobody declares any more",
        before: "web:\nold: net side; needs web", after: "web:", options: { $0.removeOrphans = true },
        plan: """
            1. stop container demo-old-1 within 10s: service "old" is not declared
            2. remove container demo-old-1: service "old" is not declared [after 1]
            3. remove network demo_side: it is not declared [after 2]
            """),
    UpCase(
        "containers of a service switched off by its profiles are no orphans", before: "web:\nold:",
        after: "web:\ndisabled old", plan: "nothing to do"),
    UpCase(
        "a named service comes with what it depends on, nothing else",
        after: "db:\nweb: needs db\nother: net side", options: { $0.services = ["web"] },
        plan: """
            1. create network demo_default: it does not exist
            2. create container demo-db-1: service "db" is new [after 1]
            3. start container demo-db-1: service "db" is new [after 2]
            4. create container demo-web-1: service "web" is new [after 1]
            5. start container demo-web-1: service "web" is new [after 3, 4]
            """),
    UpCase(
        "without dependencies it comes alone", after: "db: check\nweb: needs db healthy",
        options: {
            $0.services = ["web"]
            $0.noDependencies = true
        },
        plan: """
            1. create network demo_default: it does not exist
            2. create container demo-web-1: service "web" is new [after 1]
            3. start container demo-web-1: service "web" is new [after 2]
            """),
    UpCase(
        "--force-recreate recreates what is named, not what that depends on",
        before: "db:\nweb: needs db",
        options: {
            $0.services = ["web"]
            $0.forceRecreate = true
        },
        plan: """
            1. stop container demo-web-1 within 10s: --force-recreate
            2. remove container demo-web-1: --force-recreate [after 1]
            3. create container demo-web-1: --force-recreate [after 2]
            4. start container demo-web-1: --force-recreate [after 3]
            """),
    UpCase(
        "--always-recreate-deps recreates what the named ones depend on, and only that",
        before: "db:\nweb: needs db",
        options: {
            $0.services = ["web"]
            $0.recreateDependencies = true
        },
        plan: """
            1. stop container demo-db-1 within 10s: --always-recreate-deps
            2. remove container demo-db-1: --always-recreate-deps [after 1]
            3. create container demo-db-1: --always-recreate-deps [after 2]
            4. start container demo-db-1: --always-recreate-deps [after 3]
            """),
    UpCase(
        "--no-recreate leaves a changed container as it is", before: "web:", after: "web: port 8080\ndb:",
        options: { $0.noRecreate = true },
        plan: """
            1. create container demo-db-1: service "db" is new
            2. start container demo-db-1: service "db" is new [after 1]
            """),
    UpCase(
        "--no-start creates and starts nothing, and waits for nobody",
        after: "db: check\nweb: needs db healthy",
        options: {
            $0.noStart = true
            $0.wait = true
        },
        plan: """
            1. create network demo_default: it does not exist
            2. create container demo-db-1: service "db" is new [after 1]
            3. create container demo-web-1: service "web" is new [after 1]
            """),
    UpCase(
        "--wait waits for the health of those who have a check", after: "db: check\nweb:",
        options: { $0.wait = true },
        plan: """
            1. create network demo_default: it does not exist
            2. create container demo-db-1: service "db" is new [after 1]
            3. start container demo-db-1: service "db" is new [after 2]
            4. create container demo-web-1: service "web" is new [after 1]
            5. start container demo-web-1: service "web" is new [after 4]
            6. await db healthy: --wait [after 3]
            """),
    UpCase(
        "--timeout is the stop's own", before: "web: grace 3s", after: "web: grace 3s; mem 1m",
        options: { $0.timeout = .seconds(1) },
        plan: """
            1. stop container demo-web-1 within 1s: mem_limit none → 1 MiB
            2. remove container demo-web-1: mem_limit none → 1 MiB [after 1]
            3. create container demo-web-1: mem_limit none → 1 MiB [after 2]
            4. start container demo-web-1: mem_limit none → 1 MiB [after 3]
            """),
    UpCase(
        "a changed network is made anew with all that runs on it",
        before: "db: net back\nweb: net back front; needs db\nside: net front\njob: once; net back",
        after: """
            db: net back
            web: net back front; needs db
            side: net front
            job: once; net back
            network back: subnet 10.1.0.0/24
            """,
        plan: """
            1. stop container demo-web-1 within 10s: network demo_back: subnet none → 10.1.0.0/24
            2. remove container demo-web-1: network demo_back: subnet none → 10.1.0.0/24 [after 1]
            3. stop container demo-db-1 within 10s: network demo_back: subnet none → 10.1.0.0/24 [after 1]
            4. remove container demo-db-1: network demo_back: subnet none → 10.1.0.0/24 [after 3]
            5. remove network demo_back: subnet none → 10.1.0.0/24 [after 2, 4]
            6. create network demo_back: subnet none → 10.1.0.0/24 [after 5]
            7. create container demo-db-1: network demo_back: subnet none → 10.1.0.0/24 [after 4, 6]
            8. start container demo-db-1: network demo_back: subnet none → 10.1.0.0/24 [after 7]
            9. create container demo-web-1: network demo_back: subnet none → 10.1.0.0/24 [after 2, 6]
            10. start container demo-web-1: network demo_back: subnet none → 10.1.0.0/24 [after 8, 9]
            """),
    UpCase(
        "a changed network takes services along that were not named",
        before: "a: net back\nb: net back", after: "a: net back\nb: net back\nnetwork back: internal",
        options: { $0.services = ["a"] },
        plan: """
            1. stop container demo-b-1 within 10s: network demo_back: internal false → true
            2. remove container demo-b-1: network demo_back: internal false → true [after 1]
            3. stop container demo-a-1 within 10s: network demo_back: internal false → true
            4. remove container demo-a-1: network demo_back: internal false → true [after 3]
            5. remove network demo_back: internal false → true [after 2, 4]
            6. create network demo_back: internal false → true [after 5]
            7. create container demo-a-1: network demo_back: internal false → true [after 4, 6]
            8. start container demo-a-1: network demo_back: internal false → true [after 7]
            9. create container demo-b-1: network demo_back: internal false → true [after 2, 6]
            10. start container demo-b-1: network demo_back: internal false → true [after 9]
            """),
    UpCase(
        "a network that vanished is made again, and what runs on it started again",
        before: "web:\ndb: net back", changes: { $0.seen.networks["demo_default"] = nil },
        plan: """
            1. stop container demo-web-1 within 10s: network demo_default does not exist
            2. create network demo_default: it does not exist [after 1]
            3. start container demo-web-1: network demo_default does not exist [after 1, 2]
            """),
    UpCase(
        "a volume that vanished is made again", before: "db: volume data",
        changes: { $0.seen.volumes = [:] }, plan: "1. create volume demo_data: it does not exist"),
    UpCase(
        "a volume is never made anew for its labels", before: "db: volume data",
        after: "db: volume data\nvolume data: label",
        plan: """
            nothing to do
            notice: volume demo_data keeps the labels it was made with
            """),
    UpCase(
        "a volume of another project is used, and told of", before: "db: volume data",
        changes: { $0.seen.volumes["demo_data"]?.project = "other" },
        plan: """
            nothing to do
            notice: volume demo_data is used although project "other" made it; write `external: true` if that is meant
            """),
    UpCase(
        "external networks and volumes are used as they are", before: "",
        changes: {
            $0.seen.networks["demo_out"] = ObservedNetwork(name: "demo_out", project: "other", request: nil)
            $0.seen.volumes["demo_data"] = ObservedVolume(name: "demo_data", project: nil, request: nil)
        }, after: "web: net out; volume data\nnetwork out: external\nvolume data: external",
        plan: """
            1. create container demo-web-1: service "web" is new
            2. start container demo-web-1: service "web" is new [after 1]
            """),
    UpCase(
        "a renamed container gives its old name up first", before: "a: named x\nb: named y",
        after: "a: named y\nb: named x; needs a",
        plan: """
            1. stop container y within 10s: container_name y → x
            2. remove container y: container_name y → x [after 1]
            3. stop container x within 10s: container_name x → y [after 1]
            4. remove container x: container_name x → y [after 3]
            5. create container y: container_name x → y [after 2, 4]
            6. start container y: container_name x → y [after 5]
            7. create container x: container_name y → x [after 2, 4]
            8. start container x: container_name y → x [after 6, 7]
            """),
    UpCase(
        "a port changes hands in order", before: "a: port 80\nb: port 81; needs a",
        after: "a: port 81\nb: port 80; needs a",
        plan: """
            1. stop container demo-b-1 within 10s: port 80:80 added, port 81:81 removed
            2. remove container demo-b-1: port 80:80 added, port 81:81 removed [after 1]
            3. stop container demo-a-1 within 10s: port 81:81 added, port 80:80 removed [after 1]
            4. remove container demo-a-1: port 81:81 added, port 80:80 removed [after 3]
            5. create container demo-a-1: port 81:81 added, port 80:80 removed [after 2, 4]
            6. start container demo-a-1: port 81:81 added, port 80:80 removed [after 5]
            7. create container demo-b-1: port 80:80 added, port 81:81 removed [after 2, 4]
            8. start container demo-b-1: port 80:80 added, port 81:81 removed [after 6, 7]
            """),
    UpCase(
        "a fixed address changes hands in order", before: "a: address n 10.0.0.2\nb: address n 10.0.0.3",
        after: "a: address n 10.0.0.3\nb: address n 10.0.0.4",
        plan: """
            1. stop container demo-b-1 within 10s: ipv4_address on demo_n 10.0.0.3 → 10.0.0.4
            2. remove container demo-b-1: ipv4_address on demo_n 10.0.0.3 → 10.0.0.4 [after 1]
            3. stop container demo-a-1 within 10s: ipv4_address on demo_n 10.0.0.2 → 10.0.0.3
            4. remove container demo-a-1: ipv4_address on demo_n 10.0.0.2 → 10.0.0.3 [after 3]
            5. create container demo-a-1: ipv4_address on demo_n 10.0.0.2 → 10.0.0.3 [after 2, 4]
            6. start container demo-a-1: ipv4_address on demo_n 10.0.0.2 → 10.0.0.3 [after 5]
            7. create container demo-b-1: ipv4_address on demo_n 10.0.0.3 → 10.0.0.4 [after 2]
            8. start container demo-b-1: ipv4_address on demo_n 10.0.0.3 → 10.0.0.4 [after 7]
            """),
    UpCase(
        "an orphan gives its port up first", before: "old: port 80", after: "web: port 80",
        options: { $0.removeOrphans = true },
        plan: """
            1. stop container demo-old-1 within 10s: service "old" is not declared
            2. remove container demo-old-1: service "old" is not declared [after 1]
            3. create container demo-web-1: service "web" is new [after 2]
            4. start container demo-web-1: service "web" is new [after 3]
            """),
    UpCase(
        "restart policy, replicas and dependencies change without a new container",
        before: "a:\nb:", after: "a: restart always\nb: needs a", plan: "nothing to do"),
]
