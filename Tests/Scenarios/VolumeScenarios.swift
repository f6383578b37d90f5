// SPDX-License-Identifier: Apache-2.0
//
// What is in volumes outlives what goes wrong, and what is done to others: failed recreations, updates, files that declare
// less than before, and projects that share a volume.

import Glibc
import Kernel
import Testing

extension Stage {
    private var carried: String { "\(directory)/root/projects/\(project)/carried" }

    /// What a service with one anonymous volume looks like, on a network where another project holds 10.96.7.2.
    fileprivate func writeAddressed(_ address: String, _ more: String = "") throws {
        try write(
            "compose.yaml",
            """
            services:
              web:
                image: bb:1
                init: true
                command: [sleep, "1000"]
                volumes: [/anon]
                networks: {shared: {ipv4_address: \(address)}}
              other: {image: "bb:1", init: true, command: [sleep, "1000"], network_mode: none}
            \(more)
            networks: {shared: {name: "\(project)-net", external: true}}
            """)
    }

    /// Plays with another project that holds an address on a network both are on.
    fileprivate func besideHolder(_ steps: () throws -> Void) throws {
        try write(
            "holder.yaml",
            """
            services:
              holder:
                image: bb:1
                init: true
                command: [sleep, "1000"]
                networks: {shared: {ipv4_address: 10.96.7.2}}
            networks: {shared: {name: "\(project)-net", ipam: {config: [{subnet: 10.96.7.0/24}]}}}
            """)
        let holder = ["-f", "holder.yaml", "-p", "h-\(project)"]
        try start(holder + ["up", "-d"]).wait().orThrow()
        try steps()
        try covey("down", "-v", "-t", "0")
        try start(holder + ["down", "-v", "-t", "0"]).wait().orThrow()
    }

    fileprivate func requireKept(_ when: String) throws {
        let found = try exec("web", "cat /anon/p 2>/dev/null || true")
        try require(found == "kept", "\(when): /anon/p is \"\(found)\"")
        try require(!exists(carried), "\(when): something is left in carried/")
        let told = try covey("ps").errors
        try require(told == "", "\(when): \(told)")
    }

    /// As one file declares two stacks' volumes.
    fileprivate func writeStores(_ services: [String], profiled: String? = nil) throws {
        let volumes = ["web": "cache", "db": "pg"]
        var text = "services:\n"
        for service in services {
            let profile = service == profiled ? ", profiles: [off]" : ""
            text +=
                "  \(service): {image: \"bb:1\", init: true, command: [sleep, \"1000\"], "
                + "volumes: [\"\(volumes[service] ?? "x"):/store\", /anon]\(profile)}\n"
        }
        let declared = services.compactMap { volumes[$0] }.map { "\($0): {}" }
        text += "volumes: {\(declared.joined(separator: ", "))}\n"
        try write("compose.yaml", text)
    }

    fileprivate func hasVolume(_ name: String) -> Bool {
        exists("\(directory)/root/volumes/\(project)_\(name)/volume.json")
    }
}

extension Scenarios {
    @Suite("what is in volumes")
    struct Volumes {
        @Test("a recreation that fails for an address costs no anonymous volume")
        func failedAddress() throws {
            try Stage.play("one") { stage in
                try stage.besideHolder {
                    try stage.writeAddressed("10.96.7.10")
                    try stage.covey("up", "-d")
                    try stage.exec("web", "echo kept >/anon/p")
                    try stage.writeAddressed("10.96.7.2")
                    for _ in 0..<2 {
                        let failed = try stage.covey("up", "-d", "-t", "0", code: 1)
                        try stage.require(failed.errors.contains("the address 10.96.7.2"), "\(failed)")
                    }
                    // Neither another's success nor another controller takes it for nobody's.
                    try stage.covey("up", "-d", "other")
                    try stage.loseController()
                    try stage.covey("up", "-d", "other")
                    try stage.writeAddressed("10.96.7.11")
                    let up = try stage.covey("up", "-d")
                    try stage.require(!up.errors.contains("aside"), "\(up)")
                    try stage.requireKept("after the correction")
                    // -V is a wish to have new ones, also of what a failure left.
                    try stage.writeAddressed("10.96.7.2")
                    try stage.covey("up", "-d", "-t", "0", code: 1)
                    try stage.writeAddressed("10.96.7.12")
                    try stage.covey("up", "-d", "-V")
                    try stage.require(try stage.exec("web", "ls /anon") == "", "-V renewed nothing")
                    try stage.exec("web", "echo new >/anon/n")
                    try stage.covey("up", "-d", "-t", "0", "--force-recreate")
                    try stage.require(try stage.exec("web", "ls /anon") == "n", "what lay aside came back")
                }
            }
        }

        @Test("a recreation that finds no room for a new volume costs no anonymous volume")
        func failedFill() throws {
            try Stage.play("one") { stage in
                let volumes = "\(stage.directory)/root/volumes"
                try ensureDirectory(volumes)
                // Room for the volume's directory, its data, its record and the directory it is filled in.
                try Host.run(["mount", "-t", "tmpfs", "-o", "nr_inodes=5,mode=711", "small", volumes])
                    .orThrow()
                defer { _ = try? Host.run(["umount", "-l", volumes]) }
                func write(_ more: String, _ declared: String) throws {
                    try stage.write(
                        "compose.yaml",
                        """
                        services:
                          web: {image: "bb:1", init: true, command: [sleep, "1000"], volumes: [/anon\(more)]}
                        \(declared)
                        """)
                }
                try write("", "")
                try stage.covey("up", "-d")
                try stage.exec("web", "echo kept >/anon/p")
                try write(", \"data:/data\", /other", "volumes: {data: {}}")
                let failed = try stage.covey("up", "-d", "-t", "0", code: 1)
                try stage.require(failed.errors.contains("ENOSPC"), "\(failed)")
                try Host.run(["mount", "-o", "remount,nr_inodes=100", volumes]).orThrow()
                try stage.covey("up", "-d")
                try stage.requireKept("with room")
                try stage.require(try stage.exec("web", "cat /data/seed") == "from the image", "not filled")
                try stage.covey("down", "-v", "-t", "0")
            }
        }

        @Test(
            "a controller killed in a recreation that fails costs no anonymous volume",
            arguments: Array(stride(from: 60, through: 240, by: 15)))
        func killedInFailure(point: Int) throws {
            try Stage.play("one") { stage in
                try stage.besideHolder {
                    try stage.writeAddressed("10.96.7.10")
                    try stage.start(["up", "-d"], variables: stage.faults).wait().orThrow()
                    try stage.exec("web", "echo kept >/anon/p")
                    try stage.writeAddressed("10.96.7.2")
                    // Within the removal, the moves and the creation, and beyond the failure.
                    try stage.armFault("controller call \(point)")
                    _ = try stage.attempt("up", "-d", "-t", "0", variables: stage.faults)
                    if !stage.faultStruck { try removeFile("\(stage.directory)/fault") }
                    try stage.writeAddressed("10.96.7.11")
                    try stage.eventually("it is up again") {
                        try stage.attempt("up", "-d", "-t", "0").succeeded
                    }
                    try stage.requireKept("killed at \(point), struck: \(stage.faultStruck)")
                }
            }
        }

        @Test("start-first with an anonymous volume goes the other way, says so, and keeps what is in it")
        func startFirstKeeps() throws {
            try Stage.play("one") { stage in
                try stage.write(
                    "compose.yaml",
                    """
                    services:
                      web:
                        image: bb:1
                        init: true
                        command: [sleep, "1000"]
                        environment: {VERSION: "${VERSION:-1}"}
                        volumes: [/anon]
                        scale: 2
                        deploy: {update_config: {order: start-first, parallelism: 1}}
                    """)
                try stage.covey("up", "-d")
                for index in 1...2 { try stage.exec("web", "echo \(index) >/anon/p", index: index) }
                let up = try stage.covey("up", "-d", "-t", "0", variables: ["VERSION=2"])
                try stage.require(up.errors.contains("/anon"), "nothing is said: \(up)")
                for index in 1...2 {
                    let found = try stage.exec("web", "echo $VERSION; cat /anon/p", index: index)
                    try stage.require(found == "2\n\(index)", "container \(index): \(found)")
                }
                // Whoever renews them loses nothing by it.
                let renewed = try stage.covey("up", "-d", "-V", "-t", "0", variables: ["VERSION=3"])
                try stage.require(!renewed.errors.contains("/anon"), "\(renewed)")
                try stage.require(
                    try stage.containers().map(\.Name).map { String($0.suffix(5)) } == ["web-3", "web-4"],
                    "\(try stage.containers())")
            }
        }

        @Test("down -v removes what the file declares, switched off or not; without a file all of them")
        func downByFile() throws {
            try Stage.play("one") { stage in
                try stage.writeStores(["web", "db"])
                try stage.covey("up", "-d")
                try stage.covey("down", "-t", "0")
                try stage.writeStores(["web"])
                let planned = try stage.covey("down", "-v", "--dry-run")
                try stage.require(
                    planned.output.contains("remove volume \(stage.project)_cache")
                        && !planned.output.contains("remove volume \(stage.project)_pg"), "\(planned)")
                // At rest, and with the project up.
                for isUp in [false, true] {
                    if isUp { try stage.covey("up", "-d") }
                    let down = try stage.covey("down", "-v", "-t", "0")
                    let said = down.errors.contains("volume \(stage.project)_pg stays")
                    try stage.require(said, "nothing is said: \(down)")
                    try stage.require(!stage.hasVolume("cache"), "what is declared stayed")
                    try stage.require(stage.hasVolume("pg"), "what is not declared went")
                }
                try stage.writeStores(["web", "db"], profiled: "db")
                try stage.covey("up", "-d")
                try stage.covey("down", "-v", "-t", "0")
                try stage.require(!stage.hasVolume("pg"), "what a profile switched off stayed")
                try stage.writeStores(["web", "db"])
                try stage.covey("up", "-d")
                try stage.writeStores(["web"])
                try stage.covey("-p", stage.project, "down", "-v", "-t", "0")
                try stage.require(!stage.hasVolume("cache") && !stage.hasVolume("pg"), "-p alone left one")
                try stage.require(
                    !exists("\(stage.directory)/root/projects/\(stage.project)"), "anonymous ones stayed")
            }
        }

        @Test(
            "a mounted volume stays mounted while another project has it, and goes with the last",
            arguments: [true, false])
        func sharedMount(ownerFirst: Bool) throws {
            try Stage.play("one") { stage in
                let volume = "\(stage.project)-vol"
                for (file, declared) in [
                    ("owner", "driver_opts: {type: tmpfs, device: tmpfs}"), ("guest", "external: true"),
                ] {
                    try stage.write(
                        "\(file).yaml",
                        """
                        services:
                          \(file): {image: "bb:1", init: true, command: [sleep, "1000"], volumes: ["v:/v"]}
                        volumes: {v: {name: \(volume), \(declared)}}
                        """)
                }
                func covey(_ file: String, _ arguments: String...) throws -> Outcome {
                    try stage.start(["-f", "\(file).yaml", "-p", "\(file)-\(stage.project)"] + arguments)
                        .wait().orThrow()
                }
                func isMounted() -> Bool {
                    contents("/proc/self/mountinfo").contains("/volumes/\(volume)/data ")
                }
                _ = try covey("owner", "up", "-d")
                _ = try covey("guest", "up", "-d")
                _ = try covey("guest", "exec", "-T", "guest", "sh", "-c", "echo shared >/v/x")
                if ownerFirst {
                    _ = try covey("owner", "down", "-t", "0")
                    try stage.require(isMounted(), "unmounted beneath the guest")
                    _ = try covey("owner", "up", "-d")
                    let seen = try covey("owner", "exec", "-T", "owner", "cat", "/v/x").text
                    try stage.require(seen == "shared", "another file system: \(seen)")
                    _ = try covey("owner", "down", "-t", "0")
                    _ = try covey("guest", "down", "-t", "0")
                } else {
                    _ = try covey("guest", "down", "-t", "0")
                    try stage.require(isMounted(), "unmounted beneath its owner")
                    // Up without it, the guest is no user.
                    _ = try covey("owner", "down", "-t", "0")
                }
                try stage.require(!isMounted(), "it stayed mounted")
                _ = try covey("owner", "down", "-v")
            }
        }

        @Test("a named volume that was emptied is filled again by the next creation, once for all replicas")
        func filledAgain() throws {
            try Stage.play("one") { stage in
                try stage.write(
                    "compose.yaml",
                    """
                    services:
                      web:
                        image: bb:1
                        init: true
                        command: [sleep, "1000"]
                        volumes: ["data:/data"]
                        scale: 2
                    volumes: {data: {}}
                    """)
                try stage.covey("up", "-d")
                try stage.exec("web", "rm /data/seed")
                try stage.covey("restart", "-t", "0")
                try stage.require(try stage.exec("web", "ls /data") == "", "a restart is no creation")
                try stage.covey("up", "-d", "--force-recreate", "-t", "0")
                try stage.require(
                    try stage.exec("web", "cat /data/seed", index: 2) == "from the image", "not filled")
            }
        }

        @Test("volumes_from follows when the other's anonymous volumes are renewed, and says why")
        func followsRenewed() throws {
            try Stage.play("one") { stage in
                try stage.write(
                    "compose.yaml",
                    """
                    services:
                      src: {image: "bb:1", init: true, command: [sleep, "1000"], volumes: [/own]}
                      taker:
                        image: bb:1
                        init: true
                        command: [sleep, "1000"]
                        volumes_from: [src]
                        volumes: [/mine]
                    """)
                func requireShared(_ when: String) throws {
                    try stage.exec("src", "echo '\(when)' >/own/x")
                    let seen = try stage.exec("taker", "cat /own/x 2>/dev/null || true")
                    try stage.require(seen == when, "\(when): the taker sees \"\(seen)\"")
                }
                try stage.covey("up", "-d")
                try requireShared("at first")
                try stage.exec("taker", "echo kept >/mine/x")
                let before = try stage.container("taker").Pid
                try stage.covey("up", "-d", "-t", "0", "--force-recreate", "src")
                try requireShared("carried over")
                try stage.require(try stage.container("taker").Pid == before, "it was touched for nothing")
                let renew = ["-V", "--force-recreate", "src"]
                let plan = try stage.start(["up", "--dry-run"] + renew).wait().orThrow()
                try stage.require(
                    plan.output.contains("taker-1") && plan.output.contains("volumes_from"), "\(plan)")
                try stage.start(["up", "-d", "-t", "0"] + renew).wait().orThrow()
                try requireShared("renewed")
                try stage.require(
                    try stage.exec("taker", "cat /mine/x") == "kept", "its own volume was renewed with it")
                try stage.covey("rm", "-fs", "src")
                try stage.covey("up", "-d", "-t", "0")
                try requireShared("made anew")
            }
        }
    }
}
