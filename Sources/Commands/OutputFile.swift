// SPDX-License-Identifier: Apache-2.0
//
// What -o names, written by `export` and `image save`. A file is written whole or not at all: what was there stays until the
// new one is complete. Into anything else, a device, a pipe, what a link leads to, it is written as a shell's `>` would: who
// names /dev/stdout or /dev/null does not want a file in its place.

internal import Basics
internal import CLinux
internal import Kernel

/// - path: absolute.
func writeOutput(to path: String, _ doing: String, _ body: (SharedFD) throws(Failure) -> Void) throws(Failure)
{
    if let status = try? fileStatus(path), !status.isRegular {
        let file = try naming(doing) { () throws(SyscallError) in
            SharedFD(try openFile(path, flags: O_WRONLY | O_CREAT | O_TRUNC | O_NOCTTY, mode: 0o600))
        }
        return try body(file)
    }
    // Without a name while it is written, it goes with us however we end; not every file system can (open(2), O_TMPFILE).
    let unnamed: SharedFD?
    do throws(SyscallError) { unnamed = SharedFD(try unnamedFile(beside: path)) } catch { unnamed = nil }
    if let unnamed {
        try body(unnamed)
        return try naming(doing) { () throws(SyscallError) in try nameFile(unnamed.raw, path) }
    }
    let temporary = "\(path).tmp.\(getpid())"
    let file = try naming(doing) { () throws(SyscallError) in
        SharedFD(
            try openFile(temporary, flags: O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: 0o600))
    }
    // A signal that ends us takes it along.
    let interruption = try? Interruption { try? removeFile(temporary) }
    defer { withExtendedLifetime(interruption) {} }
    do throws(Failure) {
        try body(file)
        try naming(doing) { () throws(SyscallError) in try moveFile(temporary, to: path) }
    } catch {
        try? removeFile(temporary)
        throw error
    }
}
