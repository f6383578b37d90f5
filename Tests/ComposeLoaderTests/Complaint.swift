// SPDX-License-Identifier: Apache-2.0
//
// Files that cannot be loaded, and what is said of each, to the letter: the cases are in the Complaints….swift beside.

import Testing

/// A file that cannot be loaded, and the exact text that says why.
struct Complaint: CustomTestStringConvertible {
    let title: String
    let file: String
    let text: String

    init(_ title: String, _ file: String, says text: String) {
        self.title = title
        self.file = file
        self.text = text
    }

    var testDescription: String { title }
}

@Test(
    "what can not be loaded is told with its place, and what to do about it",
    arguments: [
        syntaxComplaints, interpolationComplaints, attributesComplaints, formComplaints, valueComplaints,
        nameComplaints,
        referencesComplaints,
    ].flatMap(\.self))
func complains(_ expected: Complaint) {
    #expect(complaint(["compose.yaml": expected.file]) == expected.text, "\(expected.title)")
}
