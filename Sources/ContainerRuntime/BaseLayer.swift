// SPDX-License-Identifier: Apache-2.0
//
// The base layer: what every container has mounted over whatever its image, as empty directories and files beneath all
// of the image's own layers. Mount points are then there already and no container makes its own in its upper directory,
// which costs inodes and would show as changes. An image that has them keeps its own: it lies above.

internal import CLinux
public import Kernel

/// Makes the base layer at `path` where it is missing; safe beside others that do the same.
public func ensureBaseLayer(_ path: String) throws(SyscallError) {
    // The last one made: when it is there all are.
    let files = ["etc/hosts", "etc/hostname", "etc/resolv.conf"]
    if exists("\(path)/etc/resolv.conf") { return }
    for name in ["dev", "proc", "sys", "etc"] { try ensureDirectory("\(path)/\(name)", mode: 0o755) }
    for name in files {
        _ = try openFile("\(path)/\(name)", flags: O_WRONLY | O_CREAT | O_NOFOLLOW, mode: 0o644)
    }
}
