// SPDX-License-Identifier: Apache-2.0
//
// A service's links and its logging.

import Basics
import ComposeModel
import ContainerModel

extension ServiceLowering {
    /// Alias to service. A link without an alias says nothing that the service's own name doesn't; the dependency that
    /// each link is was made when the file was read.
    func links() throws(Failure) -> [String: String] {
        var links: [String: String] = [:]
        for link in service.links {
            let parts = link.split(separator: ":").map(String.init)
            guard let name = parts.first, let other = project.services[name] else { continue }
            if Set(other.networks.keys).isDisjoint(with: service.networks.keys) {
                throw mistake(
                    "links", "links to \(quoted(name)) and can't reach it", cause: "they share no network",
                    advice: "put both on one of the `networks`, or remove the link")
            }
            if parts.count > 1 { links[parts[1]] = name }
        }
        return links
    }

    /// Output is kept in files of one kind, whatever it is called; a driver says how much of it.
    func logging() throws(Failure) -> RareSettings.Logging? {
        guard let given = service.logging else { return nil }
        var logging = RareSettings.Logging()
        var known: [String] = ["max-size", "max-file"]
        switch given.driver {
        case "none":
            logging.files = 0
            known = []
        case "json-file", "local", nil: break
        case .some(let driver):
            throw Failure(
                "service \(quoted(service.name)): `logging.driver: \(driver)` is not supported",
                advice: "`json-file`, `local` and `none` are", at: service.marks["logging"])
        }
        for (option, value) in given.options.sorted(by: { $0.key < $1.key }) {
            guard known.contains(option) else {
                throw Failure(
                    "service \(quoted(service.name)): `logging.options.\(option)` is not supported",
                    advice: known.isEmpty
                        ? "`none` has no options" : "`max-size` and `max-file` are",
                    at: service.marks["logging"])
            }
            if option == "max-file" {
                guard let count = Int(value), (1...10_000).contains(count) else {
                    throw mistake(
                        "logging", "has a `max-file` of \(quoted(value))", advice: "a number from 1 to 10000")
                }
                logging.files = count
            } else if value != "-1" {
                // Less than a page would be rotated with nearly every line.
                guard let size = ByteSize(value), size.bytes >= 1024 else {
                    throw mistake(
                        "logging", "has a `max-size` of \(quoted(value))",
                        advice: "at least 1k, such as 10m; -1 is no bound of your own")
                }
                logging.fileSize = size.bytes
            }
        }
        // json-file keeps one file unless told, local five.
        if logging.fileSize != nil, logging.files == nil { logging.files = given.driver == "local" ? 5 : 1 }
        return logging == RareSettings.Logging() ? nil : logging
    }
}
