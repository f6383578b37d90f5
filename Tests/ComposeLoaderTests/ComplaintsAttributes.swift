// SPDX-License-Identifier: Apache-2.0
//
// Attributes that are unknown or refused: what is said, to the letter.

let attributesComplaints: [Complaint] = [
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
            storage_opt: {inodes: 5}
        """#,
        says: #"""
            compose.yaml:4:27: error: `services.web.storage_opt.inodes` is not supported
              4 |     storage_opt: {inodes: 5}
                |                           ^
              try:   `size` is
            """#),
    Complaint(
        "options of an interface",
        #"""
        services:
          web:
            image: app
            networks:
              n:
                interface_name: a/b
                driver_opts: {com.docker.network.endpoint.sysctls: net.ipv4.ip_forward=1}
        networks: {n: }
        """#,
        says: #"""
            compose.yaml:6:25: error: `services.web.networks.n.interface_name` is "a/b", which no interface of a container can be called
              6 |         interface_name: a/b
                |                         ^
              try:   a name has up to 15 letters, digits and signs, and no blank, `/`, `:` or `%`; `lo` is taken
            compose.yaml:7:60: error: `services.web.networks.n.driver_opts.com.docker.network.endpoint.sysctls` has "net.ipv4.ip_forward=1"; expected net.FAMILY.conf.IFNAME.NAME=VALUE, more of them after commas
              7 |         driver_opts: {com.docker.network.endpoint.sysctls: net.ipv4.ip_forward=1}
                |                                                            ^
              try:   IFNAME stands for the interface; the families are ipv4, ipv6 and mpls, `neigh` may stand for `conf`
            """#),
    Complaint(
        "networks and addresses",
        #"""
        services: {web: {image: app, networks: [none, kept, given]}}
        networks:
          none: {enable_ipv4: false}
          kept: {ipam: {config: [{subnet: 10.1.0.0/24, aux_addresses: {a: 10.2.0.1}}]}}
          given: {ipam: {driver: dhcp, options: {a: b}}}
        """#,
        says: #"""
            compose.yaml:4:67: error: `networks.kept.ipam.config[0].aux_addresses.a` is "10.2.0.1", which is not an address of the subnet
              4 |   kept: {ipam: {config: [{subnet: 10.1.0.0/24, aux_addresses: {a: 10.2.0.1}}]}}
                |                                                                   ^
            """#),
    Complaint(
        "networks this host can't make",
        #"""
        services: {web: {image: app, networks: [none, given]}}
        networks:
          none: {enable_ipv4: false}
          given: {ipam: {driver: dhcp, options: {a: b}}}
        """#,
        says: #"""
            compose.yaml:4:32: error: `networks.given.ipam.options` is not supported
              4 |   given: {ipam: {driver: dhcp, options: {a: b}}}
                |                                ^
              cause: they are for drivers of others; `default` has none
            compose.yaml:3:9: error: `networks.none` has neither IPv4 nor IPv6
              3 |   none: {enable_ipv4: false}
                |         ^
              try:   add `enable_ipv6: true`
            compose.yaml:4:26: error: `networks.given.ipam.driver` is dhcp, which is not supported
              4 |   given: {ipam: {driver: dhcp, options: {a: b}}}
                |                          ^
              cause: addresses are given by Covey itself
              try:   `default` is
            """#),
    Complaint(
        "volumes that can't be mounted",
        #"""
        services: {web: {image: app, volumes: [a:/a, b:/b, c:/c, d:/d]}}
        volumes:
          a: {driver_opts: {type: tmpfs}}
          b: {driver_opts: {type: nfs, device: ":/x", o: addr=files.example}}
          c: {driver_opts: {type: none, device: /x}}
          d: {driver_opts: {type: tmpfs, device: tmpfs, size: 1m}}
        """#,
        says: #"""
            compose.yaml:3:20: error: `volumes.a.driver_opts` has no `device`
              3 |   a: {driver_opts: {type: tmpfs}}
                |                    ^
              try:   a volume of the `local` driver has `type` and `device`, as mount(8) has
            compose.yaml:4:20: error: `volumes.b.driver_opts` has a server's name for an address: addr=files.example
              4 |   b: {driver_opts: {type: nfs, device: ":/x", o: addr=files.example}}
                |                    ^
              try:   write its numeric address
            compose.yaml:5:20: error: `volumes.c.driver_opts` has the type none
              5 |   c: {driver_opts: {type: none, device: /x}}
                |                    ^
              try:   add `o: bind` for a directory of the host
            compose.yaml:6:55: error: `volumes.d.driver_opts.size` is not supported
              6 |   d: {driver_opts: {type: tmpfs, device: tmpfs, size: 1m}}
                |                                                       ^
              try:   `type`, `device` and `o` are
            """#),
    Complaint(
        "links and parents",
        #"""
        services:
          web:
            image: app
            external_links: ["a:b:c"]
            cgroup_parent: /a/../b
        """#,
        says: #"""
            compose.yaml:4:22: error: `services.web.external_links[0]` is "a:b:c"; expected "CONTAINER[:ALIAS]"
              4 |     external_links: ["a:b:c"]
                |                      ^
            compose.yaml:5:20: error: `services.web.cgroup_parent` is "/a/../b"; expected names with "/" between them
              5 |     cgroup_parent: /a/../b
                |                    ^
              try:   such as batch, or /machine/batch
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
            build: https://example.org/a.tar
        """#,
        says: #"""
            compose.yaml:3:12: error: `services.web.build` is "https://example.org/a.tar"; a remote context is a git repository
              3 |     build: https://example.org/a.tar
                |            ^
              try:   write https://HOST/PATH.git#BRANCH:DIRECTORY, or fetch it and name the directory
            """#),
]
