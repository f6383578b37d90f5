// SPDX-License-Identifier: Apache-2.0
//
// What a service says of the host it runs on and of containers that are not its project's.

internal import Basics
internal import YAMLTree

extension Field {
    /// `CONTAINER[:ALIAS]`
    func externalLinks() -> [String] {
        let links = elements().compactMap { element -> String? in
            guard let text = element.nonEmptyString() else { return nil }
            let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
            guard parts.count <= 2, isResourceName(parts[0]), isHostName(parts[parts.count - 1]) else {
                element.error("is \"\(text)\"; expected \"CONTAINER[:ALIAS]\"")
                return nil
            }
            return text
        }
        return unique(links) { $0 }
    }

    /// A path of plain names. Whether they may be cgroups' is the kernel's to say.
    func cgroupParent() -> String? {
        guard let text = nonEmptyString() else { return nil }
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        if parts.dropFirst(text.hasPrefix("/") ? 1 : 0).contains(where: { ["", ".", ".."].contains($0) }) {
            error(
                "is \"\(text)\"; expected names with \"/\" between them",
                advice: "such as batch, or /machine/batch")
        }
        return text
    }

    /// The one option there is for overlays.
    func storageOptions() -> [String: String] {
        for (key, _, field) in fields() where field.isScalar {
            guard key == "size" else {
                field.refuse("is not supported", advice: "`size` is")
                continue
            }
            if let size = field.bytes(), size.bytes < 1 << 20 {
                field.error("is less than a container can start with", advice: "at least 1m")
            }
        }
        return options()
    }
}
