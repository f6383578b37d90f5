// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Commands

@Suite struct HelpTextTests {
    @Test("a command's help is made from its table")
    func command() throws {
        let logs = try #require(commandTable.first { $0.name == "logs" })
        #expect(
            helpText(logs) == """
                Show what the containers wrote

                Usage: covey logs [FLAGS] [SERVICE…]

                Flags:
                  -f, --follow         go on with what they write from now on
                  -n, --tail N         only the last N lines of each container, or all
                  -t, --timestamps     the time before each line
                      --since TIME     only lines from then on: 2026-01-02T03:04:05Z, or 10m for so long ago
                      --until TIME     only lines until then
                      --no-log-prefix  no service name before each line
                      --index N        only this container of the service

                `covey --help` lists the flags of every command.

                """)
    }

    @Test("the help of all names every command and no hidden flag")
    func all() {
        let text = helpText(commands: commandTable, globals: globalFlags)
        for command in commandTable { #expect(text.contains("  \(command.name) ")) }
        #expect(!text.contains("--version"))
        #expect(text.split(separator: "\n").allSatisfy { $0.count <= 110 })
    }

    @Test("no line of help is longer than a page is wide")
    func widths() {
        for command in commandTable {
            #expect(
                helpText(command).split(separator: "\n").allSatisfy { $0.count <= 110 }, "\(command.name)")
        }
    }
}
