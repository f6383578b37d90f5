// SPDX-License-Identifier: Apache-2.0
//
// `driver_opts` of a volume: what Docker's `local` driver takes, which is what mount(8) takes.

internal import ComposeModel
internal import YAMLTree

extension Field {
    /// With the directory of a bind made absolute.
    func volumeOptions(_ around: Surroundings) -> [String: String] {
        var options = self.options()
        for (key, _, field) in fields() where !["type", "device", "o"].contains(key) {
            field.refuse("is not supported", advice: "`type`, `device` and `o` are")
        }
        if options.isEmpty { return [:] }
        for key in ["type", "device"] where options[key, default: ""].isEmpty {
            refuse(
                "has no `\(key)`",
                advice: "a volume of the `local` driver has `type` and `device`, as mount(8) has")
            return options
        }
        let words = (options["o"] ?? "").split(separator: ",").map(String.init)
        let place = node.mapping?["device"]?.place ?? node.place
        if words.contains("bind"), let device = options["device"] {
            options["device"] = around.absolute(device, at: place)
        } else if options["type"] == "none" {
            refuse("has the type none", advice: "add `o: bind` for a directory of the host")
        }
        for word in words {
            if ["remount", "move", "rbind"].contains(word) {
                refuse(
                    "has the option \(word), which is not supported",
                    advice: "`o: bind` is, for one directory")
            }
            // Nobody is asked for names when a container starts.
            if word.hasPrefix("addr="), ipv4(word.dropFirst(5)) == nil, !isIPv6(word.dropFirst(5)) {
                refuse("has a server's name for an address: \(word)", advice: "write its numeric address")
            }
        }
        return options
    }
}
