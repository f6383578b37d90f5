// SPDX-License-Identifier: Apache-2.0

import Basics
import ComposeModel
import ContainerModel
import Planning
import Testing

@Suite("a project and its images become requests")
struct LoweringTests {
    @Test(
        "entrypoint and command replace, drop and clear as Docker Compose's do",
        arguments: [
            (nil, nil, ["/entry", "serve"]),
            (nil, ["x"], ["/entry", "x"]),
            (["/own"], nil, ["/own"]),
            (["/own"], ["x"], ["/own", "x"]),
            ([], ["x"], ["x"]),
            (nil, [], ["/entry"]),
        ] as [([String]?, [String]?, [String])])
    func arguments(entrypoint: [String]?, command: [String]?, expected: [String]) throws {
        let image = image {
            $0.entrypoint = ["/entry"]
            $0.command = ["serve"]
        }
        let request = try request(image: image) {
            $0.entrypoint = entrypoint
            $0.command = command
        }
        #expect(request.container.arguments == expected)
    }

    @Test("a service with nothing to run is an error at its image")
    func nothingToRun() {
        #expect {
            try request { $0.entrypoint = [] }
        } throws: {
            "\($0)" == """
                compose.yaml:3:12: error: service "app" has nothing to run
                  cause: neither the service nor image "demo:1" gives a command or an entrypoint
                  try:   add `command:` to the service
                """
        }
    }

    @Test("the service's variables replace the image's in place and follow them by name")
    func environment() throws {
        let image = image { $0.environment = ["PATH=/bin", "LANG=C", "EMPTY="] }
        let request = try request(image: image) {
            $0.environment = ["LANG": "de=DE", "B": "2", "A": "1", "EMPTY": "no"]
        }
        #expect(request.container.environment == ["PATH=/bin", "LANG=de=DE", "EMPTY=no", "A=1", "B=2"])
    }

    @Test("what the service leaves open is the image's, then the default")
    func defaults() throws {
        let plain = try request()
        #expect(plain.container.workingDirectory == "/")
        #expect(plain.container.user == "")
        #expect(plain.container.stopSignal == "SIGTERM")
        #expect(plain.container.stopGracePeriod == .seconds(10))
        #expect(plain.restart == .no)
        let image = image {
            $0.workingDirectory = "srv//data/"
            $0.user = "www"
            $0.stopSignal = "3"
            $0.labels = ["a": "image", "b": "image"]
        }
        let inherited = try request(image: image) { $0.labels = ["b": "own"] }
        #expect(inherited.container.workingDirectory == "/srv/data")
        #expect(inherited.container.user == "www")
        #expect(inherited.container.stopSignal == "SIGQUIT")
        #expect(
            inherited.container.labels == [
                "a": "image", "b": "own", "com.docker.compose.project": "demo",
                "com.docker.compose.service": "app",
            ])
        let own = try request(image: image) {
            $0.workingDirectory = "/own"
            $0.user = "1:2"
            $0.stopSignal = "usr1"
            $0.stopGracePeriod = .seconds(3)
            $0.restart = .onFailure(maximumRetries: 4)
        }
        #expect(own.container.workingDirectory == "/own")
        #expect(own.container.user == "1:2")
        #expect(own.container.stopSignal == "SIGUSR1")
        #expect(own.container.stopGracePeriod == .seconds(3))
        #expect(own.restart == .onFailure(maximumRetries: 4))
    }

    @Test(
        "signals have many spellings and one name",
        arguments: [
            ("SIGTERM", "SIGTERM"), ("term", "SIGTERM"), ("9", "SIGKILL"), ("SIGRTMIN+3", "SIGRTMIN+3"),
            ("RTMAX", "SIGRTMIN+30"), ("34", "SIGRTMIN"), ("31", "SIGSYS"), ("0", nil), ("33", nil),
            ("65", nil), ("SIG", nil), ("", nil), ("SIGRTMIN+31", nil), ("SIGTERMS", nil),
        ] as [(String, String?)])
    func signals(text: String, name: String?) { #expect(signalName(text) == name) }

    @Test("a health check takes each field from the service, the image, the default")
    func healthcheck() throws {
        #expect(try request().healthcheck == nil)
        let image = image {
            $0.healthcheck = HealthcheckRequest(command: ["/probe"], interval: .seconds(7), retries: 9)
        }
        #expect(try request(image: image).healthcheck?.command == ["/probe"])
        let merged = try request(image: image) {
            $0.healthcheck = .init()
            $0.healthcheck?.timeout = .seconds(2)
        }
        #expect(
            merged.healthcheck
                == HealthcheckRequest(
                    command: ["/probe"], interval: .seconds(7), timeout: .seconds(2), retries: 9))
        let shell = try request(image: image) {
            $0.healthcheck = .init()
            $0.healthcheck?.test = ["CMD-SHELL", "test -e /ready"]
            $0.healthcheck?.startPeriod = .seconds(1)
        }
        #expect(shell.healthcheck?.command == ["/bin/sh", "-c", "test -e /ready"])
        #expect(shell.healthcheck?.startPeriod == .seconds(1))
        for disable in [true, false] {
            let none = try request(image: image) {
                $0.healthcheck = .init()
                $0.healthcheck?.disabled = disable
                if !disable { $0.healthcheck?.test = ["NONE"] }
            }
            #expect(none.healthcheck == nil)
        }
    }

    @Test(
        "a health check that can never run is an error",
        arguments: [[], ["CMD"], ["CMD-SHELL", "a", "b"], ["curl", "-f"], nil])
    func badHealthcheck(test: [String]?) {
        #expect(throws: Failure.self) {
            try request {
                $0.healthcheck = .init()
                $0.healthcheck?.test = test
            }
        }
    }

    @Test("attributes with one meaning go through as they are")
    func passedThrough() throws {
        let request = try request {
            var port = Service.Port(target: 53, published: 5300...5310, proto: .udp)
            port.hostIP = "127.0.0.1"
            $0.ports = [port]
            $0.hostname = "box"
            $0.extraHosts = [.init(name: "up", address: "host-gateway")]
            $0.dns = ["1.1.1.1"]
            $0.ulimits = ["nofile": .init(soft: 1, hard: -1)]
            $0.sysctls = ["net.core.somaxconn": "9"]
            $0.cpus = 0.5
            $0.memoryLimit = ByteSize(bytes: 1 << 20)
            $0.pidsLimit = 10
            $0.capAdd = ["NET_ADMIN"]
            $0.capDrop = ["ALL"]
            $0.securityOptions = ["no-new-privileges:true", "seccomp=unconfined"]
            $0.readOnly = true
            $0.initProcess = true
            $0.tty = true
            $0.stdinOpen = true
        }
        let container = request.container
        #expect(
            container.ports == [
                PortRequest(target: 53, published: 5300...5310, hostAddress: "127.0.0.1", proto: .udp)
            ])
        #expect(container.hostname == "box")
        #expect(container.extraHosts == [HostEntry(name: "up", address: "host-gateway")])
        #expect(container.dnsServers == ["1.1.1.1"])
        #expect(container.ulimits == ["nofile": LimitPair(soft: 1, hard: -1)])
        #expect(container.sysctls == ["net.core.somaxconn": "9"])
        #expect(
            container.limits == ResourceLimits(cpus: 0.5, memory: ByteSize(bytes: 1 << 20), pids: 10))
        #expect(container.capAdd == ["NET_ADMIN"])
        #expect(container.capDrop == ["ALL"])
        #expect(container.noNewPrivileges)
        #expect(!container.seccomp)
        #expect(container.readOnlyRoot && container.initProcess && container.tty && container.stdinOpen)
    }

    @Test("what is rarely asked for goes through, and nothing of it when nothing is asked")
    func rare() throws {
        #expect(try request().container.rare == nil)
        let container = try request {
            $0.cpuQuota = 5000
            $0.cpuPeriod = 20_000
            $0.cpuShares = 1
            $0.cpuSet = "0-1"
            $0.memoryLimit = ByteSize(bytes: 4 << 20)
            $0.memoryReservation = ByteSize(bytes: 1 << 20)
            $0.memorySwapLimit = ByteSize(bytes: -1)
            $0.memorySwappiness = 0
            $0.oomKillDisable = true
            $0.oomScoreAdjustment = -5
            $0.groupAdd = ["mail"]
            $0.domainName = "a.test"
            $0.dnsSearch = ["."]
            $0.dnsOptions = ["ndots:1"]
            $0.cgroup = "host"
        }.container
        var limits = ResourceLimits(memory: ByteSize(bytes: 4 << 20))
        limits.cpuQuota = 5000
        limits.cpuPeriod = 20_000
        limits.cpuShares = 2
        limits.cpuSet = "0-1"
        limits.memoryReservation = ByteSize(bytes: 1 << 20)
        limits.memoryAndSwap = ByteSize(bytes: -1)
        limits.swappiness = 0
        limits.oomKillDisabled = true
        #expect(container.limits == limits)
        var rare = RareSettings()
        rare.oomScoreAdjustment = -5
        rare.groups = ["mail"]
        rare.domainName = "a.test"
        rare.dnsSearch = ["."]
        rare.dnsOptions = ["ndots:1"]
        rare.hostNamespaces = [.cgroup]
        #expect(container.rare == rare)
    }

    @Test("a fixed name and several replicas exclude each other")
    func nameAndReplicas() {
        #expect {
            try request {
                $0.containerName = "box"
                $0.replicas = 2
            }
        } throws: {
            "\($0)".hasPrefix(
                "compose.yaml:4:21: error: service \"app\" has 2 replicas and a fixed name\n")
        }
    }

    @Test("names of containers have the project's separator in them, and change nothing inside")
    func separator() throws {
        var project = project()
        let plain = try lowered(project).desired.services["app"]
        project.nameSeparator = "_"
        let other = try lowered(project).desired.services["app"]
        #expect(plain.map { containerName(project: "demo", service: $0, index: 2) } == "demo-app-2")
        #expect(other.map { containerName(project: "demo", service: $0, index: 2) } == "demo_app_2")
        #expect(plain?.configHash == other?.configHash)
    }

    @Test("two services never share a container's name")
    func nameTaken() {
        var project = project { $0.containerName = "demo-web-1" }
        var web = Service(name: "web")
        web.image = "demo:1"
        project.services["web"] = web
        #expect(throws: Failure.self) { try lowered(project) }
    }

    @Test("waiting for the health of a service that has no health check is an error")
    func healthOfNothing() {
        var project = project { $0.dependsOn = ["db": .init(condition: .healthy)] }
        var db = Service(name: "db")
        db.image = "demo:1"
        project.services["db"] = db
        #expect {
            try lowered(project)
        } throws: {
            "\($0)".contains("service \"app\" waits for \"db\" to be healthy")
        }
    }

    @Test(
        "an optional dependency that is switched off is dropped, a required one is an error naming the profile"
    )
    func disabledDependency() throws {
        var project = project { $0.dependsOn = ["db": .init(condition: .started)] }
        var db = Service(name: "db")
        db.profiles = ["full"]
        project.disabledServices["db"] = db
        #expect {
            try lowered(project)
        } throws: {
            "\($0)".contains("switched off by its profiles") && "\($0)".contains("profile \"full\"")
        }
        project.services["app"]?.dependsOn["db"]?.required = false
        let desired = try lowered(project).desired
        #expect(desired.services["app"]?.dependencies == [:])
        #expect(desired.disabledServices == ["db"])
    }

    @Test("all mistakes of a project are reported together")
    func together() {
        var project = project { $0.stopSignal = "HOP" }
        project.services["other"] = Service(name: "other")
        project.services["other"]?.networkMode = "service:nope"
        #expect {
            try lowered(project)
        } throws: {
            ($0 as? Failure)?.flattened.count == 2
        }
    }
}
