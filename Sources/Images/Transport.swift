// SPDX-License-Identifier: Apache-2.0
//
// Images: content-addressed blobs, references and unpacked layers, on the disk in a form skopeo reads
// (`oci:<root>/images:<name>`). It runs nothing and reaches no network; builders and runtimes stand on it.
//
// A transport says where an image comes from, in the words people know from skopeo (containers-transports(5)).

internal import Kernel

/// A place outside of the store that an image is read from; paths are absolute.
public enum Transport: Hashable, Sendable {
    /// An OCI image layout's directory.
    case oci(path: String, reference: String?)
    /// The same as a tar.
    case ociArchive(path: String, reference: String?)
    /// What `docker save` writes.
    case dockerArchive(path: String, reference: String?)
    /// A root file system, used where it is.
    case directory(path: String)
    /// A root file system as a tar, one layer.
    case tar(path: String)

    /// Reads `TRANSPORT:PATH[:REFERENCE]`; nil for a name in the store.
    /// - directory: what a relative path is relative to.
    public init?(_ text: String, relativeTo directory: String) {
        guard let colon = text.firstIndex(of: ":") else { return nil }
        let rest = text[text.index(after: colon)...]
        func absolute(_ path: Substring) -> String {
            path.hasPrefix("/") ? String(path) : directory == "/" ? "/\(path)" : "\(directory)/\(path)"
        }
        // As skopeo does, the path ends at the first colon.
        let parts = rest.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, !first.isEmpty else { return nil }
        let reference = parts.count > 1 && !parts[1].isEmpty ? String(parts[1]) : nil
        switch text[..<colon] {
        case "oci": self = .oci(path: absolute(first), reference: reference)
        case "oci-archive": self = .ociArchive(path: absolute(first), reference: reference)
        case "docker-archive": self = .dockerArchive(path: absolute(first), reference: reference)
        case "dir": self = .directory(path: absolute(rest))
        case "tar": self = .tar(path: absolute(rest))
        default: return nil
        }
    }

    /// The transport with its absolute path: the name an image has in the store when it is given no other.
    public var text: String {
        switch self {
        case .oci(let path, let reference): "oci:\(path)\(reference.map { ":\($0)" } ?? "")"
        case .ociArchive(let path, let reference): "oci-archive:\(path)\(reference.map { ":\($0)" } ?? "")"
        case .dockerArchive(let path, let reference):
            "docker-archive:\(path)\(reference.map { ":\($0)" } ?? "")"
        case .directory(let path): "dir:\(path)"
        case .tar(let path): "tar:\(path)"
        }
    }

    /// What tells whether the source is still what was imported: the identity, size and time of its deciding file.
    func stamp() throws(SyscallError) -> String {
        let file =
            switch self {
            case .oci(let path, _): "\(path)/index.json"
            case .ociArchive(let path, _), .dockerArchive(let path, _), .directory(let path), .tar(let path):
                path
            }
        let status = try fileStatus(file, follow: true)
        let size = status.isDirectory ? 0 : status.st_size
        return "\(status.st_dev):\(status.st_ino):\(size):\(status.st_mtim.tv_sec).\(status.st_mtim.tv_nsec)"
    }
}
