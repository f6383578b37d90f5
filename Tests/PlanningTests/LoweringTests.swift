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

    @Test("each VOLUME of the image becomes an anonymous volume unless something is mounted just there")
    func imageVolumes() throws {
        let image = image { $0.volumes = ["/data/", "/var/lib/db", "/cache"] }
        let request = try request(image: image) {
            $0.volumes = [
                Service.Mount(source: .tmpfs(size: nil, mode: nil, uid: nil, gid: nil), target: "/cache"),
                Service.Mount(source: .anonymous, target: "/var"),
            ]
        }
        #expect(
            request.container.mounts.map(\.target) == ["/cache", "/data", "/var", "/var/lib/db"])
        #expect(
            request.container.mounts.dropFirst().map(\.source) == [
                .anonymous(index: 0), .anonymous(index: 1), .anonymous(index: 2),
            ])
    }

    @Test("mounts come in the order they nest, whatever the order they are written in")
    func mountOrder() throws {
        let request = try request {
            $0.volumes = ["/a/b/c", "/z", "/a/b", "/a"].map {
                Service.Mount(source: .bind(path: "/h", createHostPath: true, propagation: nil), target: $0)
            }
        }
        #expect(request.container.mounts.map(\.target) == ["/a", "/z", "/a/b", "/a/b/c"])
    }

    @Test(
        "a place in the container is taken once, absolute, and not the root",
        arguments: [["/a", "/a/"], ["a"], ["/"], ["/x/.."]])
    func badMounts(targets: [String]) {
        #expect(throws: Failure.self) {
            try request {
                $0.volumes = targets.map { Service.Mount(source: .anonymous, target: $0) }
            }
        }
    }

    @Test("configs and secrets travel as digests, each content once")
    func files() throws {
        var project = project {
            $0.configs = [Service.FileGrant(source: "conf", target: "/etc/app.conf")]
            var grant = Service.FileGrant(source: "key", target: "/run/secrets/key")
            grant.uid = 7
            grant.mode = 0o400
            $0.secrets = [grant]
        }
        project.configs["conf"] = FileSource(name: "demo_conf", content: .content("x"))
        project.secrets["key"] = FileSource(name: "demo_key", content: .file("/k"))
        let contents = FileContents(configs: ["conf": [1, 2]], secrets: ["key": [1, 2]])
        let lowered = try lowered(project, contents: contents)
        let digest = Digest(of: [1, 2])
        #expect(lowered.blobs == [digest: [1, 2]])
        #expect(
            lowered.desired.services["app"]?.container.files == [
                FileRequest(title: "config \"conf\"", content: digest, target: "/etc/app.conf"),
                FileRequest(
                    title: "secret \"key\"", content: digest, target: "/run/secrets/key", uid: 7, mode: 0o400),
            ])
    }

    @Test("real names are used, and what no service uses is left out")
    func resources() throws {
        var project = project {
            $0.networks = ["back": .init(), "front": .init(), "default": .init()]
            $0.networks["front"]?.priority = 5
            $0.networks["back"]?.aliases = ["store", "app", "store"]
            $0.volumes = [Service.Mount(source: .volume("data"), target: "/data")]
        }
        project.networks["back"] = Network(name: "demo_back")
        project.networks["back"]?.isInternal = true
        var subnet = Network.Subnet()
        subnet.subnet = "10.9.0.0/24"
        project.networks["back"]?.ipam = [subnet]
        project.networks["front"] = Network(name: "shared")
        project.networks["front"]?.external = true
        project.networks["unused"] = Network(name: "demo_unused")
        project.volumes["data"] = Volume(name: "demo_data")
        project.volumes["unused"] = Volume(name: "demo_unused")
        let desired = try lowered(project).desired
        #expect(desired.networks.keys.sorted() == ["demo_back", "demo_default", "shared"])
        #expect(desired.networks["demo_back"]?.subnet == "10.9.0.0/24")
        #expect(desired.networks["demo_back"]?.isInternal == true)
        #expect(desired.networks["shared"]?.external == true)
        #expect(desired.volumes.keys.sorted() == ["demo_data"])
        #expect(
            desired.services["app"]?.container.networks == [
                EndpointRequest(network: "shared", aliases: ["app"]),
                EndpointRequest(network: "demo_back", aliases: ["app", "store"]),
                EndpointRequest(network: "demo_default", aliases: ["app"]),
            ])
        #expect(desired.services["app"]?.container.mounts.map(\.source) == [.volume(name: "demo_data")])
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

    @Test("network_mode: bridge is a network of the project's, another word one that is there")
    func namedNetworks() throws {
        for (mode, name, external) in [("bridge", "demo_bridge", false), ("shared", "shared", true)] {
            let desired = try lowered(
                project {
                    $0.networkMode = mode
                    $0.networks = [:]
                }
            ).desired
            #expect(desired.services["app"]?.container.networks == [EndpointRequest(network: name)])
            #expect(desired.networks[name]?.external == external)
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
        ] as [(String, [String: String], RareSettings.Logging?)])
    func logging(_ driver: String, _ options: [String: String], _ expected: RareSettings.Logging?) throws {
        let container = try request { $0.logging = logs(driver, options) }.container
        #expect(container.rare?.logging == expected)
    }

    @Test(
        "a driver or an option that is not known is named",
        arguments: [
            ("gelf", [:], "service \"app\": `logging.driver: gelf` is not supported"),
            ("local", ["tag": "x"], "service \"app\": `logging.options.tag` is not supported"),
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

    @Test("a link is an alias of its own for a service it shares a network with")
    func links() throws {
        var project = project {
            $0.links = ["web:w", "web"]
            $0.networks = ["a": .init()]
        }
        project.networks["a"] = Network(name: "demo_a")
        var web = Service(name: "web")
        web.image = "demo:1"
        web.networks = ["a": .init()]
        project.services["web"] = web
        #expect(try lowered(project).desired.services["app"]?.container.rare?.links == ["w": "web"])
        project.services["web"]?.networks = [:]
        #expect {
            try lowered(project)
        } throws: {
            ($0 as? Failure)?.doing == "service \"app\" links to \"web\" and can't reach it"
        }
    }

    @Test("a hardware address is the first network's, or each network's own")
    func hardwareAddresses() throws {
        func endpoints(_ change: (inout Service) -> Void) throws -> [String?] {
            var project = project {
                $0.networks = ["a": .init(), "b": .init()]
                change(&$0)
            }
            for key in ["a", "b"] { project.networks[key] = Network(name: key) }
            let lowered = try lowered(project).desired.services["app"]
            return lowered?.container.networks.map(\.macAddress) ?? []
        }
        #expect(try endpoints { $0.macAddress = "02-42-AC-11-00-02" } == ["02:42:ac:11:00:02", nil])
        #expect(
            try endpoints { $0.networks["b"]?.macAddress = "02:00:00:00:00:01" } == [
                nil, "02:00:00:00:00:01",
            ])
        func says(_ message: String, _ change: (inout Service) -> Void) {
            #expect {
                try endpoints(change)
            } throws: {
                "\($0)".contains(message)
            }
        }
        says("which no interface can have") { $0.macAddress = "01:00:00:00:00:01" }
        says("which no interface can have") { $0.macAddress = "00:00:00:00:00:00" }
        says("two hardware addresses") {
            $0.macAddress = "02:00:00:00:00:01"
            $0.networks["a"]?.macAddress = "02:00:00:00:00:02"
        }
        says("2 replicas") {
            $0.macAddress = "02:00:00:00:00:01"
            $0.replicas = 2
        }
        says("no network") {
            $0.macAddress = "02:00:00:00:00:01"
            $0.networks = [:]
        }
    }

    struct Contradiction: Sendable {
        let change: @Sendable (inout Service) -> Void
        let message: String
        init(_ message: String, _ change: @escaping @Sendable (inout Service) -> Void) {
            self.message = message
            self.change = change
        }
    }

    @Test(
        "limits that contradict each other, or that the kernel would bend, are errors",
        arguments: [
            Contradiction("service \"app\" limits processor time twice") {
                $0.cpus = 1
                $0.cpuQuota = 1000
            },
            Contradiction("service \"app\" limits processor time twice") {
                $0.cpus = 1
                $0.cpuPeriod = 1000
            },
            Contradiction("service \"app\" has a `cpu_quota` of 999 µs") { $0.cpuQuota = 999 },
            Contradiction("service \"app\" has a `cpu_period` of 999 µs") { $0.cpuPeriod = 999 },
            Contradiction("service \"app\" has a `cpu_period` of 1000001 µs") { $0.cpuPeriod = 1_000_001 },
            Contradiction("service \"app\" limits swap and not memory") {
                $0.memorySwapLimit = ByteSize(bytes: 9)
            },
            Contradiction("service \"app\" may use more memory than memory and swap together") {
                $0.memoryLimit = ByteSize(bytes: 10 << 20)
                $0.memorySwapLimit = ByteSize(bytes: 9 << 20)
            },
            Contradiction("service \"app\" reserves more memory than it may use") {
                $0.memoryLimit = ByteSize(bytes: 1 << 20)
                $0.memoryReservation = ByteSize(bytes: 2 << 20)
            },
            Contradiction("service \"app\" has the host's name and a `hostname`") {
                $0.uts = "host"
                $0.hostname = "a"
            },
            Contradiction("service \"app\": `uts: service:db` is not supported") { $0.uts = "service:db" },
            Contradiction("service \"app\" has the domain name \"a b\"") { $0.domainName = "a b" },
            Contradiction("service \"app\" has white space in `dns_search`") { $0.dnsSearch = ["a\nb"] },
            Contradiction("service \"app\" has white space in `dns_opt`") { $0.dnsOptions = [""] },
        ])
    func contradictions(_ given: Contradiction) {
        #expect {
            try request(given.change)
        } throws: {
            ($0 as? Failure)?.doing == given.message
        }
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

    @Test(
        "labels of a mount are its volume's, and kept with an anonymous one; two values of one are an error")
    func volumeLabels() throws {
        func labelled(_ other: String) -> Project {
            var project = project {
                for (source, label) in [(Service.Mount.Source.volume("data"), "mine"), (.anonymous, "own")] {
                    var mount = Service.Mount(source: source, target: "/\(label)")
                    mount.labels = ["a": label]
                    $0.volumes.append(mount)
                }
            }
            project.volumes["data"] = Volume(name: "demo_data")
            project.volumes["data"]?.labels = ["b": "2", "a": other]
            return project
        }
        let desired = try lowered(labelled("mine")).desired
        #expect(desired.volumes["demo_data"]?.labels == ["a": "mine", "b": "2"])
        let mounts = desired.services["app"]?.container.mounts ?? []
        #expect(mounts.map(\.labels) == [nil, ["a": "own"]])
        #expect {
            try lowered(labelled("theirs"))
        } throws: {
            "\($0)".contains("service \"app\" gives volume \"data\" another value of the label \"a\"")
        }
    }

    private func plain() throws -> ServiceRequest { try request() }

    @Test("what a service says of its interfaces is put beside their networks")
    func interfaces() throws {
        let request = try request {
            $0.networks["default"]?.interfaceName = "lan0"
            $0.networks["default"]?.linkLocalAddresses = ["169.254.1.1"]
            $0.networks["default"]?.gatewayPriority = 3
            $0.networks["default"]?.driverOptions = [
                "com.docker.network.endpoint.sysctls":
                    "net.ipv4.conf.IFNAME.log_martians=1,net.ipv6.conf.IFNAME.accept_ra=0"
            ]
        }
        let settings = request.container.networks.first?.settings
        #expect(settings?.linkName == "lan0")
        #expect(settings?.linkLocalAddresses == ["169.254.1.1"])
        #expect(settings?.gatewayPriority == 3)
        #expect(
            settings?.sysctls == [
                "net.ipv4.conf.IFNAME.log_martians": "1", "net.ipv6.conf.IFNAME.accept_ra": "0",
            ])
        #expect(try plain().container.networks.first?.settings == nil)
    }

    @Test("two services never share a container's name")
    func nameTaken() {
        var project = project { $0.containerName = "demo-web-1" }
        var web = Service(name: "web")
        web.image = "demo:1"
        project.services["web"] = web
        #expect(throws: Failure.self) { try lowered(project) }
    }

    struct Refused: Sendable {
        var message: String
        var change: @Sendable (inout Service) -> Void
        init(_ message: String, _ change: @escaping @Sendable (inout Service) -> Void) {
            self.message = message
            self.change = change
        }
    }

    @Test(
        "what cannot be done is refused by name",
        arguments: [
            Refused("security_opt: smack:mine") { $0.securityOptions = ["smack:mine"] },
            Refused("has the label \"any\"") { $0.securityOptions = ["label:any"] },
            Refused("profile that was not read") { $0.securityOptions = ["seccomp=p.json"] },
            Refused("publishes ports and has no network of its own") {
                $0.networkMode = "host"
                $0.networks = [:]
                $0.ports = [Service.Port(target: 80, published: nil)]
            },
            Refused("has `hostname` and the network of another container") {
                $0.networkMode = "container:c"
                $0.networks = [:]
                $0.hostname = "a"
            },
            Refused("uses service \"nope\" for its `pid`") { $0.pid = "service:nope" },
            Refused("uses itself for its `ipc`") { $0.ipc = "service:app" },
            Refused("`userns_mode` of \"keep-id\"") { $0.userNamespace = "keep-id" },
            Refused("would set the host's net.core.somaxconn") {
                $0.networkMode = "host"
                $0.networks = [:]
                $0.sysctls = ["net.core.somaxconn": "1"]
            },
            Refused("names the device \"kvm\"") { $0.devices = [.init(source: "kvm", target: "/dev/kvm")] },
            Refused("has the rule \"c 1 r\"") { $0.deviceCgroupRules = ["c 1 r"] },
            Refused("takes volumes from \"nope\"") { $0.volumesFrom = ["nope"] },
            Refused("has a weight of 5 in `blkio_config`") {
                var block = Service.BlockIO()
                block.weight = 5
                $0.blockIO = block
            },
            Refused("names the device \"sda\" in `blkio_config`") {
                var block = Service.BlockIO()
                block.readBytes = [.init(path: "sda", value: 1)]
                $0.blockIO = block
            },
            Refused("a `cpu_rt_runtime` longer than its period") { $0.cpuRealtimeRuntime = 2_000_000 },
            Refused("`recursive: readonly` on a writable mount") {
                var mount = Service.Mount(
                    source: .bind(path: "/a", createHostPath: true, propagation: nil), target: "/b")
                mount.recursive = "readonly"
                $0.volumes = [mount]
            },
            Refused("mounts the image \"x:1\", which is not in the store") {
                $0.volumes = [Service.Mount(source: .image("x:1"), target: "/b")]
            },
            Refused("unknown stop signal \"HOP\"") { $0.stopSignal = "HOP" },
            Refused("network \"nope\", which is not declared") { $0.networks = ["nope": .init()] },
            Refused("volume \"nope\", which is not declared") {
                $0.volumes = [Service.Mount(source: .volume("nope"), target: "/x")]
            },
            Refused("secret \"nope\", which is not declared") {
                $0.secrets = [.init(source: "nope", target: "/x")]
            },
            Refused("depends on \"nope\", which is not declared") {
                $0.dependsOn = ["nope": .init(condition: .started)]
            },
            Refused("depend on each other in a circle") {
                $0.dependsOn = ["app": .init(condition: .started)]
            },
            Refused("can have `link_local_ips`") {
                $0.replicas = 2
                $0.networks["default"]?.linkLocalAddresses = ["169.254.1.1"]
            },
            Refused("has two interface names on network") {
                $0.networks["default"]?.interfaceName = "a"
                $0.networks["default"]?.driverOptions = ["com.docker.network.endpoint.ifname": "b"]
            },
            Refused("links to container \"c\" and has no network") {
                $0.externalLinks = ["c"]
                $0.networks = [:]
            },
            Refused("2 replicas and a fixed address") {
                $0.replicas = 2
                $0.networks["default"]?.ipv4Address = "10.0.0.2"
            },
        ])
    func refused(refused: Refused) {
        #expect {
            try request(refused.change)
        } throws: {
            "\($0)".contains(refused.message) && "\($0)".hasPrefix("compose.yaml:")
        }
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
