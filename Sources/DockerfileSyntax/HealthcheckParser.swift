// SPDX-License-Identifier: Apache-2.0
//
// `HEALTHCHECK`: its flags and its command.

internal import Basics

extension InstructionParser {
    mutating func healthcheck(_ arguments: inout Arguments, _ keyword: Word) throws(Failure)
        -> Healthcheck
    {
        var options = HealthcheckOptions()
        let known = ["interval", "timeout", "start-period", "start-interval", "retries"]
        let flags = try arguments.flags()
        for flag in flags {
            switch flag.name {
            case "interval": options.interval = try duration(of: flag)
            case "timeout": options.timeout = try duration(of: flag)
            case "start-period": options.startPeriod = try duration(of: flag)
            case "start-interval": options.startInterval = try duration(of: flag)
            case "retries":
                let value = try value(of: flag)
                guard let count = Int(value.text), count >= 0 else {
                    throw Failure(
                        "`--retries` is `\(value.text)`; it takes a whole number", at: value.location)
                }
                options.retries = count
            default: throw unknown(flag, of: "HEALTHCHECK", known: known)
            }
        }
        guard let kind = arguments.plainWord() else {
            throw Failure("`HEALTHCHECK` needs `CMD` or `NONE`", at: keyword.location)
        }
        arguments.skipBlank()
        switch kind.text.uppercased() {
        case "NONE":
            guard arguments.isAtEnd, flags.isEmpty else {
                throw Failure("`HEALTHCHECK NONE` takes nothing else", at: kind.location)
            }
            return .none
        case "CMD":
            guard !arguments.isAtEnd else {
                throw Failure("`HEALTHCHECK CMD` needs a command", at: kind.location)
            }
            let command = try commandLine("HEALTHCHECK", &arguments)
            if case .exec([]) = command {
                throw Failure("`HEALTHCHECK CMD` needs a command", at: kind.location)
            }
            return .check(options, command)
        default:
            throw Failure(
                "`\(kind.text)` is no health check",
                advice: "write HEALTHCHECK CMD command, or HEALTHCHECK NONE",
                at: kind.location)
        }
    }

    private func duration(of flag: Flag) throws(Failure) -> Duration {
        let value = try value(of: flag)
        guard let duration = Duration(compose: value.text),
            duration == .zero || duration >= .milliseconds(1)
        else {
            throw Failure(
                "`--\(flag.name)` is `\(value.text)`",
                cause: "it takes a duration of at least 1ms, such as 1m30s",
                at: value.location)
        }
        return duration
    }
}
