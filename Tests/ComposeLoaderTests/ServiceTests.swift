// SPDX-License-Identifier: Apache-2.0

import Basics
import ComposeLoader
import ComposeModel
import Testing

/// Ports as `[address:]published->target/protocol`, for tables.
private func shown(_ ports: [Service.Port]) -> [String] {
    ports.map { port in
        let range = port.published.map {
            $0.lowerBound == $0.upperBound ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)"
        }
        return "\(port.hostIP.map { "\($0) " } ?? "")\(range ?? "any")->\(port.target)/\(port.proto.rawValue)"
    }
}

@Test(
    "ports",
    arguments: [
        ("80", ["any->80/tcp"]),
        ("\"80\"", ["any->80/tcp"]),
        ("22:22", ["22->22/tcp"]),
        ("56:40", ["56->40/tcp"]),
        ("8080:80", ["8080->80/tcp"]),
        ("8080:80/udp", ["8080->80/udp"]),
        ("53:53/UDP", ["53->53/udp"]),
        ("127.0.0.1:8080:80", ["127.0.0.1 8080->80/tcp"]),
        ("\"127.0.0.1::80\"", ["127.0.0.1 any->80/tcp"]),
        ("\"[::1]:6001:6001\"", ["::1 6001->6001/tcp"]),
        ("\"::1:6000:6000\"", ["::1 6000->6000/tcp"]),
        ("8000-8002", ["any->8000/tcp", "any->8001/tcp", "any->8002/tcp"]),
        ("8000-8001:9000-9001", ["8000->9000/tcp", "8001->9001/tcp"]),
        ("8000-9000:80", ["8000-9000->80/tcp"]),
        ("{target: 80}", ["any->80/tcp"]),
        ("{target: 80, published: \"8080\"}", ["8080->80/tcp"]),
        ("{target: \"80\", published: 8080, protocol: udp}", ["8080->80/udp"]),
        ("{target: 80, published: \"8080-8090\", host_ip: 127.0.0.1}", ["127.0.0.1 8080-8090->80/tcp"]),
        ("{target: 80, published: \"\", mode: host}", ["any->80/tcp"]),
        ("8080:80, \"8080:80\"", ["8080->80/tcp"]),
        ("8080:80, 8080:80/udp", ["8080->80/tcp", "8080->80/udp"]),
    ])
func ports(_ text: String, _ expected: [String]) throws {
    #expect(try shown(web("ports: [\(text)]").ports) == expected)
}

private func bind(_ path: String, create: Bool = true, propagation: String? = nil) -> Service.Mount.Source {
    .bind(path: path, createHostPath: create, propagation: propagation)
}

@Test(
    "mounts",
    arguments: [
        ("/data", .anonymous, "/data", false),
        ("v:/data", .volume("v"), "/data", false),
        ("v:/data/:ro", .volume("v"), "/data", true),
        ("./a:/b", bind("/work/demo/a"), "/b", false),
        ("../a/./x:/b", bind("/work/a/x"), "/b", false),
        (".:/b", bind("/work/demo"), "/b", false),
        ("~/a:/b", bind("/home/me/a"), "/b", false),
        ("/a:/b:ro,z,rshared", bind("/a", propagation: "rshared"), "/b", true),
        ("{type: bind, source: a, target: /b}", bind("/work/demo/a"), "/b", false),
        (
            "{type: bind, source: /a, target: /b, read_only: true, bind: {create_host_path: false, propagation: slave}}",
            bind("/a", create: false, propagation: "slave"), "/b", true
        ),
        ("{type: volume, source: v, target: /b}", .volume("v"), "/b", false),
        ("{type: volume, target: /b}", .anonymous, "/b", false),
        (
            "{type: tmpfs, target: /b, tmpfs: {size: 1m, mode: 01770}}",
            .tmpfs(size: ByteSize(bytes: 1 << 20), mode: 0o1770, uid: nil, gid: nil), "/b", false
        ),
    ] as [(String, Service.Mount.Source, String, Bool)])
func mounts(_ text: String, _ source: Service.Mount.Source, _ target: String, _ readOnly: Bool) throws {
    let mounts = try web("volumes:\n  - \(text)", "volumes: {v: }\n").volumes
    #expect(mounts.map(\.source) == [source])
    #expect(mounts.map(\.target) == [target])
    #expect(mounts.map(\.readOnly) == [readOnly])
}

@Test("options of volumes, and tmpfs with owner")
func mountOptions() throws {
    let service = try web(
        """
        volumes:
          - v:/a:nocopy
          - {type: volume, source: v, target: /b, volume: {nocopy: true, subpath: sub}}
        tmpfs: ["/run:size=64m,mode=755,uid=1,gid=2,noexec", "/tmp:exec"]
        """, "volumes: {v: }\n")
    #expect(service.volumes.map(\.noCopy) == [true, true, false, false])
    #expect(service.volumes.map(\.runsPrograms) == [false, false, false, true])
    #expect(service.volumes[1].subpath == "sub")
    #expect(service.volumes[2].source == .tmpfs(size: ByteSize(bytes: 64 << 20), mode: 0o755, uid: 1, gid: 2))
}

@Test(
    "commands are split as a shell splits, and nothing is run",
    arguments: [
        ("command:", nil),
        ("command: null", nil),
        ("command: ''", []),
        ("command: []", []),
        ("command: sh -c 'a  b' \"c d\"", ["sh", "-c", "a  b", "c d"]),
        ("command: 'a\\ b c\\\\d \"e\\\"f\" \"\"'", ["a b", "c\\d", "e\"f", ""]),
        ("command: [a b, '$$X', 1, yes]", ["a b", "$X", "1", "yes"]),
        ("command: >\n  a\n  b", ["a", "b"]),
    ] as [(String, [String]?)])
func commands(_ text: String, _ expected: [String]?) throws {
    #expect(try web(text).command == expected)
}

@Test(
    "signals by name and number",
    arguments: [
        "SIGTERM", "TERM", "term", "15", "9", "SIGRTMIN+3", "37", "SIGRTMAX", "SIGIOT",
    ])
func signals(_ text: String) throws {
    #expect(try web("stop_signal: \(text)").stopSignal == text)
}

@Test(
    "permission bits in both spellings",
    arguments: [
        ("0440", 0o440), ("0o440", 0o440), ("\"0440\"", 0o440), ("\"440\"", 0o440), ("256", 0o400), ("0", 0),
    ] as [(String, UInt32)])
func modes(_ text: String, _ expected: UInt32) throws {
    let service = try web("secrets: [{source: s, mode: \(text)}]", "secrets: {s: {file: ./s}}\n")
    #expect(service.secrets.map(\.mode) == [expected])
}

@Test("a decimal mode that looks octal is warned about")
func decimalMode() throws {
    let loaded = try load([
        "compose.yaml": yaml("secrets: [{source: s, mode: 440}]", "secrets: {s: {file: ./s}}\n")
    ])
    #expect(
        loaded.warnings.map(\.doing) == [
            "`services.web.secrets[0].mode` is 440, a decimal number: the permission bits are 0670"
        ])
}

@Test(
    "restart policies",
    arguments: [
        ("restart: \"no\"", .no), ("restart: no", .no), ("restart: always", .always),
        ("restart: unless-stopped", .unlessStopped), ("restart: on-failure", .onFailure(maximumRetries: nil)),
        ("restart: on-failure:3", .onFailure(maximumRetries: 3)),
        ("deploy: {restart_policy: {condition: any}}", .always),
        ("deploy: {restart_policy: {delay: 5s}}", .always),
        ("deploy: {restart_policy: {max_attempts: 3}}", .always), ("deploy: {restart_policy: {}}", .no),
        ("restart: unless-stopped\ndeploy: {restart_policy: {delay: 5s}}", .unlessStopped),
        ("restart: always\ndeploy: {restart_policy: {condition: none}}", .no),
        ("deploy: {restart_policy: {condition: on-failure, max_attempts: 2}}", .onFailure(maximumRetries: 2)),
    ] as [(String, Service.Restart)])
func restarts(_ text: String, _ expected: Service.Restart) throws {
    #expect(try web(text).restartPolicy == expected)
}

@Test("health checks in every form")
func healthchecks() throws {
    let full = try web(
        "healthcheck: {test: [CMD, a], interval: 1m30s, timeout: 5s, retries: 4, start_period: 0s, start_interval: 250ms}"
    ).healthcheck
    #expect(full?.test == ["CMD", "a"])
    #expect(full?.interval == .seconds(90))
    #expect(full?.retries == 4)
    #expect(full?.startPeriod == .zero)
    #expect(full?.startInterval == .milliseconds(250))
    #expect(try web("healthcheck: {test: curl -f x}").healthcheck?.test == ["CMD-SHELL", "curl -f x"])
    #expect(try web("healthcheck: {test: [NONE]}").healthcheck?.test == ["NONE"])
    #expect(try web("healthcheck: {disable: yes}").healthcheck?.disabled == true)
    #expect(try web("healthcheck: {interval: 5s}").healthcheck?.test == nil)
}

@Test("limits, by their old and their new names")
func limits() throws {
    let old = try web("cpus: 0.5\nmem_limit: 256m\npids_limit: 10\nshm_size: 1gb")
    let new = try web("deploy: {resources: {limits: {cpus: '0.50', memory: 256M, pids: 10}}}")
    #expect(old.cpuLimit == 0.5 && new.cpuLimit == 0.5)
    #expect(old.memoryBound == ByteSize(bytes: 256 << 20) && new.memoryBound == old.memoryBound)
    #expect(old.pidsBound == 10 && new.pidsBound == 10)
    #expect(old.shmSize == ByteSize(bytes: 1 << 30))
    #expect(try web("pids_limit: -1").pidsBound == nil)
    #expect(try web("scale: 2\ndeploy: {replicas: 2}").replicas == 2)
    #expect(try web("deploy: {replicas: 0}").replicas == 0)
}

@Test("text stays the text that was written")
func textStays() throws {
    let service = try web(
        "environment: {A: yes, B: 1.10, C: 010, D: 2001-12-14, E: ~, F: '', G: 'null', H: 1_000, I: 12:30:45, J: True}"
    )
    #expect(
        service.environment == [
            "A": "yes", "B": "1.10", "C": "010", "D": "2001-12-14", "F": "", "G": "null", "H": "1_000",
            "I": "12:30:45", "J": "True",
        ])
}

@Test("extra hosts in every spelling")
func extraHosts() throws {
    let list = try web("extra_hosts: [\"a=1.2.3.4\", \"b:1.2.3.4\", \"c:::1\", \"d=[::1]\"]").extraHosts
    #expect(list.map { "\($0.name) \($0.address)" } == ["a 1.2.3.4", "b 1.2.3.4", "c ::1", "d ::1"])
    let map = try web("extra_hosts: {a: 1.2.3.4, b: [1.1.1.1, 2.2.2.2]}").extraHosts
    #expect(map.map { "\($0.name) \($0.address)" } == ["a 1.2.3.4", "b 1.1.1.1", "b 2.2.2.2"])
}

@Test("builds: short and long, paths absolute, arguments from the client")
func builds() throws {
    let short = try load(["compose.yaml": "services: {web: {build: ./dir}}"]).project.services["web"]
    var expected = Service.Build(context: "/work/demo/dir")
    expected.dockerfile = "/work/demo/dir/Dockerfile"
    #expect(short?.build == expected)
    let long = try load([
        "compose.yaml": """
        services:
          web:
            build:
              dockerfile: sub/Dockerfile
              args: [A=1, USER, NOBODY]
              additional_contexts: {host: /, lib: ../lib, base: "service:base", img: "oci:images/a:tag"}
              privileged: false
          base: {build: .}
        """
    ]).project.services["web"]?.build
    #expect(long?.context == "/work/demo")
    #expect(long?.dockerfile == "/work/demo/sub/Dockerfile")
    #expect(long?.args == ["A": "1", "USER": "me"])
    #expect(
        long?.additionalContexts == [
            "host": "/", "lib": "/work/lib", "base": "service:base", "img": "oci:/work/demo/images/a:tag",
        ])
}

@Test("grants: short and long, targets made absolute")
func grants() throws {
    let service = try web(
        "secrets: [s, {source: s, target: pw, uid: '5', gid: 6}]\nconfigs: [c, {source: c, target: /etc/c}]",
        "secrets: {s: {environment: PW}}\nconfigs: {c: {content: 'a ${USER}'}}\n")
    #expect(service.secrets.map(\.target) == ["/run/secrets/s", "/run/secrets/pw"])
    #expect(service.secrets.map(\.uid) == [nil, 5])
    #expect(service.configs.map(\.target) == ["/c", "/etc/c"])
    let project = try load([
        "compose.yaml": yaml("configs: [c]", "configs: {c: {content: 'a ${USER}'}}\n")
    ]).project
    #expect(project.configs["c"]?.content == .content("a me"))
}

@Test("networks and volumes: names, external in both forms, internal")
func resources() throws {
    let loaded = try load([
        "compose.yaml": yaml(
            "networks: {a: {aliases: [x], ipv4_address: 10.7.0.9}, b: , c: , d: }\nvolumes: [\"v:/v\", \"w:/w\"]",
            """
            networks:
              a: {internal: true, ipam: {driver: default, config: [{subnet: 10.7.0.0/24, ip_range: 10.7.0.128/25, gateway: 10.7.0.1}]}}
              b: {external: true}
              c: {external: {name: old}}
              d: {name: mine, external: true, x-note: 1}
            volumes:
              v: {name: "${USER}-v", labels: [a]}
              w: {external: true, name: out}
            """)
    ])
    let networks = loaded.project.networks
    #expect(networks["a"]?.isInternal == true)
    #expect(networks["a"]?.ipam.first?.ipRange == "10.7.0.128/25")
    #expect(networks.mapValues(\.name) == ["a": "demo_a", "b": "b", "c": "old", "d": "mine"])
    #expect(loaded.project.volumes.mapValues(\.name) == ["v": "me-v", "w": "out"])
    #expect(
        loaded.warnings.map(\.doing) == ["`networks.c.external`.name is obsolete"]
            || loaded.warnings.count == 1)
}

@Test("harmless values of refused attributes, and what has no effect, are accepted")
func harmless() throws {
    let service = try web(
        """
        privileged: false
        attach: true
        devices: []
        develop:
        platform: linux
        pull_policy: if_not_present
        security_opt: [no-new-privileges, "seccomp=unconfined", "no-new-privileges:false"]
        oom_score_adj: 0
        isolation: default
        deploy: {mode: replicated, labels: {}}
        x-anything: {goes: [here]}
        """)
    #expect(
        service.securityOptions == ["no-new-privileges", "seccomp=unconfined", "no-new-privileges:false"])
    #expect(
        try load(["compose.yaml": "version: '3'\n" + yaml("user: a")]).warnings.map(\.doing) == [
            "`version` is obsolete and has no effect"
        ])
}

@Test("labels of an anonymous volume are said to have no effect")
func anonymousLabels() throws {
    let service = "volumes: [{type: volume, target: /a, volume: {labels: [a=b]}}, {type: volume, target: /b}]"
    #expect(
        try load(["compose.yaml": yaml(service)]).notes.map(\.doing) == [
            "`services.web.volumes[0].volume.labels` has no effect"
        ])
}

@Test("options of Docker's log files that ours have no place for are said to have no effect; others are not")
func loggingOptions() throws {
    func notes(_ driver: String) throws -> [String] {
        let options = "options: {max-size: 10m, compress: 'true', mode: non-blocking, tag: x}"
        return try load(["compose.yaml": yaml("logging: {\(driver) \(options)}")]).notes.map(\.doing)
    }
    let told = ["compress", "tag"].map { "`services.web.logging.options.\($0)` has no effect" }
    #expect(try notes("") == told)
    #expect(try notes("driver: local,") == told)
    #expect(try notes("driver: syslog,") == [])
}

@Test("places of attributes are kept for later errors")
func marks() throws {
    let service = try web("ports: [\"80:80\"]\nuser: a")
    #expect(service.marks.element?.line == 2)
    #expect(service.marks["user"]?.description == "compose.yaml:5:5")
    #expect(service.marks["user"]?.lineText == "    user: a")
    #expect(service.ports.first?.location?.description == "compose.yaml:4:13")
}
