// SPDX-License-Identifier: Apache-2.0
//
// ContainerPlace: where a container's directory is in a hierarchy. Most are right below their project's; with
// `cgroup_parent` there are directories of ours between the two, or it stands in a cgroup of somebody else, which must be
// there: of what is above it we have made nothing, and remove nothing.

internal import Kernel

struct ContainerPlace: Sendable {
    /// From the project's directory.
    let child: String
    /// Directories of ours on the way there, outermost first.
    let between: [String]
    /// From the hierarchy's top; nil for one among ours.
    let foreignParent: String?
    /// How /proc/PID/cgroup ends for its processes.
    let suffix: String

    init(_ name: String, project: String, parent: String?) {
        let own = ProjectCgroup.containerPrefix + name
        guard let parent else {
            (child, between, foreignParent) = (own, [], nil)
            suffix = "\(ProjectCgroup.top)/\(project)/\(own)"
            return
        }
        let parts = parent.split(separator: "/").map(String.init)
        if parent.hasPrefix("/") {
            let path = parts.joined(separator: "/")
            // Nobody else's name: a container's is its project's own affair.
            let name = "\(ProjectCgroup.top)-\(project)-\(own)"
            (child, between, foreignParent) = ("../../\(path)/\(name)", [], path)
            suffix = "\(path)/\(name)"
        } else {
            between = parts.indices.map { parts[...$0].joined(separator: "/") }
            child = "\(parts.joined(separator: "/"))/\(own)"
            foreignParent = nil
            suffix = "\(ProjectCgroup.top)/\(project)/\(child)"
        }
    }

    /// Whether a `cgroup_parent` leads to a directory of that kind: its parts are names, and none of them ours.
    static func isParent(_ text: String) -> Bool {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).dropFirst(
            text.hasPrefix("/") ? 1 : 0)
        return !parts.isEmpty
            && parts.allSatisfy { part in
                !part.isEmpty && part != "." && part != ".." && part.utf8.count <= 200
                    && part.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7f } && part != ProjectCgroup.engine
                    && !part.hasPrefix(ProjectCgroup.containerPrefix)
            } && !(text.hasPrefix("/") && parts.first == ProjectCgroup.top[...])
    }
}

extension CgroupDirectory {
    /// Its absolute path.
    func path(of place: ContainerPlace) -> String {
        place.foreignParent == nil ? "\(path)/\(place.child)" : "\(hierarchy.mountPoint)/\(place.suffix)"
    }
}
