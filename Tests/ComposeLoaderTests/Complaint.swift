// SPDX-License-Identifier: Apache-2.0

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
