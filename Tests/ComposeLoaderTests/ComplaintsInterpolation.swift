// SPDX-License-Identifier: Apache-2.0
//
// Variables that cannot be put in: what is said, to the letter.

let interpolationComplaints: [Complaint] = [
    Complaint(
        "an invalid variable",
        #"""
        services:
          web:
            image: app
            command: echo $1
        """#,
        says: #"""
            compose.yaml:4:19: error: `services.web.command` has an invalid variable in "echo $1"
              4 |     command: echo $1
                |                   ^
              try:   write $$ for a dollar sign itself
            """#),
    Complaint(
        "a brace never closed",
        #"""
        services:
          web:
            image: app
            user: ${A
        """#,
        says: #"""
            compose.yaml:4:11: error: `services.web.user` has an invalid variable in "${A"
              4 |     user: ${A
                |           ^
              try:   write $$ for a dollar sign itself
            """#),
    Complaint(
        "an empty name",
        #"""
        services:
          web:
            image: app
            user: "${}"
        """#,
        says: #"""
            compose.yaml:4:12: error: `services.web.user` has an invalid variable in "${}"
              4 |     user: "${}"
                |            ^
              try:   write $$ for a dollar sign itself
            """#),
    Complaint(
        "an unknown operator",
        #"""
        services:
          web:
            image: app
            user: ${A!x}
        """#,
        says: #"""
            compose.yaml:4:11: error: `services.web.user` has an invalid variable in "${A!x}"
              4 |     user: ${A!x}
                |           ^
              try:   write $$ for a dollar sign itself
            """#),
    Complaint(
        "a required variable",
        #"""
        services:
          web:
            image: app
            user: ${A:?set A to a user}
        """#,
        says: #"""
            compose.yaml:4:11: error: the variable "A" is required for `services.web.user`
              4 |     user: ${A:?set A to a user}
                |           ^
              cause: set A to a user
            """#),
    Complaint(
        "a required variable with a nested message",
        #"""
        services:
          web:
            image: app
            user: ${A?ask $USER}
        """#,
        says: #"""
            compose.yaml:4:11: error: the variable "A" is required for `services.web.user`
              4 |     user: ${A?ask $USER}
                |           ^
              cause: ask me
            """#),
]
