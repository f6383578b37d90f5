// SPDX-License-Identifier: Apache-2.0
//
// docs/security.md says which attack is tried by which test. A test that was renamed or lost is noticed here.

import Testing

@Suite("the table of attacks")
struct SecurityTableTests {
    @Test("each test that docs/security.md names is there")
    func named() throws {
        let page = try #require(Repository.file("docs/security.md"))
        // `Suite/function` in a table's last column.
        let names = page.lines.filter { $0.hasPrefix("|") }.flatMap { line in
            line.split(separator: "|").last?.split(separator: "`") ?? []
        }.filter { $0.first?.isUppercase == true && $0.contains("/") && !$0.contains(" ") }
        #expect(names.count > 60)
        let tests = Repository.files.filter { $0.path.hasPrefix("Tests/") && $0.path.hasSuffix(".swift") }
        for name in Set(names) {
            let parts = name.split(separator: "/")
            let found = tests.contains { file in
                guard let suite = file.text.firstRange(of: "struct \(parts[0]) ") else { return false }
                return file.text[suite.lowerBound...].contains("func \(parts[1])(")
            }
            #expect(found, "no test is named \(name)")
        }
    }

    @Test("every row has a test, or says why not")
    func rows() throws {
        let page = try #require(Repository.file("docs/security.md"))
        for line in page.lines where line.hasPrefix("| CVE") {
            let last = line.split(separator: "|").last ?? ""
            #expect(last.contains("`") || last.contains("review") || last.contains("–"), "\(line)")
        }
    }
}
