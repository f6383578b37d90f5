// SPDX-License-Identifier: Apache-2.0
//
// Files read in a tree that others change meanwhile: what was a regular file when it was listed may be a FIFO by now, whose
// opening waits for a writer (fifo(7)), or a device, whose opening does something. So a name is first opened as a place, which
// does neither, and what is there is opened anew once it is seen to be a regular file. O_NONBLOCK is no way around it: it opens
// devices, and is refused with EAGAIN where somebody has a lease on the file, a file server for instance (fcntl(2), F_SETLEASE).

internal import CLinux

/// A regular file for reading; a last link is not followed.
/// - Throws: ESTALE for what is none.
public func openRegularFile(_ name: CName, at directory: Int32) throws(SyscallError) -> OwnedFD {
    try reopened(
        try openFile(name, flags: O_PATH | O_NOFOLLOW, at: directory), String(cName: name))
}

/// A regular file for reading, links followed within the directory's tree.
/// - Throws: ESTALE for what is none.
public func openRegularFile(_ path: String, in root: Int32) throws(SyscallError) -> OwnedFD {
    try reopened(try openat2(root, path, flags: O_PATH, resolve: .inRoot), path)
}

private func reopened(_ place: consuming OwnedFD, _ path: String) throws(SyscallError) -> OwnedFD {
    guard try fileStatus(of: place.raw).isRegular else { throw SyscallError("openat", Errno(ESTALE), path) }
    return try openFile("/proc/self/fd/\(place.raw)")
}
