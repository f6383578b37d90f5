// SPDX-License-Identifier: Apache-2.0
//
// Names that name nothing: what is said, to the letter.

let referencesComplaints: [Complaint] = [
    Complaint(
        "an undefined service",
        #"""
        services:
          web:
            image: app
            depends_on: [bd]
          db: {image: b}
        """#,
        says: #"""
            compose.yaml:4:5: error: service "web" names the service "bd", which is not declared
              4 |     depends_on: [bd]
                |     ^
              try:   did you mean "db"?
            """#),
    Complaint(
        "an undefined network",
        #"""
        services:
          web:
            image: app
            networks: [bakc]
        networks:
          back:
        """#,
        says: #"""
            compose.yaml:4:5: error: service "web" names the network "bakc", which is not declared
              4 |     networks: [bakc]
                |     ^
              try:   did you mean "back"?
            """#),
    Complaint(
        "an undefined volume",
        #"""
        services:
          web:
            image: app
            volumes: [data:/d]
        """#,
        says: #"""
            compose.yaml:4:15: error: service "web" names the volume "data", which is not declared
              4 |     volumes: [data:/d]
                |               ^
              try:   declare it under `volumes:` at the top level, or write "./data" for a directory
            """#),
    Complaint(
        "an undefined secret",
        #"""
        services:
          web:
            image: app
            secrets: [pw]
        """#,
        says: #"""
            compose.yaml:4:15: error: service "web" names the secret "pw", which is not declared
              4 |     secrets: [pw]
                |               ^
              try:   declare it under `secrets:` at the top level
            """#),
    Complaint(
        "an undefined config",
        #"""
        services:
          web:
            image: app
            configs:
              - source: conf
                target: /etc/conf
        """#,
        says: #"""
            compose.yaml:5:9: error: service "web" names the config "conf", which is not declared
              5 |       - source: conf
                |         ^
              try:   declare it under `configs:` at the top level
            """#),
    Complaint(
        "a cycle of three",
        #"""
        services:
          a: {image: x, depends_on: [b]}
          b: {image: x, depends_on: [c]}
          c:
            image: x
            depends_on: [a]
        """#,
        says: #"""
            compose.yaml:6:5: error: services depend on each other in a cycle: a → b → c → a
              6 |     depends_on: [a]
                |     ^
            """#),
    Complaint(
        "a service that depends on itself",
        #"""
        services:
          web:
            image: app
            depends_on: [web]
        """#,
        says: #"""
            compose.yaml:4:5: error: services depend on each other in a cycle: web → web
              4 |     depends_on: [web]
                |     ^
            """#),
    Complaint(
        "a dependency that its profiles switch off",
        #"""
        services:
          web:
            image: app
            depends_on: [db]
          db: {image: b, profiles: [debug]}
        """#,
        says: #"""
            compose.yaml:4:5: error: service "web" depends on "db", which its profiles switch off
              4 |     depends_on: [db]
                |     ^
              try:   switch it on with --profile, or give `required: false`
            """#),
    Complaint(
        "a container name and replicas",
        #"""
        services:
          web:
            image: app
            container_name: one
            scale: 2
        """#,
        says: #"""
            compose.yaml:4:5: error: service "web" has a `container_name` and 2 replicas
              4 |     container_name: one
                |     ^
              cause: a name belongs to one container
              try:   remove one of them
            """#),
    Complaint(
        "a container name twice",
        #"""
        services:
          web:
            image: app
            container_name: one
          api: {image: b, container_name: one}
        """#,
        says: #"""
            compose.yaml:4:5: error: services "api" and "web" have one `container_name`, "one"
              4 |     container_name: one
                |     ^
            """#),
    Complaint(
        "networks without a network",
        #"""
        services:
          web:
            image: app
            network_mode: none
            networks: [a]
        networks:
          a:
        """#,
        says: #"""
            compose.yaml:4:5: error: service "web" has both `networks` and `network_mode`
              4 |     network_mode: none
                |     ^
              try:   give one of them
            """#),
    Complaint(
        "a missing environment file",
        #"""
        services:
          web:
            image: app
            env_file: missing.env
        """#,
        says: #"""
            compose.yaml:4:15: error: the environment file /work/demo/missing.env does not exist
              4 |     env_file: missing.env
                |               ^
              try:   create it, or give `required: false`
            """#),
]
