// SPDX-License-Identifier: Apache-2.0
//
// ContainerTree: a container's files as one open directory. Of a running one its own root, with its volumes and mounts; of
// a stopped one its layers and what it wrote, stacked for as long as the descriptor lives.

internal import Basics
internal import CLinux
internal import ContainerRuntime
internal import Controller
internal import JSONFormat
internal import Kernel

struct ContainerTree {
    let root: SharedFD

    /// - writable: files will be written.
    /// - isBare: without volumes and mounts, also of a running one (`export`).
    init(_ session: Session, _ container: ContainerStatus, writable: Bool, isBare: Bool = false)
        throws(Failure)
    {
        let place = try session.place()
        let doing = "cannot open the files of container \"\(container.name)\""
        if let pid = container.pid, !isBare {
            root = SharedFD(
                try naming(doing) { () throws(SyscallError) in
                    // A magic link: the container's root itself, wherever it is mounted.
                    try openFile("/proc/\(pid)/root", flags: O_RDONLY | O_DIRECTORY)
                })
            // The pid was not another process's by then.
            let now = try session.containers(place).first { $0.name == container.name }
            guard now?.pid == pid else {
                throw Failure(doing, cause: "it ended meanwhile", advice: "run the command again")
            }
            return
        }
        let directories = ContainerDirectories(
            state: "\(place.directory)/containers/\(container.name)",
            run: "\(session.run)/\(place.project)/containers/\(container.name)")
        let layers = try ContainerTree.image(directories.record, doing).layers
        root = SharedFD(
            try naming(doing) { () throws(SyscallError) in
                if writable {
                    // Left by the container's own overlay, which was `volatile`: within one boot it may be used again
                    // (overlayfs.rst, "Volatile mount").
                    try removeTree("\(directories.work)/work/incompat/volatile")
                    return try detachedOverlay(
                        lowers: layers, upper: directories.upper, work: directories.work)
                }
                let all = (exists(directories.upper) ? [directories.upper] : []) + layers
                if all.count == 1 { return try openFile(all[0], flags: O_RDONLY | O_DIRECTORY) }
                return try detachedOverlay(lowers: all)
            })
    }

    /// The little of a container's record that says what it stands on.
    struct Image: Decodable {
        var reference: String
        var id: Digest
        var layers: [String]
    }
    private struct Record: Decodable {
        struct Service: Decodable { var container: Container }
        struct Container: Decodable { var image: Image }
        var service: Service
    }

    static func image(_ path: String, _ doing: String) throws(Failure) -> Image {
        let bytes = try naming(doing) { () throws(SyscallError) in try readFile(path) }
        do { return try decodeJSON(Record.self, from: bytes).service.container.image } catch {
            throw Failure(doing, cause: "\(path): \(error)")
        }
    }
}
