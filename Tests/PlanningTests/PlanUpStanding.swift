// SPDX-License-Identifier: Apache-2.0
//
// Cases of PlanUpTests.swift. How many there are, and what they are doing.

import Basics
import ContainerModel
import Planning

let standingCases: [UpCase] = [
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
        "what an update left with numbers above stays, declared any more or not", before: "web: replicas 4",
        changes: {
            $0.remove("demo-web-1")
            $0.remove("demo-web-2")
        }, after: "web: replicas 2", plan: "nothing to do"),
    UpCase(
        "of more numbers above than are wanted the highest go", before: "web: replicas 5",
        changes: {
            $0.remove("demo-web-1")
            $0.remove("demo-web-2")
        }, after: "web: replicas 2",
        plan: """
            1. stop container demo-web-5 within 10s: 2 of "web" wanted
            2. remove container demo-web-5: 2 of "web" wanted [after 1]
            """),
    UpCase(
        "one that is as it shall be stays before one that is not, whatever their numbers",
        before: "web: replicas 3",
        changes: {
            $0.remove("demo-web-1")
            $0.change("demo-web-2") { $0.configHash = Digest(of: "another".utf8) }
        }, after: "web: replicas 1",
        plan: """
            1. stop container demo-web-2 within 10s: 1 of "web" wanted
            2. remove container demo-web-2: 1 of "web" wanted [after 1]
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
        "what others want healthy has not completed by ending well",
        before: "db: check\nweb: needs db healthy",
        changes: {
            $0.change("demo-db-1") { $0.state = .exited(code: 0, onRequest: false) }
            $0.remove("demo-web-1")
        },
        plan: """
            1. start container demo-db-1: not running (exited 0)
            2. await db healthy: for web [after 1]
            3. create container demo-web-1: it is missing
            4. start container demo-web-1: it is missing [after 2, 3]
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
]
