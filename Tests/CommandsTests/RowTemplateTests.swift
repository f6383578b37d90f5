// SPDX-License-Identifier: Apache-2.0

import Basics
import Testing

@testable import Commands

@Suite("--format of lists")
struct RowTemplateTests {
    private let rows: [[(name: String, value: JSONText)]] = [
        [("Name", .string("web-1")), ("RunningFor", .string("2 minutes ago")), ("Pid", .number(17))],
        [("Name", .string("db-1")), ("RunningFor", .string("an hour ago")), ("Pid", .null)],
    ]

    @Test(
        "fields, JSON, escapes and heads",
        arguments: [
            ("{{.Name}}", "web-1\ndb-1\n"),
            ("{{ .Name }}\\t{{.Pid}}!", "web-1\t17!\ndb-1\t!\n"),
            ("{{json .Name}}", "\"web-1\"\n\"db-1\"\n"),
            (
                "{{json .}}",
                "{\"Name\":\"web-1\",\"RunningFor\":\"2 minutes ago\",\"Pid\":17}\n"
                    + "{\"Name\":\"db-1\",\"RunningFor\":\"an hour ago\",\"Pid\":null}\n"
            ),
            (
                "table {{.Name}}\\t{{.RunningFor}}",
                "NAME    RUNNING FOR\nweb-1   2 minutes ago\ndb-1    an hour ago\n"
            ),
        ])
    func texts(template: String, text: String) throws {
        #expect(try RowTemplate(template).text(of: rows) == text)
    }

    @Test("a field's own tabs make no columns")
    func tabs() throws {
        let rows: [[(name: String, value: JSONText)]] = [[("Command", .string("sh\t-c\t\tx"))]]
        #expect(try RowTemplate("table {{.Command}}").text(of: rows) == "COMMAND\nsh\\t-c\\t\\tx\n")
        #expect(try RowTemplate("{{.Command}}").text(of: rows) == "sh\t-c\t\tx\n")
    }

    @Test(
        "what is no template is refused with the reason",
        arguments: [
            ("jsn", "names no field"), ("{{.Name", "not closed"), ("{{range .}}", "is none of"),
            ("{{.Nam}}", "did you mean \"Name\""), ("{{}}", "is none of"),
        ])
    func refused(template: String, part: String) {
        let failure = #expect(throws: Failure.self) { try RowTemplate(template).text(of: rows) }
        #expect(failure?.description.contains(part) == true, "\(String(describing: failure))")
    }
}
