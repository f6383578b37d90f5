// SPDX-License-Identifier: Apache-2.0
//
// Short and long forms of ports, mounts, dependencies, health checks and commands. What is said, to the letter.

let formComplaints: [Complaint] = [
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
        "more ports than a host has",
        #"""
        services:
          web:
            image: app
            ports: [1-60000]
          app:
            image: app
            ports: ["127.0.0.2:1-60000:1-60000"]
        """#,
        says: #"""
            compose.yaml:7:13: error: `services.app.ports[0]` is "127.0.0.2:1-60000:1-60000": with it the project has more than 65535 ports
              7 |     ports: ["127.0.0.2:1-60000:1-60000"]
                |             ^
              try:   publish those that are reached from outside; a service is reached by others without
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
              try:   size=64m, mode=1777, uid=0, gid=0, exec and ro are supported
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
]
