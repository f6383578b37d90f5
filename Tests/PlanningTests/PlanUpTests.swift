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
    @Test(
        "its text is golden, and carrying it out leaves nothing to do",
        arguments: changedCases + standingCases + askedCases + sharedCases)
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

/// What is new, and what changes with what depends on it.
private let changedCases: [UpCase] = [
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
]
