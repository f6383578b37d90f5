// SPDX-License-Identifier: Apache-2.0
//
// Cases of PlanUpTests.swift. What several services share or hand on: networks, volumes, names, ports, addresses.

import Basics
import ContainerModel
import Planning

let sharedCases: [UpCase] = [
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
        "fixed IPv6 addresses are swapped",
        before: "a: address6 n fd00::10\nb: needs a started; address6 n fd00::11",
        after: "a: address6 n fd00::11\nb: needs a started; address6 n fd00::10",
        plan: """
            1. stop container demo-b-1 within 10s: ipv6_address on demo_n fd00::11 → fd00::10
            2. remove container demo-b-1: ipv6_address on demo_n fd00::11 → fd00::10 [after 1]
            3. stop container demo-a-1 within 10s: ipv6_address on demo_n fd00::10 → fd00::11 [after 1]
            4. remove container demo-a-1: ipv6_address on demo_n fd00::10 → fd00::11 [after 3]
            5. create container demo-a-1: ipv6_address on demo_n fd00::10 → fd00::11 [after 2, 4]
            6. start container demo-a-1: ipv6_address on demo_n fd00::10 → fd00::11 [after 5]
            7. create container demo-b-1: ipv6_address on demo_n fd00::11 → fd00::10 [after 2, 4]
            8. start container demo-b-1: ipv6_address on demo_n fd00::11 → fd00::10 [after 6, 7]
            """),
    UpCase(
        "addresses beside the network's own are swapped",
        before: "a: local n 169.254.1.1\nb: needs a started; local n fe80::1",
        after: "a: local n FE80:0::1\nb: needs a started; local n 169.254.1.1",
        plan: """
            1. stop container demo-b-1 within 10s: settings on demo_n changed
            2. remove container demo-b-1: settings on demo_n changed [after 1]
            3. stop container demo-a-1 within 10s: settings on demo_n changed [after 1]
            4. remove container demo-a-1: settings on demo_n changed [after 3]
            5. create container demo-a-1: settings on demo_n changed [after 2, 4]
            6. start container demo-a-1: settings on demo_n changed [after 5]
            7. create container demo-b-1: settings on demo_n changed [after 2, 4]
            8. start container demo-b-1: settings on demo_n changed [after 6, 7]
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
