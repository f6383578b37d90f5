// SPDX-License-Identifier: Apache-2.0

import Basics
import ComposeLoader
import ComposeModel
import Testing

@Test("a project is printed as Compose's config prints it")
func golden() throws {
    let project = try load([
        "compose.yaml": """
        services:
          web:
            image: busybox:1.36
            command: httpd -f
            environment: {PORT: 80, NAME: demo, TEXT: "a: b", PRICE: $$5}
            ports: ["8080:80"]
            volumes: [data:/data, ./site:/www:ro]
            depends_on: {db: {condition: service_healthy}}
          db:
            image: db
            healthcheck: {test: "true", interval: 5s}
        volumes: {data: }
        """
    ]).project
    #expect(
        renderYAML(project) == """
            name: demo
            services:
              db:
                command: null
                entrypoint: null
                healthcheck:
                  test:
                    - CMD-SHELL
                    - "true"
                  interval: 5s
                image: db
                networks:
                  default: null
              web:
                command:
                  - httpd
                  - -f
                depends_on:
                  db:
                    condition: service_healthy
                    required: true
                entrypoint: null
                environment:
                  NAME: demo
                  PORT: "80"
                  PRICE: $$5
                  TEXT: 'a: b'
                image: busybox:1.36
                networks:
                  default: null
                ports:
                  - mode: ingress
                    target: 80
                    published: "8080"
                    protocol: tcp
                volumes:
                  - type: volume
                    source: data
                    target: /data
                    volume: {}
                  - type: bind
                    source: /work/demo/site
                    target: /www
                    read_only: true
                    bind: {}
            networks:
              default:
                name: demo_default
            volumes:
              data:
                name: demo_data

            """)
}

@Test("JSON says the same")
func json() throws {
    let project = try load(["compose.yaml": "services: {a: {image: x, init: true, scale: 2, dns: [1.1.1.1]}}"]
    ).project
    #expect(
        renderJSON(project) == """
            {
              "name": "demo",
              "networks": {
                "default": {
                  "name": "demo_default",
                  "ipam": {}
                }
              },
              "services": {
                "a": {
                  "command": null,
                  "dns": [
                    "1.1.1.1"
                  ],
                  "entrypoint": null,
                  "image": "x",
                  "init": true,
                  "networks": {
                    "default": null
                  },
                  "scale": 2
                }
              }
            }

            """)
}

/// Loads what was printed and compares; files and places aside it is the same project.
private func returns(_ project: Project) throws {
    for text in [renderYAML(project), renderJSON(project)] {
        var again = try load(["compose.yaml": text]) { $0.profiles = ["*"] }.project
        again.files = project.files
        var expected = project
        expected.disabledServices = [:]
        #expect(again == expected, "\(text)")
        #expect(renderYAML(again) == renderYAML(project))
    }
}

@Test("what is printed loads to an equal project", arguments: samples)
func roundTrip(_ sample: String) throws {
    try returns(load(["compose.yaml": sample]) { $0.profiles = ["*"] }.project)
}

@Test("a key that is too long to be a simple one is printed as one that loads", arguments: [980, 1020, 3000])
func longKeys(_ length: Int) throws {
    let key = String(repeating: "k", count: length)
    for file in [
        "services: {a: {image: x, labels: [\"\(key)=v\"]}}",
        "services: {a: {image: x, x-a: [{? \"\(key)\" : {b: [c]}}]}}",
    ] {
        let project = try load(["compose.yaml": file]).project
        var again = try load(["compose.yaml": renderYAML(project)]).project
        again.files = project.files
        #expect(again == project)
    }
}

private let samples = [
    "services: {a: {image: x}}",
    yaml(
        """
        build: {context: ., dockerfile_inline: "FROM a\\nRUN b\\n", args: {A: "$$1"}, target: t, tags: [x, y], no_cache: true, labels: {a: b}, additional_contexts: {h: /, i: "oci:a:b"}}
        command: ["a b", "", "'q'", "\\"d\\"", "x\\ty", "two\\nlines", " lead", "trail ", "#no", "- no", "a #b", "k: v", "é", "\\x01", "~", "null", "0x1f", "1e3", "12:30", "2001-01-01", "-", "?", "[", "{a", "*a", "&a", "!a", "%a", "@a", "`a", "a:", "on", ".5", "---", "+1"]
        entrypoint: []
        environment: {A: "", B: "multi\\nline\\n", C: "\\n", D: "a\\n\\n", E: " x\\ny", F: "$${X}", G: "tab\\there\\nx", H: "$$\\u0301x"}
        user: "0"
        cpus: 1.5
        mem_limit: 1g
        shm_size: 64m
        pids_limit: 5
        restart: on-failure:3
        scale: 3
        stop_signal: 9
        stop_grace_period: 1m30s
        cap_add: [all]
        cap_drop: [CAP_KILL]
        security_opt: [no-new-privileges, "seccomp:unconfined"]
        read_only: yes
        init: on
        tty: y
        stdin_open: true
        """),
    yaml(
        """
        ports: [80, "127.0.0.1:8080:80", "[::1]:1:2/udp", "8000-8010:90", "1-3:11-13", {target: 5, name: n, app_protocol: http, mode: host}]
        expose: [1, 2-3/udp]
        volumes: [/a, "v:/b:nocopy", "./c:/d:ro,rslave", {type: volume, source: v, target: /e, volume: {subpath: s}}, {type: tmpfs, target: /f, tmpfs: {size: 5k, mode: 0700}}]
        tmpfs: ["/g:uid=1,gid=2,ro", /h]
        networks: {n: {aliases: [x, y], ipv4_address: 10.3.0.9, priority: 5}, o: , default: }
        depends_on: {b: {condition: service_completed_successfully, restart: true, required: false}}
        healthcheck: {test: [CMD, a], interval: 1h, timeout: 1s500ms, retries: 0, start_period: 5us, start_interval: 1m}
        labels: {a.b: "1", c: }
        extra_hosts: ["a=1.1.1.1", "a=::1"]
        dns: 9.9.9.9
        ulimits: {nofile: {soft: 1, hard: -1}, core: 0}
        sysctls: {net.core.somaxconn: 5}
        hostname: h
        container_name: c1
        working_dir: /w
        configs: [c, {source: d, target: /x/y, mode: 0400}]
        secrets: [{source: s, uid: 3, gid: 4}]
        profiles: [p1, p2]
        pull_policy: never
        """,
        """
          b: {image: b, network_mode: none, healthcheck: {disable: true}, restart: unless-stopped}
        networks:
          n: {internal: true, attachable: true, driver: bridge, labels: {a: b}, ipam: {config: [{subnet: 10.3.0.0/24, gateway: 10.3.0.1, ip_range: 10.3.0.0/25}]}}
          o: {external: true, name: out}
        volumes: {v: {labels: [x=y], driver: local}}
        configs: {c: {content: "a\\n$$b"}, d: {file: ./d, name: dd}}
        secrets: {s: {environment: PW, labels: {l: m}}}
        """),
]

@Test("a changed byte is loaded or refused, never more", arguments: samples)
func mangled(_ sample: String) {
    let text = Array(sample.utf8)
    for position in stride(from: 0, to: text.count, by: 13) {
        for byte in "\n:=-[{$,/".utf8 {
            var other = text
            other[position] = byte
            _ = complaint(["compose.yaml": String(decoding: other, as: UTF8.self)])
        }
    }
}
