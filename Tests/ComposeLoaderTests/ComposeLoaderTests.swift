// SPDX-License-Identifier: Apache-2.0

import Basics
import ComposeLoader
import ComposeModel
import Testing

@Test("a simple project loads with its defaults")
func simple() throws {
    let loaded = try load([
        "compose.yaml": """
        services:
          web:
            image: busybox
            command: httpd -f -p 80
            ports: ["8080:80", 22:22]
            environment: {A: yes, B: 2001-01-01}
            depends_on: [db]
          db:
            image: postgres
            volumes: [data:/var/lib/db, ./conf:/etc/conf:ro]
        volumes:
          data:
        """
    ])
    let project = loaded.project
    #expect(project.name == "demo")
    #expect(project.services.keys.sorted() == ["db", "web"])
    #expect(project.networks["default"]?.name == "demo_default")
    #expect(project.volumes["data"]?.name == "demo_data")
    #expect(project.services["web"]?.command == ["httpd", "-f", "-p", "80"])
    #expect(project.services["web"]?.environment == ["A": "yes", "B": "2001-01-01"])
    #expect(project.services["web"]?.ports.map(\.target) == [80, 22])
}
