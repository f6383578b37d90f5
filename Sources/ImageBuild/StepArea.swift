// SPDX-License-Identifier: Apache-2.0
//
// Where one step makes its changes: an empty upper directory over the layers so far. Gone with the value.

internal import Basics
internal import CLinux
internal import Kernel

final class StepArea {
    let lowers: [String]
    let upper: String
    let work: String
    private let area: WorkArea
    private let before: stat
    private var mounted: SharedFD?

    init(_ area: WorkArea, over lowers: [String]) throws(SyscallError) {
        self.area = area
        self.lowers = lowers
        upper = try area.directory("upper")
        work = try area.directory("work")
        // The upper's top is the merged root, so it looks like the one beneath.
        if let top = lowers.first {
            let status = try fileStatus(top, follow: true)
            let upper = upper
            try retrying("chown", upper) { chown(upper, status.st_uid, status.st_gid) }
            try retrying("chmod", upper) { chmod(upper, status.st_mode & 0o7777) }
        }
        before = try fileStatus(upper)
    }

    deinit {
        mounted = nil
        try? removeTree(upper)
        try? removeTree(work)
    }

    /// The merged root, mounted where nobody else sees it.
    func mount() throws(Failure) -> SharedFD {
        if let mounted { return mounted }
        do throws(SyscallError) {
            let root =
                lowers.isEmpty
                ? try openFile(upper, flags: O_RDONLY | O_DIRECTORY)
                : try detachedOverlay(lowers: lowers, upper: upper, work: work)
            let shared = SharedFD(root)
            mounted = shared
            return shared
        } catch {
            throw Failure(
                "cannot put the image's layers over each other", error,
                advice: error.errno == .invalid
                    ? "the state directory may lie on overlayfs, which takes no upper: use a volume or --root"
                    : nil)
        }
    }

    func unmount() { mounted = nil }

    /// A further empty directory, for unpacking.
    func scratchDirectory() throws(SyscallError) -> String { try area.directory("unpacked") }

    /// True when the step left anything in the upper, or changed the root itself.
    func hasChanges() throws(SyscallError) -> Bool {
        let now = try fileStatus(upper)
        if now.st_mode != before.st_mode || now.st_uid != before.st_uid || now.st_gid != before.st_gid {
            return true
        }
        let fd = try openFile(upper, flags: O_RDONLY | O_DIRECTORY)
        return try !entryNames(of: fd.raw).isEmpty
    }
}
