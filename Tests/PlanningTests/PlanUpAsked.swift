// SPDX-License-Identifier: Apache-2.0
//
// Cases of PlanUpTests.swift. What the command line asks for: orphans, services by name, flags of `up`.

import Basics
import ContainerModel
import Planning

let askedCases: [UpCase] = [
    UpCase(
        "orphans are told of", before: "web:\nold:", after: "web:",
        plan: """
            nothing to do
            notice: orphans: demo-old-1 (their services are not declared; --remove-orphans removes them)
            """),
    UpCase(
        "orphans are ignored when asked", before: "web:\nold:", after: "web:",
        options: { $0.ignoresOrphans = true }, plan: "nothing to do"),
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
]
