// SPDX-License-Identifier: Apache-2.0
//
// Values that do not fit their attribute: types, words and numbers. What is said, to the letter.

let valueComplaints: [Complaint] = [
    Complaint(
        "a bool that is none",
        #"""
        services:
          web:
            image: app
            read_only: maybe
        """#,
        says: #"""
            compose.yaml:4:16: error: `services.web.read_only` is "maybe"; expected true or false
              4 |     read_only: maybe
                |                ^
            """#),
    Complaint(
        "a number that is none",
        #"""
        services:
          web:
            image: app
            cpus: many
        """#,
        says: #"""
            compose.yaml:4:11: error: `services.web.cpus` is "many"; expected a number of processors such as 0.5
              4 |     cpus: many
                |           ^
            """#),
    Complaint(
        "a size that is none",
        #"""
        services:
          web:
            image: app
            mem_limit: 12q
        """#,
        says: #"""
            compose.yaml:4:16: error: `services.web.mem_limit` is "12q"; expected a size such as 64m or 1gb
              4 |     mem_limit: 12q
                |                ^
            """#),
    Complaint(
        "a duration that is none",
        #"""
        services:
          web:
            image: app
            stop_grace_period: 10
        """#,
        says: #"""
            compose.yaml:4:24: error: `services.web.stop_grace_period` is "10"; expected a duration such as 10s or 1m30s
              4 |     stop_grace_period: 10
                |                        ^
            """#),
    Complaint(
        "a mapping for text",
        #"""
        services:
          web:
            image: app
            user: {a: b}
        """#,
        says: #"""
            compose.yaml:4:11: error: `services.web.user` is a mapping; expected text
              4 |     user: {a: b}
                |           ^
            """#),
    Complaint(
        "text for a list",
        #"""
        services:
          web:
            image: app
            cap_add: NET_ADMIN
        """#,
        says: #"""
            compose.yaml:4:14: error: `services.web.cap_add` is "NET_ADMIN"; expected a list
              4 |     cap_add: NET_ADMIN
                |              ^
            """#),
    Complaint(
        "a list for a mapping",
        #"""
        services:
          web:
            image: app
            healthcheck: [a]
        """#,
        says: #"""
            compose.yaml:4:18: error: `services.web.healthcheck` is a list; expected a mapping
              4 |     healthcheck: [a]
                |                  ^
            """#),
    Complaint(
        "an unknown signal",
        #"""
        services:
          web:
            image: app
            stop_signal: SIGFOO
        """#,
        says: #"""
            compose.yaml:4:18: error: `services.web.stop_signal` is "SIGFOO", which is no signal
              4 |     stop_signal: SIGFOO
                |                  ^
              try:   did you mean SIGFPE?
            """#),
    Complaint(
        "a signal's number out of range",
        #"""
        services:
          web:
            image: app
            stop_signal: 99
        """#,
        says: #"""
            compose.yaml:4:18: error: `services.web.stop_signal` is "99", which is no signal
              4 |     stop_signal: 99
                |                  ^
              try:   such as SIGTERM or 15
            """#),
    Complaint(
        "a signal nearly right",
        #"""
        services:
          web:
            image: app
            stop_signal: SIGTERN
        """#,
        says: #"""
            compose.yaml:4:18: error: `services.web.stop_signal` is "SIGTERN", which is no signal
              4 |     stop_signal: SIGTERN
                |                  ^
              try:   did you mean SIGTERM?
            """#),
    Complaint(
        "an unknown capability",
        #"""
        services:
          web:
            image: app
            cap_drop: [NET_ADMN]
        """#,
        says: #"""
            compose.yaml:4:16: error: `services.web.cap_drop[0]` is "NET_ADMN", which is no capability of Linux
              4 |     cap_drop: [NET_ADMN]
                |                ^
              try:   did you mean NET_ADMIN?
            """#),
    Complaint(
        "a restart policy",
        #"""
        services:
          web:
            image: app
            restart: sometimes
        """#,
        says: #"""
            compose.yaml:4:14: error: `services.web.restart` is "sometimes"; expected no, always, on-failure[:N] or unless-stopped
              4 |     restart: sometimes
                |              ^
            """#),
]
