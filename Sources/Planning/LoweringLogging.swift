// SPDX-License-Identifier: Apache-2.0
//
// A service's logging: how much of its output is kept, and where else each line goes. Output is kept in files of one kind
// whatever the driver is called, so that `covey logs` shows it; Docker does the same for drivers that send it away.

import Basics
import ComposeModel
import ContainerModel

extension ServiceLowering {
    func logging() throws(Failure) -> RareSettings.Logging? {
        guard let given = service.logging else { return nil }
        var logging = RareSettings.Logging()
        var options = given.options.filter { !Service.Logging.deliveryOptions.contains($0.key) }
        if given.isLocal {
            // Said when the files were read.
            options = options.filter { !Service.Logging.optionsWithoutEffect.contains($0.key) }
        }
        switch given.driver {
        case "none":
            logging.files = 0
        case "json-file", "local", nil:
            try keeping(&logging, &options, prefix: "")
            // json-file keeps one file unless told, local five.
            if logging.fileSize != nil, logging.files == nil {
                logging.files = given.driver == "local" ? 5 : 1
            }
        case "journald":
            try keeping(&logging, &options, prefix: "cache-")
            logging.forwarding = LogForwarding(
                .journal, tag: try tag(&options), fields: try journalFields(&options))
        case "syslog":
            try keeping(&logging, &options, prefix: "cache-")
            logging.forwarding = LogForwarding(.syslog(try syslog(&options)), tag: try tag(&options))
        case .some(let driver):
            throw Failure(
                "service \(quoted(service.name)): `logging.driver: \(driver)` is not supported",
                advice: "`json-file`, `local`, `journald`, `syslog` and `none` are",
                at: service.marks["logging"])
        }
        if let option = options.keys.min() {
            throw Failure(
                "service \(quoted(service.name)): `logging.options.\(option)` is not supported",
                cause: "the driver is \(given.driver ?? "json-file")", advice: "remove it",
                at: service.marks["logging"])
        }
        return logging == RareSettings.Logging() ? nil : logging
    }

    private func keeping(
        _ logging: inout RareSettings.Logging, _ options: inout [String: String], prefix: String
    ) throws(Failure) {
        if prefix == "cache-", let text = options.removeValue(forKey: "cache-disabled"), text == "true" {
            logging.files = 0
        }
        if let text = options.removeValue(forKey: prefix + "max-file") {
            guard let count = Int(text), (1...10_000).contains(count) else {
                throw mistake(
                    "logging", "has a `\(prefix)max-file` of \(quoted(text))",
                    advice: "a number from 1 to 10000")
            }
            logging.files = count
        }
        if let text = options.removeValue(forKey: prefix + "max-size"), text != "-1" {
            // Less than a page would be rotated with nearly every line.
            guard let size = ByteSize(text), size.bytes >= 1024 else {
                throw mistake(
                    "logging", "has a `\(prefix)max-size` of \(quoted(text))",
                    advice: "at least 1k, such as 10m; -1 is no bound of your own")
            }
            logging.fileSize = size.bytes
        }
    }

    // MARK: Elsewhere

    private func tag(_ options: inout [String: String]) throws(Failure) -> String {
        guard let tag = options.removeValue(forKey: "tag"), !tag.isEmpty else { return "{{.Name}}" }
        var rest = tag
        for placeholder in LogForwarding.placeholders {
            rest = rest.split(separator: placeholder, omittingEmptySubsequences: false).joined()
        }
        guard !rest.contains("{{"), !rest.contains(where: \.isNewline) else {
            throw mistake(
                "logging", "has the tag \(quoted(tag))",
                advice: "of text and \(LogForwarding.placeholders.joined(separator: ", "))")
        }
        return tag
    }

    /// `labels` and `env` name labels and variables of the service that become fields.
    private func journalFields(_ options: inout [String: String]) throws(Failure) -> [String: String] {
        var fields: [String: String] = [:]
        for (option, values) in [("labels", service.labels), ("env", service.environment)] {
            for name in (options.removeValue(forKey: option) ?? "").split(separator: ",").map(String.init) {
                guard let value = values[name] else { continue }
                // sd_journal_send(3): capital letters, digits and underscores, not beginning with one of the latter two.
                let field = String(
                    name.uppercased().map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" }
                        .drop { !$0.isLetter })
                if !field.isEmpty { fields[field] = value }
            }
        }
        return fields
    }

    private func syslog(_ options: inout [String: String]) throws(Failure) -> SyslogReceiver {
        var receiver = try syslogAddress(options.removeValue(forKey: "syslog-address"))
        if let text = options.removeValue(forKey: "syslog-facility") {
            guard
                let number = Int(text).flatMap({ (0...23).contains($0) ? $0 : nil })
                    ?? facilities.firstIndex(of: text)
            else {
                throw mistake(
                    "logging", "has the facility \(quoted(text))",
                    advice: nearest(to: text, among: facilities).map { "did you mean \($0)?" }
                        ?? "such as daemon")
            }
            receiver.facility = number
        }
        if let text = options.removeValue(forKey: "syslog-format") {
            guard let format = SyslogReceiver.Format(rawValue: text), format != .local else {
                throw mistake(
                    "logging", "has the format \(quoted(text))", advice: "rfc3164, rfc5424 or rfc5424micro")
            }
            receiver.format = format
        }
        return receiver
    }

    private func syslogAddress(_ text: String?) throws(Failure) -> SyslogReceiver {
        guard let text else { return SyslogReceiver(.unix, "/dev/log") }
        func wrong(_ advice: String) -> Failure {
            mistake("logging", "has the address \(quoted(text))", advice: advice)
        }
        guard let cut = text.firstRange(of: "://") else {
            throw wrong("such as udp://192.0.2.1:514 or unix:///dev/log")
        }
        let rest = String(text[cut.upperBound...])
        switch text[..<cut.lowerBound] {
        case "unix", "unixgram":
            guard rest.hasPrefix("/") else { throw wrong("a path follows unix://, such as unix:///dev/log") }
            return SyslogReceiver(.unix, rest)
        case "udp", "tcp":
            var host = rest[...]
            var port: UInt16 = 514
            if let colon = rest.lastIndex(of: ":"), !rest.hasSuffix("]") {
                guard let number = UInt16(rest[rest.index(after: colon)...]), number > 0 else {
                    throw wrong("a port is a number from 1 to 65535")
                }
                port = number
                host = rest[..<colon]
            }
            if host.first == "[", host.last == "]" { host = host.dropFirst().dropLast() }
            guard !host.isEmpty, host.allSatisfy({ $0.isHexDigit || $0 == "." || $0 == ":" }) else {
                throw wrong("a numeric address: names are not looked up for it")
            }
            return SyslogReceiver(text.hasPrefix("udp") ? .udp : .tcp, String(host), port: port)
        default: throw wrong("unix://, udp:// and tcp:// are known")
        }
    }
}

/// In the order of their numbers; RFC 5424, section 6.2.1, by syslog(3)'s names.
private let facilities = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "ntp",
    "security", "console", "solaris-cron", "local0", "local1", "local2", "local3", "local4", "local5",
    "local6",
    "local7",
]
