// SPDX-License-Identifier: Apache-2.0
//
// Values that do not fit their attribute: what is said, to the letter.

import Testing

@Test("a value that does not fit its attribute is told with its place", arguments: valuesComplaints)
func complainsValues(_ expected: Complaint) {
    #expect(complaint(["compose.yaml": expected.file]) == expected.text, "\(expected.title)")
}

private let valuesComplaints: [Complaint] = [
    Complaint(
        "a bool that is none",
        #"""
        services:
          web:
            image: app
            read_only: maybe
        """#,
        says: #"""
            compose.yaml:4:16: error: `services.web.read_only` is "maybe"; expected true or false
              4 |     read_only: maybe
                |                ^
            """#),
    Complaint(
        "a number that is none",
        #"""
        services:
          web:
            image: app
            cpus: many
        """#,
        says: #"""
            compose.yaml:4:11: error: `services.web.cpus` is "many"; expected a number of processors such as 0.5
              4 |     cpus: many
                |           ^
            """#),
    Complaint(
        "a size that is none",
        #"""
        services:
          web:
            image: app
            mem_limit: 12q
        """#,
        says: #"""
            compose.yaml:4:16: error: `services.web.mem_limit` is "12q"; expected a size such as 64m or 1gb
              4 |     mem_limit: 12q
                |                ^
            """#),
    Complaint(
        "a duration that is none",
        #"""
        services:
          web:
            image: app
            stop_grace_period: 10
        """#,
        says: #"""
            compose.yaml:4:24: error: `services.web.stop_grace_period` is "10"; expected a duration such as 10s or 1m30s
              4 |     stop_grace_period: 10
                |                        ^
            """#),
    Complaint(
        "a mapping for text",
        #"""
        services:
          web:
            image: app
            user: {a: b}
        """#,
        says: #"""
            compose.yaml:4:11: error: `services.web.user` is a mapping; expected text
              4 |     user: {a: b}
                |           ^
            """#),
    Complaint(
        "text for a list",
        #"""
        services:
          web:
            image: app
            cap_add: NET_ADMIN
        """#,
        says: #"""
            compose.yaml:4:14: error: `services.web.cap_add` is "NET_ADMIN"; expected a list
              4 |     cap_add: NET_ADMIN
                |              ^
            """#),
    Complaint(
        "a list for a mapping",
        #"""
        services:
          web:
            image: app
            healthcheck: [a]
        """#,
        says: #"""
            compose.yaml:4:18: error: `services.web.healthcheck` is a list; expected a mapping
              4 |     healthcheck: [a]
                |                  ^
            """#),
    Complaint(
        "an unknown signal",
        #"""
        services:
          web:
            image: app
            stop_signal: SIGFOO
        """#,
        says: #"""
            compose.yaml:4:18: error: `services.web.stop_signal` is "SIGFOO", which is no signal
              4 |     stop_signal: SIGFOO
                |                  ^
              try:   did you mean SIGFPE?
            """#),
    Complaint(
        "a signal's number out of range",
        #"""
        services:
          web:
            image: app
            stop_signal: 99
        """#,
        says: #"""
            compose.yaml:4:18: error: `services.web.stop_signal` is "99", which is no signal
              4 |     stop_signal: 99
                |                  ^
              try:   such as SIGTERM or 15
            """#),
    Complaint(
        "a signal nearly right",
        #"""
        services:
          web:
            image: app
            stop_signal: SIGTERN
        """#,
        says: #"""
            compose.yaml:4:18: error: `services.web.stop_signal` is "SIGTERN", which is no signal
              4 |     stop_signal: SIGTERN
                |                  ^
              try:   did you mean SIGTERM?
            """#),
    Complaint(
        "an unknown capability",
        #"""
        services:
          web:
            image: app
            cap_drop: [NET_ADMN]
        """#,
        says: #"""
            compose.yaml:4:16: error: `services.web.cap_drop[0]` is "NET_ADMN", which is no capability of Linux
              4 |     cap_drop: [NET_ADMN]
                |                ^
              try:   did you mean NET_ADMIN?
            """#),
    Complaint(
        "a restart policy",
        #"""
        services:
          web:
            image: app
            restart: sometimes
        """#,
        says: #"""
            compose.yaml:4:14: error: `services.web.restart` is "sometimes"; expected no, always, on-failure[:N] or unless-stopped
              4 |     restart: sometimes
                |              ^
            """#),
    Complaint(
        "a port out of range",
        #"""
        services:
          web:
            image: app
            ports: [70000:80]
        """#,
        says: #"""
            compose.yaml:4:13: error: `services.web.ports[0]` is "70000:80"; expected "[[IP:]HOST:]CONTAINER[/PROTOCOL]"
              4 |     ports: [70000:80]
                |             ^
            """#),
    Complaint(
        "a port with an odd protocol",
        #"""
        services:
          web:
            image: app
            ports: [80:80/icmp]
        """#,
        says: #"""
            compose.yaml:4:13: error: `services.web.ports[0]` names the protocol "icmp"
              4 |     ports: [80:80/icmp]
                |             ^
              try:   tcp and udp are supported
            """#),
    Complaint(
        "ranges of different length",
        #"""
        services:
          web:
            image: app
            ports: ["8000-8002:80-81"]
        """#,
        says: #"""
            compose.yaml:4:13: error: `services.web.ports[0]` is "8000-8002:80-81": 3 host ports for 2 container ports
              4 |     ports: ["8000-8002:80-81"]
                |             ^
              try:   give both ranges the same length
            """#),
    Complaint(
        "an address that is none",
        #"""
        services:
          web:
            image: app
            ports: ["300.0.0.1:80:80"]
        """#,
        says: #"""
            compose.yaml:4:13: error: `services.web.ports[0]` is "300.0.0.1:80:80"; "300.0.0.1" is not an address
              4 |     ports: ["300.0.0.1:80:80"]
                |             ^
              try:   expected "[[IP:]HOST:]CONTAINER[/PROTOCOL]"
            """#),
    Complaint(
        "a long port without target",
        #"""
        services:
          web:
            image: app
            ports: [{published: 80}]
        """#,
        says: #"""
            compose.yaml:4:13: error: `services.web.ports[0]` has no `target`
              4 |     ports: [{published: 80}]
                |             ^
              try:   `target` is the container's port
            """#),
    Complaint(
        "a mount with a relative target",
        #"""
        services:
          web:
            image: app
            volumes: [./a:b]
        """#,
        says: #"""
            compose.yaml:4:15: error: `services.web.volumes[0]` mounts at "b"; a path in the container must be absolute
              4 |     volumes: [./a:b]
                |               ^
            """#),
    Complaint(
        "a mount over the root",
        #"""
        services:
          web:
            image: app
            volumes: [./a:/]
        """#,
        says: #"""
            compose.yaml:4:15: error: `services.web.volumes[0]` mounts over the whole container
              4 |     volumes: [./a:/]
                |               ^
              try:   choose a directory below /
            """#),
    Complaint(
        "a mount with four parts",
        #"""
        services:
          web:
            image: app
            volumes: [a:/b:ro:z]
        """#,
        says: #"""
            compose.yaml:4:15: error: `services.web.volumes[0]` is "a:/b:ro:z"; expected "[SOURCE:]TARGET[:OPTIONS]"
              4 |     volumes: [a:/b:ro:z]
                |               ^
            """#),
    Complaint(
        "a mount with an unknown option",
        #"""
        services:
          web:
            image: app
            volumes: [./a:/b:r0]
        """#,
        says: #"""
            compose.yaml:4:15: error: `services.web.volumes[0]` has the unknown option "r0"
              4 |     volumes: [./a:/b:r0]
                |               ^
              try:   did you mean "ro"?
            """#),
    Complaint(
        "a long mount without type",
        #"""
        services:
          web:
            image: app
            volumes: [{source: a, target: /b}]
        """#,
        says: #"""
            compose.yaml:4:15: error: `services.web.volumes[0]` has no `type`
              4 |     volumes: [{source: a, target: /b}]
                |               ^
              try:   volume, bind, tmpfs or image
            """#),
    Complaint(
        "a bind without source",
        #"""
        services:
          web:
            image: app
            volumes: [{type: bind, target: /b}]
        """#,
        says: #"""
            compose.yaml:4:15: error: `services.web.volumes[0]` has no `source`
              4 |     volumes: [{type: bind, target: /b}]
                |               ^
              try:   `source` is a path on the host
            """#),
    Complaint(
        "options of another type",
        #"""
        services:
          web:
            image: app
            volumes: [{type: tmpfs, target: /b, bind: {propagation: shared}}]
        """#,
        says: #"""
            compose.yaml:4:41: error: `services.web.volumes[0]` has options for bind, but its type is tmpfs
              4 |     volumes: [{type: tmpfs, target: /b, bind: {propagation: shared}}]
                |                                         ^
            """#),
    Complaint(
        "a tmpfs option",
        #"""
        services:
          web:
            image: app
            tmpfs: ["/run:huge=yes"]
        """#,
        says: #"""
            compose.yaml:4:13: error: `services.web.tmpfs[0]` has the option "huge=yes"
              4 |     tmpfs: ["/run:huge=yes"]
                |             ^
              try:   size=64m, mode=1777, uid=0, gid=0 and ro are supported
            """#),
    Complaint(
        "a condition",
        #"""
        services:
          web:
            image: app
            depends_on: {db: {condition: ready}}
          db: {image: b}
        """#,
        says: #"""
            compose.yaml:4:34: error: `services.web.depends_on.db.condition` is "ready"; expected service_started, service_healthy or service_completed_successfully
              4 |     depends_on: {db: {condition: ready}}
                |                                  ^
            """#),
    Complaint(
        "a healthcheck that begins with nothing known",
        #"""
        services:
          web:
            image: app
            healthcheck: {test: [curl, x]}
        """#,
        says: #"""
            compose.yaml:4:25: error: `services.web.healthcheck.test` begins with "curl"
              4 |     healthcheck: {test: [curl, x]}
                |                         ^
              try:   a list begins with CMD, CMD-SHELL or NONE
            """#),
    Complaint(
        "a healthcheck disabled and given",
        #"""
        services:
          web:
            image: app
            healthcheck: {test: curl, disable: true}
        """#,
        says: #"""
            compose.yaml:4:18: error: `services.web.healthcheck` is disabled and has a `test`
              4 |     healthcheck: {test: curl, disable: true}
                |                  ^
              try:   give one of them
            """#),
    Complaint(
        "an unclosed quote in a command",
        #"""
        services:
          web:
            image: app
            command: sh -c 'a
        """#,
        says: #"""
            compose.yaml:4:14: error: `services.web.command` opens a quote and never closes it
              4 |     command: sh -c 'a
                |              ^
            """#),
    Complaint(
        "a relative working directory",
        #"""
        services:
          web:
            image: app
            working_dir: app
        """#,
        says: #"""
            compose.yaml:4:18: error: `services.web.working_dir` is "app"; the working directory must be absolute
              4 |     working_dir: app
                |                  ^
            """#),
    Complaint(
        "a host name",
        #"""
        services:
          web:
            image: app
            hostname: a_b!c
        """#,
        says: #"""
            compose.yaml:4:15: error: `services.web.hostname` is "a_b!c", which is not a host's name (RFC 1123)
              4 |     hostname: a_b!c
                |               ^
            """#),
    Complaint(
        "a container name",
        #"""
        services:
          web:
            image: app
            container_name: -x
        """#,
        says: #"""
            compose.yaml:4:21: error: `services.web.container_name` is "-x"
              4 |     container_name: -x
                |                     ^
              try:   letters, digits, "_", ".", "-", beginning with one of the first two
            """#),
    Complaint(
        "an environment variable with a space",
        #"""
        services:
          web:
            image: app
            environment: ["A =b"]
        """#,
        says: #"""
            compose.yaml:4:19: error: `services.web.environment[0]` names the variable "A ", with a space in it
              4 |     environment: ["A =b"]
                |                   ^
            """#),
    Complaint(
        "a limit that is none",
        #"""
        services:
          web:
            image: app
            ulimits: {nofiles: 3}
        """#,
        says: #"""
            compose.yaml:4:15: error: unknown limit `services.web.ulimits.nofiles`
              4 |     ulimits: {nofiles: 3}
                |               ^
              try:   did you mean `nofile`?
            """#),
    Complaint(
        "a limit upside down",
        #"""
        services:
          web:
            image: app
            ulimits: {nofile: {soft: 5, hard: 3}}
        """#,
        says: #"""
            compose.yaml:4:23: error: `services.web.ulimits.nofile` has a soft limit above its hard one
              4 |     ulimits: {nofile: {soft: 5, hard: 3}}
                |                       ^
            """#),
    Complaint(
        "a sysctl without value",
        #"""
        services:
          web:
            image: app
            sysctls: [net.core.somaxconn]
        """#,
        says: #"""
            compose.yaml:4:15: error: `services.web.sysctls[0]` has no value
              4 |     sysctls: [net.core.somaxconn]
                |               ^
            """#),
    Complaint(
        "permission bits",
        #"""
        services:
          web:
            image: app
            secrets: [{source: s, mode: 0999}]
        secrets:
          s: {file: ./s}
        """#,
        says: #"""
            compose.yaml:4:33: error: `services.web.secrets[0].mode` is "0999"; expected permission bits such as 0440
              4 |     secrets: [{source: s, mode: 0999}]
                |                                 ^
            """#),
    Complaint(
        "scale and replicas that differ",
        #"""
        services:
          web:
            image: app
            scale: 2
            deploy: {replicas: 3}
        """#,
        says: #"""
            compose.yaml:5:24: error: `services.web.deploy.replicas` is 3, but `scale` is 2
              5 |     deploy: {replicas: 3}
                |                        ^
              try:   give one of them
            """#),
    Complaint(
        "limits that differ",
        #"""
        services:
          web:
            image: app
            mem_limit: 1g
            deploy: {resources: {limits: {memory: 2g}}}
        """#,
        says: #"""
            compose.yaml:5:43: error: `services.web.deploy.resources.limits.memory` differs from `mem_limit`
              5 |     deploy: {resources: {limits: {memory: 2g}}}
                |                                           ^
              try:   give one of them
            """#),
    Complaint(
        "a subnet that is none",
        #"""
        services:
          web:
            image: app
            networks: [a]
        networks:
          a: {ipam: {config: [{subnet: 10.300.0.0/24}]}}
        """#,
        says: #"""
            compose.yaml:6:32: error: `networks.a.ipam.config[0].subnet` is "10.300.0.0/24"; expected a subnet such as 10.5.0.0/24 or fd00:5::/64
              6 |   a: {ipam: {config: [{subnet: 10.300.0.0/24}]}}
                |                                ^
            """#),
    Complaint(
        "a subnet with host bits",
        #"""
        services:
          web:
            image: app
            networks: [a]
        networks:
          a: {ipam: {config: [{subnet: 10.1.2.3/24}]}}
        """#,
        says: #"""
            compose.yaml:6:32: error: `networks.a.ipam.config[0].subnet` is "10.1.2.3/24", which has bits beyond its prefix
              6 |   a: {ipam: {config: [{subnet: 10.1.2.3/24}]}}
                |                                ^
              try:   did you mean 10.1.2.0/24?
            """#),
    Complaint(
        "a gateway elsewhere",
        #"""
        services:
          web:
            image: app
            networks: [a]
        networks:
          a: {ipam: {config: [{subnet: 10.1.2.0/24, gateway: 10.1.3.1}]}}
        """#,
        says: #"""
            compose.yaml:6:54: error: `networks.a.ipam.config[0].gateway` is 10.1.3.1, which is not in the subnet
              6 |   a: {ipam: {config: [{subnet: 10.1.2.0/24, gateway: 10.1.3.1}]}}
                |                                                      ^
            """#),
    Complaint(
        "a secret from two places",
        #"""
        services:
          web:
            image: app
            secrets: [s]
        secrets:
          s: {file: ./s, environment: S}
        """#,
        says: #"""
            compose.yaml:6:3: error: `secrets.s` has `file` and `environment` for its content
              6 |   s: {file: ./s, environment: S}
                |   ^
              try:   give one of `file`, `environment`
            """#),
    Complaint(
        "a config from nowhere",
        #"""
        services:
          web:
            image: app
            configs: [c]
        configs:
          c: {}
        """#,
        says: #"""
            compose.yaml:6:3: error: `configs.c` does not say where its content is
              6 |   c: {}
                |   ^
              try:   give one of `file`, `environment`, `content`
            """#),
    Complaint(
        "an external network with more",
        #"""
        services:
          web:
            image: app
            networks: [a]
        networks:
          a: {external: true, internal: true}
        """#,
        says: #"""
            compose.yaml:6:23: error: `networks.a.internal` cannot be given: `networks.a` is external
              6 |   a: {external: true, internal: true}
                |                       ^
              cause: an external resource is made and described by others
            """#),
    Complaint(
        "a service's name",
        #"""
        services:
          "my web": {image: a}
        """#,
        says: #"""
            compose.yaml:2:3: error: "my web" is not a name for a service
              2 |   "my web": {image: a}
                |   ^
              try:   letters, digits, ".", "_" and "-"
            """#),
    Complaint(
        "a service that is text",
        #"""
        services:
          web: nginx
        """#,
        says: #"""
            compose.yaml:2:8: error: `services.web` is "nginx"; expected a mapping with an `image` or a `build`
              2 |   web: nginx
                |        ^
            """#),
    Complaint(
        "a service without image",
        #"""
        services:
          web: {user: a}
        """#,
        says: #"""
            compose.yaml:2:3: error: `services.web` has neither an `image` nor a `build`
              2 |   web: {user: a}
                |   ^
              try:   name an image, or a directory with a Dockerfile
            """#),
    Complaint(
        "a dockerfile twice",
        #"""
        services:
          web:
            build: {context: ., dockerfile: a, dockerfile_inline: FROM b}
        """#,
        says: #"""
            compose.yaml:3:40: error: `services.web.build` has both `dockerfile` and `dockerfile_inline`
              3 |     build: {context: ., dockerfile: a, dockerfile_inline: FROM b}
                |                                        ^
              try:   give one of them
            """#),
    Complaint(
        "a project's name",
        #"""
        name: My App
        services:
          web: {image: a}
        """#,
        says: #"""
            compose.yaml:1:7: error: `name` is "My App"; a project's name has lower-case letters, digits, "-" and "_", and begins with a letter or digit
              1 | name: My App
                |       ^
              try:   did you mean "myapp"?
            """#),
]
