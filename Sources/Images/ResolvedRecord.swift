// SPDX-License-Identifier: Apache-2.0
//
// What `up` needs of an image in one small file per name, so that looking it up is one read and one access(2) for
// each layer: derived from manifest and config, which stay the truth, and written anew when missing or damaged.
//
// One `key value` a line, `\n` and `\\` escaped; the last line is `end`, so a torn file is seen.

internal import Basics
internal import ContainerModel

struct ResolvedRecord: Equatable {
    var id: Digest
    var manifest: Digest
    var diffIDs: [Digest] = []
    /// Relative to the layers' directory, topmost first.
    var layers: [String] = []
    var defaults = ImageDefaults()
    /// The stamp of the transport it was imported from, for images named by their transport.
    var stamp: String?

    private static let header = "covey-image 1"

    func encoded() -> [UInt8] {
        var text = "\(ResolvedRecord.header)\n"
        func line(_ key: String, _ value: String) {
            var escaped = ""
            for character in value.unicodeScalars {
                switch character {
                case "\\": escaped += "\\\\"
                case "\n": escaped += "\\n"
                default: escaped.unicodeScalars.append(character)
                }
            }
            text += "\(key) \(escaped)\n"
        }
        line("id", id.hex)
        line("manifest", manifest.hex)
        if let stamp { line("stamp", stamp) }
        for diffID in diffIDs { line("diff", diffID.hex) }
        for layer in layers { line("layer", layer) }
        for value in defaults.environment { line("env", value) }
        for value in defaults.entrypoint { line("entry", value) }
        for value in defaults.command { line("cmd", value) }
        line("dir", defaults.workingDirectory)
        line("user", defaults.user)
        for value in defaults.volumes { line("volume", value) }
        for value in defaults.exposedPorts { line("port", value) }
        for (key, value) in defaults.labels.sorted(by: { $0.key < $1.key }) {
            line("label", key)
            line("value", value)
        }
        if let signal = defaults.stopSignal { line("stop", signal) }
        if defaults.healthcheckDisabled { line("health", "none") }
        if let check = defaults.healthcheck {
            let durations = [check.interval, check.timeout, check.startPeriod, check.startInterval]
            line(
                "health",
                durations.map { String($0.nanoseconds) }.joined(separator: " ") + " \(check.retries)")
            for value in check.command { line("test", value) }
        }
        return Array((text + "end\n").utf8)
    }

    /// Nil for a torn or foreign file.
    init?(_ bytes: [UInt8]) {
        var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)[...]
        guard lines.popFirst()?.elementsEqual(ResolvedRecord.header.utf8) == true,
            lines.popLast()?.isEmpty == true,
            lines.popLast()?.elementsEqual("end".utf8) == true
        else { return nil }
        var found: (id: Digest?, manifest: Digest?) = (nil, nil)
        var label: String?
        for line in lines {
            guard let space = line.firstIndex(of: UInt8(ascii: " ")) else { return nil }
            let value = ResolvedRecord.unescaped(line[(space + 1)...])
            switch String(decoding: line[..<space], as: UTF8.self) {
            case "id": found.id = Digest(hex: value)
            case "manifest": found.manifest = Digest(hex: value)
            case "stamp": stamp = value
            case "diff":
                guard let digest = Digest(hex: value) else { return nil }
                diffIDs.append(digest)
            case "layer": layers.append(value)
            case "env": defaults.environment.append(value)
            case "entry": defaults.entrypoint.append(value)
            case "cmd": defaults.command.append(value)
            case "dir": defaults.workingDirectory = value
            case "user": defaults.user = value
            case "volume": defaults.volumes.append(value)
            case "port": defaults.exposedPorts.append(value)
            case "label": label = value
            case "value": if let label { defaults.labels[label] = value }
            case "stop": defaults.stopSignal = value
            case "health" where value == "none": defaults.healthcheckDisabled = true
            case "health":
                let numbers = value.split(separator: " ").compactMap { Int64($0) }
                guard numbers.count == 5 else { return nil }
                defaults.healthcheck = HealthcheckRequest(
                    command: [], interval: .nanoseconds(numbers[0]), timeout: .nanoseconds(numbers[1]),
                    retries: Int(numbers[4]), startPeriod: .nanoseconds(numbers[2]),
                    startInterval: .nanoseconds(numbers[3]))
            case "test": defaults.healthcheck?.command.append(value)
            default: return nil
            }
        }
        guard let id = found.id, let manifest = found.manifest else { return nil }
        self.id = id
        self.manifest = manifest
    }

    init(id: Digest, manifest: Digest) {
        self.id = id
        self.manifest = manifest
    }

    private static func unescaped(_ bytes: ArraySlice<UInt8>) -> String {
        guard bytes.contains(UInt8(ascii: "\\")) else { return String(decoding: bytes, as: UTF8.self) }
        var result: [UInt8] = []
        var escaped = false
        for byte in bytes {
            if escaped {
                result.append(byte == UInt8(ascii: "n") ? UInt8(ascii: "\n") : byte)
                escaped = false
            } else if byte == UInt8(ascii: "\\") {
                escaped = true
            } else {
                result.append(byte)
            }
        }
        return String(decoding: result, as: UTF8.self)
    }
}
