// SPDX-License-Identifier: Apache-2.0
//
// PullPolicy: when an image is asked for again (Compose specification, 05-services.md "pull_policy"). As Docker Compose
// does it, not as the specification's text: `latest` is a tag like others.

internal import Basics
internal import ComposeModel

enum PullPolicy: Equatable {
    case always
    case missing
    case never
    case build
    /// When the last pull is longer ago.
    case olderThan(seconds: Int64)

    /// - flag: of the command line, before what the file says.
    init(_ service: Service, flag: String?) throws(Failure) {
        func refuse(_ text: String) -> Failure {
            Failure(
                "cannot understand the pull policy \"\(text)\" of service \"\(service.name)\"",
                advice: "write always, missing, never, build, daily, weekly or every_<duration>",
                at: service.marks["pull_policy"])
        }
        switch flag ?? service.pullPolicy ?? "missing" {
        case "policy": self = try PullPolicy(service, flag: service.pullPolicy ?? "missing")
        case "always": self = .always
        case "missing", "if_not_present": self = .missing
        case "never": self = .never
        case "build": self = .build
        case "daily": self = .olderThan(seconds: 86_400)
        case "weekly": self = .olderThan(seconds: 7 * 86_400)
        case "refresh":
            guard let text = service.pullRefreshAfter else { self = .missing; return }
            guard let seconds = PullPolicy.seconds(text) else { throw refuse(text) }
            self = .olderThan(seconds: seconds)
        case let text:
            guard text.hasPrefix("every_"), let seconds = PullPolicy.seconds(String(text.dropFirst(6))) else {
                throw refuse(text)
            }
            self = .olderThan(seconds: seconds)
        }
    }

    /// `1w2d3h4m5s`; nil for another form, or more seconds than there are.
    static func seconds(_ text: String) -> Int64? {
        var rest = text[...]
        var sum: Int64 = 0
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && $0.isNumber }
            rest = rest.dropFirst(digits.count)
            let units: [Character: Int64] = ["w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1]
            guard let number = Int64(digits), let unit = rest.popFirst().flatMap({ units[$0] }) else {
                return nil
            }
            let (product, over) = number.multipliedReportingOverflow(by: unit)
            let (total, more) = sum.addingReportingOverflow(product)
            if over || more { return nil }
            sum = total
        }
        return text.isEmpty ? nil : sum
    }

    var hasAge: Bool {
        if case .olderThan = self { return true }
        return false
    }

    /// Whether an image that is here is asked for again.
    func asksAgain(pulledAt: Int64?, now: Int64) -> Bool {
        switch self {
        case .always: true
        case .missing, .never, .build: false
        // One that never came from a registry is as old as can be.
        case .olderThan(let seconds): pulledAt.map { now - $0 > seconds } ?? true
        }
    }
}
