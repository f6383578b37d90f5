// SPDX-License-Identifier: Apache-2.0
//
// Archives: tar, gzip, zstd and OCI whiteouts as streams, and a layer's files on the disk. It knows bytes, paths and
// descriptors; what an image is, and the user's words for it, belong to `Images`. Input is hostile: every number
// of a header is checked, memory is bounded whatever the archive says, and no path leaves the directory unpacked into.

public import Basics
public import Kernel

/// Why an archive could not be read, unpacked or written.
public enum ArchiveError: Error, Hashable, Sendable {
    /// The bytes are not what they claim to be; the text says where and how.
    case damaged(String)
    /// A compressed stream that asks for a larger window than it may have.
    case greedy(String)
    /// Its window is allowed and can't be had: why.
    case noWindow(String)
    /// A well-formed entry that is not let in: its path, and why.
    case refused(path: String, why: String)
    /// The disk is full: the entry being written, and its size in bytes.
    case noSpace(path: String, bytes: Int64)
    /// A library opened at run time is missing: the file or symbol, and the Debian package it comes with.
    case missingLibrary(name: String, package: String)
    /// More than the limits allow: what, and the variable that moves the limit.
    case tooLarge(String, String)
    /// The stream itself came to an end that is none: a registry that broke off, answered nonsense or fell silent.
    case source(cause: String, advice: String?)
    /// A system call failed, outside of what the archive said.
    case system(SyscallError)
}

extension ArchiveError {
    /// The cause in one line, for the second part of a `Failure`.
    public var cause: String {
        switch self {
        case .damaged(let text), .greedy(let text), .noWindow(let text): text
        case .refused(let path, let why): "the archive's entry \"\(path)\" \(why)"
        case .noSpace(let path, let bytes):
            "ENOSPC while writing \"\(path)\" (\(bytes) bytes): no space left on the disk"
        case .missingLibrary(let name, _): "\(name) could not be opened"
        case .tooLarge(let what, _): "it is larger than allowed: \(what)"
        case .source(let cause, _): cause
        case .system(let error): error.description
        }
    }

    /// What to do, where the error itself tells.
    public var advice: String? {
        switch self {
        case .damaged: "fetch or write the archive again; it is incomplete or was changed"
        case .greedy:
            "if you trust it, set COVEY_LAYER_WINDOW to more bytes; or compress it anew at a lower level"
        case .noWindow: "make room in /var/tmp, or compress it anew at a lower level"
        case .refused: "the archive is not a file system layer to trust; look into it with `tar -tvf`"
        case .noSpace:
            "free space, or put the state directory elsewhere with --root; nothing was kept of this layer"
        case .missingLibrary(_, let package): "apt-get install \(package)"
        case .tooLarge(_, let variable): "if you trust it, set \(variable) to more"
        case .source(_, let advice): advice
        case .system: nil
        }
    }
}

extension Failure {
    /// An archive's error in the user's words.
    public init(_ doing: String, _ error: ArchiveError, advice: String? = nil) {
        self.init(doing, cause: error.cause, advice: advice ?? error.advice)
    }
}

/// Runs a kernel call in a function that throws archive errors.
func system<Result: ~Copyable>(_ body: () throws(SyscallError) -> Result) throws(ArchiveError) -> Result {
    do throws(SyscallError) { return try body() } catch { throw .system(error) }
}
