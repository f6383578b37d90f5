// SPDX-License-Identifier: Apache-2.0
//
// Attributes that are unknown or refused: what is said, to the letter.

import Testing

@Test("unknown and refused attributes are told by name", arguments: attributesComplaints)
func complainsAttributes(_ expected: Complaint) {
    #expect(complaint(["compose.yaml": expected.file]) == expected.text, "\(expected.title)")
}

private let attributesComplaints: [Complaint] = [
    Complaint(
        "an unknown attribute of a service",
        #"""
        services:
          web:
            image: app
            imge: app
        """#,
        says: #"""
            compose.yaml:4:5: error: unknown attribute `services.web.imge`
              4 |     imge: app
                |     ^
              try:   did you mean `image`?
            """#),
    Complaint(
        "an unknown attribute far from any",
        #"""
        services:
          web:
            image: app
            colour: red
        """#,
        says: #"""
            compose.yaml:4:5: error: unknown attribute `services.web.colour`
              4 |     colour: red
                |     ^
            """#),
    Complaint(
        "an unknown top-level attribute",
        #"""
        servces:
          web: {image: a}
        """#,
        says: #"""
            compose.yaml:1:1: error: unknown attribute `servces`
              1 | servces:
                | ^
              try:   did you mean `services`?
            """#),
    Complaint(
        "an unknown attribute of a build",
        #"""
        services:
          web:
            build: {contxt: .}
        """#,
        says: #"""
            compose.yaml:3:13: error: unknown attribute `services.web.build.contxt`
              3 |     build: {contxt: .}
                |             ^
              try:   did you mean `context`?
            """#),
    Complaint(
        "an unknown attribute of a healthcheck",
        #"""
        services:
          web:
            image: app
            healthcheck: {test: a, interwal: 3s}
        """#,
        says: #"""
            compose.yaml:4:28: error: unknown attribute `services.web.healthcheck.interwal`
              4 |     healthcheck: {test: a, interwal: 3s}
                |                            ^
              try:   did you mean `interval`?
            """#),
    Complaint(
        "a refused attribute",
        #"""
        services:
          web:
            image: app
            storage_opt: {size: 1g}
        """#,
        says: #"""
            compose.yaml:4:5: error: `services.web.storage_opt` is not supported yet
              4 |     storage_opt: {size: 1g}
                |     ^
            """#),
    Complaint(
        "a refused attribute with harmless values",
        #"""
        services:
          web:
            image: app
            use_api_socket: true
        """#,
        says: #"""
            compose.yaml:4:5: error: `services.web.use_api_socket` is not supported
              4 |     use_api_socket: true
                |     ^
              cause: there is no engine socket
              try:   only `false` is accepted
            """#),
    Complaint(
        "a refused attribute of Windows",
        #"""
        services:
          web:
            image: app
            cpu_count: 2
        """#,
        says: #"""
            compose.yaml:4:5: error: `services.web.cpu_count` is not supported
              4 |     cpu_count: 2
                |     ^
              cause: Windows only; use `cpus`
            """#),
    Complaint(
        "include",
        #"""
        include: [other.yaml]
        services:
          web: {image: a}
        """#,
        says: #"""
            compose.yaml:1:11: error: cannot read other.yaml
              1 | include: [other.yaml]
                |           ^
              cause: no such file
            """#),
    Complaint(
        "extends",
        #"""
        services:
          web:
            image: app
            extends: {service: base}
        """#,
        says: #"""
            compose.yaml:4:14: error: service "web" extends "base", which is not in compose.yaml
              4 |     extends: {service: base}
                |              ^
            """#),
    Complaint(
        "several problems at once",
        #"""
        services:
          web:
            image: app
            privilegd: true
            devices: [/dev/null:/dev/null:x]
            stop_signal: SIGTREM
            ports: [80:80:80]
        """#,
        says: #"""
            compose.yaml:4:5: error: unknown attribute `services.web.privilegd`
              4 |     privilegd: true
                |     ^
              try:   did you mean `privileged`?
            compose.yaml:5:15: error: `services.web.devices[0]` has the permissions "x"
              5 |     devices: [/dev/null:/dev/null:x]
                |               ^
              try:   of r, w and m
            compose.yaml:6:18: error: `services.web.stop_signal` is "SIGTREM", which is no signal
              6 |     stop_signal: SIGTREM
                |                  ^
              try:   did you mean SIGTERM?
            compose.yaml:7:13: error: `services.web.ports[0]` is "80:80:80"; "80" is not an address
              7 |     ports: [80:80:80]
                |             ^
              try:   expected "[[IP:]HOST:]CONTAINER[/PROTOCOL]"
            """#),
    Complaint(
        "a network mode",
        #"""
        services:
          web:
            image: app
            network_mode: "service:"
        """#,
        says: #"""
            compose.yaml:4:19: error: `services.web.network_mode` is "service:"; expected service:NAME
              4 |     network_mode: "service:"
                |                   ^
            """#),
    Complaint(
        "a driver of a network",
        #"""
        services:
          web:
            image: app
            networks: [a]
        networks:
          a: {driver: overlay}
        """#,
        says: #"""
            compose.yaml:6:15: error: `networks.a.driver` is overlay, which is not supported
              6 |   a: {driver: overlay}
                |               ^
              try:   `bridge` is
            """#),
    Complaint(
        "reservations",
        #"""
        services:
          web:
            image: app
            deploy:
              resources:
                reservations: {generic_resources: [{discrete_resource_spec: {kind: a, value: 1}}]}
        """#,
        says: #"""
            compose.yaml:6:24: error: `services.web.deploy.resources.reservations.generic_resources` is not supported
              6 |         reservations: {generic_resources: [{discrete_resource_spec: {kind: a, value: 1}}]}
                |                        ^
              cause: belongs to a cluster
            """#),
    Complaint(
        "a mount of another system",
        #"""
        services:
          web:
            image: app
            volumes: [{type: npipe, source: a, target: /b}]
        """#,
        says: #"""
            compose.yaml:4:22: error: `services.web.volumes[0]` has the type npipe, which is not supported
              4 |     volumes: [{type: npipe, source: a, target: /b}]
                |                      ^
              try:   volume, bind, tmpfs and image are supported
            """#),
    Complaint(
        "a security option",
        #"""
        services:
          web:
            image: app
            security_opt: [systempaths=masked]
        """#,
        says: #"""
            compose.yaml:4:20: error: `services.web.security_opt[0]` is "systempaths=masked", which is not supported
              4 |     security_opt: [systempaths=masked]
                |                    ^
              try:   no-new-privileges, seccomp, apparmor, label and systempaths=unconfined are
            """#),
    Complaint(
        "another platform",
        #"""
        services:
          web:
            image: app
            platform: windows/amd64
        """#,
        says: #"""
            compose.yaml:4:15: error: `services.web.platform` is windows/amd64, which is not supported
              4 |     platform: windows/amd64
                |               ^
              cause: this host is linux/amd64
            """#),
    Complaint(
        "a pull policy",
        #"""
        services:
          web:
            image: app
            pull_policy: sometimes
        """#,
        says: #"""
            compose.yaml:4:18: error: `services.web.pull_policy` is "sometimes"; expected always, missing, never, build, refresh, daily, weekly or every_<duration>
              4 |     pull_policy: sometimes
                |                  ^
            """#),
    Complaint(
        "a remote build context",
        #"""
        services:
          web:
            build: https://example.org/a.git
        """#,
        says: #"""
            compose.yaml:3:12: error: `services.web.build` is "https://example.org/a.git"; a remote context is not supported
              3 |     build: https://example.org/a.git
                |            ^
              try:   clone it and name the directory
            """#),
]
