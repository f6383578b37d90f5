// SPDX-License-Identifier: Apache-2.0
//
// Namespaces, devices and limits of the host, and where logs go.

import Basics
import ComposeModel
import ContainerModel
import Planning
import Testing

@Suite("what a container has of its host becomes requests")
struct LoweringHostTests {
    @Test("a service that is named and not there, or is the one that names it, is told for what it is")
    func absent() throws {
        func says(_ doing: String, _ advice: String, _ change: (inout Service) -> Void) {
            var project = project(change)
            var web = Service(name: "aap")
            web.image = "demo:1"
            project.disabledServices["aap"] = web
            #expect {
                try lowered(project)
            } throws: {
                let failure = $0 as? Failure
                return failure?.doing == doing && failure?.advice == advice
            }
        }
        says("service \"app\" takes volumes from itself", "name another service, or remove it") {
            $0.volumesFrom = ["app"]
        }
        says(
            "service \"app\" takes volumes from service \"aap\", which is switched off by its profiles",
            "switch it on with --profile"
        ) { $0.volumesFrom = ["aap:ro"] }
        says(
            "service \"app\" takes volumes from service \"apq\", which is not declared",
            "write container:apq for a container"
        ) { $0.volumesFrom = ["apq"] }
        says(
            "service \"app\" uses service \"aap\" for its `network_mode`, which is switched off by its profiles",
            "switch it on with --profile"
        ) {
            $0.networkMode = "service:aap"
            $0.networks = [:]
        }
        says(
            "service \"app\" uses service \"apq\" for its `pid`, which is not declared",
            "declare it under `services`"
        ) { $0.pid = "service:apq" }
    }

    @Test("the host's network publishes nothing")
    func hostNetwork() throws {
        let container = try request {
            $0.networkMode = "host"
            $0.networks = [:]
            $0.ports = [Service.Port(target: 80, published: 80...80)]
        }.container
        #expect(container.ports.isEmpty)
        #expect(container.rare?.hostNamespaces == [.network])
    }

    @Test("what a container has of the host and of others goes through")
    func hostAccess() throws {
        var project = project {
            $0.networkMode = "service:db"
            $0.networks = [:]
            $0.pid = "container:other"
            $0.ipc = "host"
            $0.privileged = true
            $0.devices = [.init(source: "/dev/kvm", target: "/dev/kvm", permissions: "wr")]
            $0.deviceCgroupRules = ["c 1:* rm"]
            $0.securityOptions = [
                "seccomp=p.json", "apparmor:mine", "label=type:t", "systempaths=unconfined",
            ]
            $0.annotations = ["a": "b"]
            $0.volumesFrom = ["db:ro", "container:c"]
            $0.deploy = Deploy()
            $0.deploy?.reservations = Deploy.Resources()
            $0.deploy?.reservations?.memory = ByteSize(bytes: 1 << 20)
        }
        var db = Service(name: "db")
        db.image = "demo:1"
        db.networks = ["default": .init()]
        project.services["db"] = db
        var contents = FileContents()
        contents.profiles["p.json"] = Array("{}".utf8)
        let container = try #require(
            try lowered(project, contents: contents).desired.services["app"]?.container)
        var rare = RareSettings()
        rare.hostNamespaces = [.ipc]
        rare.joined = [
            JoinedNamespace(.network, of: .service("db")), JoinedNamespace(.pid, of: .container("other")),
        ]
        rare.privileged = true
        let access = try #require(DeviceAccess("rw"))
        rare.devices = [DeviceGrant(path: "/dev/kvm", target: "/dev/kvm", access: access)]
        rare.deviceRules = [DeviceRule(.character, 1, nil, try #require(DeviceAccess("mr")))]
        rare.seccompProfile = "{}"
        rare.appArmorProfile = "mine"
        rare.seLinuxContext = "system_u:system_r:t:s0"
        rare.systemPathsVisible = true
        rare.annotations = ["a": "b"]
        rare.volumesFrom = [
            VolumesFrom(.service("db"), readOnly: true), VolumesFrom(.container("c"), readOnly: false),
        ]
        #expect(container.rare == rare)
        #expect(container.seccomp && container.networks.isEmpty)
        #expect(container.limits.memoryReservation == ByteSize(bytes: 1 << 20))
        #expect(try !request { $0.privileged = true }.container.seccomp)
    }

    @Test("processors that are reserved are a weight, of more than there can be the greatest")
    func reservedProcessors() throws {
        for (processors, shares) in [(0.5, 512), (1e-9, 2), (1e16, 262_144)] {
            let container = try request {
                $0.deploy = Deploy()
                $0.deploy?.reservations = Deploy.Resources()
                $0.deploy?.reservations?.cpus = processors
            }.container
            #expect(container.limits.cpuShares == shares)
        }
    }

    @Test("an update that has a failure_action looks for five seconds, unless monitor says otherwise")
    func monitor() throws {
        for (action, monitor, expected) in [
            (nil, nil, .zero), ("rollback", nil, .seconds(5)), ("pause", nil, .seconds(5)),
            ("rollback", .zero, .zero), (nil, .seconds(1), .seconds(1)),
        ] as [(String?, Duration?, Duration)] {
            let update = try request {
                var update = Deploy.Update()
                update.failureAction = action
                update.monitor = monitor
                $0.deploy = Deploy()
                $0.deploy?.update = update
            }.update
            #expect(update?.monitor == expected)
        }
    }

    @Test(
        "logging is how much is kept of each stream",
        arguments: [
            ("json-file", [:], nil),
            ("json-file", ["max-size": "10m", "max-file": "3"], .init(fileSize: 10 << 20, files: 3)),
            ("json-file", ["max-size": "1k"], .init(fileSize: 1024, files: 1)),
            ("json-file", ["max-size": "-1", "max-file": "2"], .init(files: 2)),
            ("local", ["max-size": "1m"], .init(fileSize: 1 << 20, files: 5)),
            ("none", [:], .init(files: 0)),
            (
                "json-file",
                [
                    "mode": "non-blocking", "max-buffer-size": "4m", "compress": "true", "tag": "x",
                    "max-file": "2",
                ],
                .init(files: 2)
            ),
        ] as [(String, [String: String], RareSettings.Logging?)])
    func logging(_ driver: String, _ options: [String: String], _ expected: RareSettings.Logging?) throws {
        let container = try request { $0.logging = logs(driver, options) }.container
        #expect(container.rare?.logging == expected)
    }

    @Test(
        "a driver or an option that is not known is named",
        arguments: [
            ("gelf", [:], "service \"app\": `logging.driver: gelf` is not supported"),
            ("local", ["tags": "x"], "service \"app\": `logging.options.tags` is not supported"),
            ("none", ["tag": "x"], "service \"app\": `logging.options.tag` is not supported"),
            ("none", ["max-size": "1m"], "service \"app\": `logging.options.max-size` is not supported"),
            ("local", ["max-size": "1x"], "service \"app\" has a `max-size` of \"1x\""),
            ("local", ["max-size": "1"], "service \"app\" has a `max-size` of \"1\""),
            ("local", ["max-file": "0"], "service \"app\" has a `max-file` of \"0\""),
        ] as [(String, [String: String], String)])
    func badLogging(_ driver: String, _ options: [String: String], _ message: String) {
        #expect {
            try request { $0.logging = logs(driver, options) }
        } throws: {
            ($0 as? Failure)?.doing == message
        }
    }

    private func logs(_ driver: String, _ options: [String: String]) -> Service.Logging {
        var logging = Service.Logging()
        logging.driver = driver
        logging.options = options
        return logging
    }
}
