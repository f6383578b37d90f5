// SPDX-License-Identifier: Apache-2.0
//
// Names, limits that disagree, and what is said of networks, configs and secrets. What is said, to the letter.

let nameComplaints: [Complaint] = [
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
        "an environment variable that ends with a space",
        #"""
        services:
          web:
            image: app
            environment: ["A =b"]
        """#,
        says: #"""
            compose.yaml:4:19: error: `services.web.environment[0]` names the variable "A ", which ends with white space
              4 |     environment: ["A =b"]
                |                   ^
            """#),
    Complaint(
        "an environment variable that ends with a tab",
        "services:\n  web:\n    image: app\n    environment: {\"A\\t\": b}\n",
        says:
            "compose.yaml:4:26: error: `services.web.environment.A\t` names the variable \"A\t\", which ends with white space\n  4 |     environment: {\"A\\t\": b}\n    |                          ^"
    ),
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
