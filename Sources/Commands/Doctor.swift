// SPDX-License-Identifier: Apache-2.0
//
// `debug doctor`: what this host has of what Covey stands on, each by asking the kernel, not by its version, where
// that can be done without changing anything. The probes are in HostProbes.swift.

internal import Basics

/// What one probe found.
struct Finding: Equatable {
    enum Verdict: String { case ok = "OK", fallback, missing }
    var verdict: Verdict
    var subject: String
    /// What is there.
    var found: String
    /// What follows from it, or what to do; empty when all is well.
    var advice: String

    init(_ verdict: Verdict, _ subject: String, _ found: String, _ advice: String = "") {
        self.verdict = verdict
        self.subject = subject
        self.found = found
        self.advice = advice
    }
}

func runDoctor(_ session: Session) throws(Failure) -> Int32 {
    let findings = probeHost(root: session.root, run: session.run)
    if session.arguments.last(.format) == "json" {
        let list = findings.map { finding in
            JSONText.object([
                ("subject", .string(finding.subject)), ("verdict", .string(finding.verdict.rawValue)),
                ("found", .string(finding.found)), ("advice", .string(finding.advice)),
            ])
        }
        session.out.line(JSONText.array(list).compact)
    } else {
        session.out.write(findingsText(findings, colours: session.out.colours))
    }
    return findings.contains { $0.verdict == .missing } ? 1 : 0
}

/// One line per finding, its advice below it.
func findingsText(_ findings: [Finding], colours: Bool) -> String {
    let width = findings.map(\.subject.count).max() ?? 0
    var text = ""
    for finding in findings {
        let colour: Colour
        switch finding.verdict {
        case .ok: colour = .green
        case .fallback: colour = .yellow
        case .missing: colour = .red
        }
        let verdict = finding.verdict.rawValue
        text += colour.paint(verdict, when: colours) + String(repeating: " ", count: 10 - verdict.count)
        text += finding.subject + String(repeating: " ", count: width - finding.subject.count + 2)
        text += finding.found + "\n"
        if !finding.advice.isEmpty {
            text += String(repeating: " ", count: 12 + width) + finding.advice + "\n"
        }
    }
    let missing = findings.count { $0.verdict == .missing }
    let fallbacks = findings.count { $0.verdict == .fallback }
    text +=
        missing > 0
        ? "\n\(missing) missing, \(fallbacks) with a fallback\n"
        : "\nnothing missing, \(fallbacks) with a fallback\n"
    return text
}
