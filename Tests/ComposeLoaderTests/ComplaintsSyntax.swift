// SPDX-License-Identifier: Apache-2.0
//
// Broken YAML: what is said, to the letter.

let syntaxComplaints: [Complaint] = [
    Complaint(
        "a tab in the indentation",
        "services:\n\tweb:\n\t  image: app\n",
        says:
            "compose.yaml:2:1: error: a tab is used for indentation\n  2 | \tweb:\n    | ^\n  try:   YAML indents with spaces only"
    ),
    Complaint(
        "a tab before a nested key",
        "services:\n  web:\n  \timage: app\n",
        says:
            "compose.yaml:3:3: error: a tab is used for indentation\n  3 |   \timage: app\n    |   ^\n  try:   YAML indents with spaces only"
    ),
    Complaint(
        "a duplicate key",
        #"""
        services:
          web:
            image: a
            user: b
            image: c
        """#,
        says: #"""
            compose.yaml:5:5: error: `image` is given twice
              5 |     image: c
                |     ^
              cause: first given at line 3
            """#),
    Complaint(
        "two duplicate keys, both told",
        #"""
        services:
          web: {image: a, image: b}
          web: {image: c}
        """#,
        says: #"""
            compose.yaml:2:19: error: `image` is given twice
              2 |   web: {image: a, image: b}
                |                   ^
              cause: first given at line 2
            compose.yaml:3:3: error: `web` is given twice
              3 |   web: {image: c}
                |   ^
              cause: first given at line 2
            """#),
    Complaint(
        "an undefined alias",
        #"""
        x-a: &base {image: a}
        services:
          web: *bass
        """#,
        says: #"""
            compose.yaml:3:8: error: `*bass` names no anchor; none `&bass` stands before it
              3 |   web: *bass
                |        ^
              try:   did you mean `*base`?
            """#),
    Complaint(
        "an alias inside what it names",
        #"""
        x-a: &a
          b: *a
        services: {}
        """#,
        says: #"""
            compose.yaml:2:6: error: `*a` stands inside what `&a` names: a cycle
              2 |   b: *a
                |      ^
            """#),
    Complaint(
        "an alias bomb",
        #"""
        a: &a [x,x,x,x,x,x,x,x,x]
        b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]
        c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]
        d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]
        e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]
        f: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]
        g: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]
        services: {}
        """#,
        says: #"""
            compose.yaml:6:8: error: aliases expand to more than 100000 nodes
              6 | f: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]
                |        ^
              try:   name fewer things by alias; a file that grows like this is usually an attack
            """#),
    Complaint(
        "an unclosed quote",
        #"""
        services:
          web:
            image: "app
        """#,
        says: #"""
            compose.yaml:3:12: error: a quote is opened here and never closed
              3 |     image: "app
                |            ^
            """#),
    Complaint(
        "an unclosed bracket",
        #"""
        services:
          web:
            command: [a, b
            user: x
        """#,
        says: #"""
            compose.yaml:4:9: error: invalid YAML: did not find expected ',' or ']'
              4 |     user: x
                |         ^
              cause: while parsing a flow sequence that begins at line 3
              try:   a bracket or brace is opened and never closed, or a comma is missing
            """#),
    Complaint(
        "a value that begins with an at sign",
        #"""
        services:
          web:
            image: @app
        """#,
        says: #"""
            compose.yaml:3:12: error: a value cannot begin with `@`
              3 |     image: @app
                |            ^
              try:   put the value in quotes
            """#),
    Complaint(
        "two colons in a line",
        #"""
        services:
          web:
            image: a: b
        """#,
        says: #"""
            compose.yaml:3:13: error: a `key: value` is not possible here
              3 |     image: a: b
                |             ^
              try:   check the indentation of this line and the one above, or quote a text that has `: ` in it
            """#),
    Complaint(
        "indentation that does not fit",
        #"""
        services:
          web:
            image: a
           user: b
        """#,
        says: #"""
            compose.yaml:4:4: error: invalid YAML: did not find expected key
              4 |    user: b
                |    ^
              cause: while parsing a block mapping that begins at line 2
              try:   check the indentation: the lines of one block begin in the same column
            """#),
    Complaint(
        "an unknown tag",
        #"""
        services:
          web: !mine {image: a}
        """#,
        says: #"""
            compose.yaml:2:8: error: unknown tag `!mine`
              2 |   web: !mine {image: a}
                |        ^
              try:   Compose knows `!reset` and `!override`
            """#),
    Complaint(
        "a list for a key",
        #"""
        services:
          [a, b]: c
        """#,
        says: #"""
            compose.yaml:2:3: error: a key must be plain text, not a list
              2 |   [a, b]: c
                |   ^
              try:   put the key in quotes when it begins with a bracket or brace
            """#),
    Complaint(
        "a merge key that names text",
        #"""
        services:
          web:
            <<: text
            image: a
        """#,
        says: #"""
            compose.yaml:3:9: error: `<<` takes a mapping or a list of mappings
              3 |     <<: text
                |         ^
            """#),
    Complaint(
        "a control character",
        "services:\n  web:\n    image: a\u{1}b\n",
        says:
            "compose.yaml:3:13: error: the control character U+0001 is not allowed in YAML\n  3 |     image: a\u{1}b\n    |             ^"
    ),
    Complaint(
        "a file that is a list",
        #"""
        - a
        - b
        """#,
        says: #"""
            compose.yaml:1:1: error: compose.yaml is not a Compose file
              1 | - a
                | ^
              cause: it is not a mapping
            """#),
    Complaint(
        "an empty file",
        #"""
        # nothing
        """#,
        says: #"""
            error: compose.yaml is empty
              try:   a Compose file has `services:`
            """#),
    Complaint(
        "no services",
        #"""
        volumes:
          data:
        """#,
        says: #"""
            compose.yaml:1:1: error: the project has no services
              1 | volumes:
                | ^
            """#),
]
