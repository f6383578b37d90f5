// SPDX-License-Identifier: Apache-2.0

public import Basics
internal import CLinux
internal import Kernel

/// Takes away what builds have kept beside the store's layers: records of steps and files, downloads, and the caches of
/// `RUN --mount=type=cache` that no step has at this moment. A build under way may have to be begun again.
/// - root: the state directory.
public func removeBuildCache(under root: String) throws(Failure) {
    let cache = "\(root)/buildcache"
    try system("cannot remove the build cache in \(cache)") { () throws(SyscallError) in
        for name in ["steps", "files", "downloads"] where exists("\(cache)/\(name)") {
            try removeTree("\(cache)/\(name)")
        }
        let mounts = "\(cache)/mounts"
        guard exists(mounts) else { return }
        for parent in try directoryEntries(mounts) {
            let names = try directoryEntries("\(mounts)/\(parent)")
            for name in names where !name.hasSuffix(".lock") {
                // A cache's lock stays: another build may be waiting for it by its name.
                guard let lock = try FileLock.attempt("\(mounts)/\(parent)/\(name).lock") else { continue }
                try removeTree("\(mounts)/\(parent)/\(name)")
                _ = consume lock
            }
        }
    }
}
