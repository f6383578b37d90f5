// SPDX-License-Identifier: Apache-2.0
//
// NetworkOwner: how a kernel object says whose it is. Links carry it as alias, nf_tables elements as comment, so that
// teardown sweeps what exists, not what a file remembers. Two state roots on one host may each hold a project of the
// same name; a root that is not the default one adds its tag.

internal import Basics

/// A project under a state root, as it is written on kernel objects.
public struct NetworkOwner: Hashable, Sendable {
    public let project: String
    /// Eight hex digits of the root's path; empty for the default root.
    public let rootTag: String

    public static let defaultRoot = "/var/lib/covey"

    public init(project: String, root: String) {
        self.project = project
        rootTag = root == NetworkOwner.defaultRoot ? "" : shortHash(root, digits: 8)
    }

    /// `covey/<project>/`, with `@<tag>` after the project for a root that is not the default.
    public var prefix: String {
        fitted("covey/", project, in: 100) + (rootTag.isEmpty ? "/" : "@\(rootTag)/")
    }

    /// The alias of a bridge.
    public func alias(network: String) -> String { fitted("\(prefix)/", network, in: 250) }

    /// The alias of a container's link.
    public func alias(container: String, network: String) -> String {
        fitted(comment(container: container), network, in: 250)
    }

    /// The comment of what concerns one container, with which also its links' aliases begin: `covey/<project>/<container>/`.
    public func comment(container: String) -> String { fitted(prefix, container, in: 199) + "/" }

    /// A name behind what stands before it, in so many bytes: IFALIASZ is 256 with the NUL, nf_tables userdata has 256 with two
    /// bytes of header and a NUL. One that has no room ends with a digest of the whole, so that no two look the same; no name
    /// has the `~` before it.
    private func fitted(_ head: String, _ name: String, in most: Int) -> String {
        let room = most - head.utf8.count
        if name.utf8.count <= room { return head + name }
        var kept = Substring(name)
        while kept.utf8.count > room - 17 { kept.removeLast() }
        return head + kept + "~" + shortHash(name, digits: 16)
    }

    /// Whether a kernel object says that it is this project's, or this container's.
    func owns(_ text: String, container: String? = nil) -> Bool {
        text.utf8.starts(with: (container.map { comment(container: $0) } ?? prefix).utf8)
    }
}

/// The first hex digits of a text's SHA-256.
func shortHash(_ text: String, digits: Int) -> String {
    String(Digest(of: Array(text.utf8)).hex.prefix(digits))
}

/// A number spread evenly over the names, the same in every process.
func spread(_ text: String) -> UInt32 {
    // FNV-1a.
    text.utf8.reduce(2_166_136_261) { ($0 ^ UInt32($1)) &* 16_777_619 }
}
