// SPDX-License-Identifier: Apache-2.0
//
// docs/conformance.md names a test for every MUST; that each of them is there.

import Testing

@Suite("the table of the OCI runtime specification's MUSTs")
struct ConformanceTests {
    @Test("names a test that exists in every row")
    func rows() throws {
        let page = try #require(Repository.file("docs/conformance.md"))
        let tests = Repository.files.filter { $0.path.hasPrefix("Tests/") && $0.path.hasSuffix(".swift") }
        var rows = 0
        for line in page.lines where line.hasPrefix("| ") && !line.hasPrefix("| section |") {
            let cells = line.split(separator: "|").map { $0.filter { $0 != " " } }
            // The scores have other columns.
            guard cells.count == 3 else { continue }
            rows += 1
            let parts = cells[2].split(separator: ".")
            guard parts.count == 2 else {
                Issue.record("no test: \(line)")
                continue
            }
            let isThere = tests.contains {
                // A suite goes on in another file: `extension Scenarios.Networks`.
                ($0.has("struct \(parts[0]) {") || $0.has("extension Scenarios.\(parts[0]) {"))
                    && $0.has("func \(parts[1])(")
            }
            #expect(isThere, "no such test: \(line)")
        }
        #expect(rows > 120)
    }
}
