// SPDX-License-Identifier: Apache-2.0
//
// Kernel: Linux with types. One wrapper per call, named as its man page; descriptors are owned and closed once;
// every descriptor is close-on-exec; paths are walked from a directory descriptor. No policy lives here.

internal import CLinux
public import Basics

/// A kernel error number; its text is its name, `EACCES`.
public struct Errno: Hashable, Sendable {
    public let code: Int32
    public init(_ code: Int32) { self.code = code }

    public static let noEntry = Errno(ENOENT)
    public static let exists = Errno(EEXIST)
    public static let notPermitted = Errno(EPERM)
    public static let access = Errno(EACCES)
    public static let interrupted = Errno(EINTR)
    public static let again = Errno(EAGAIN)
    public static let busy = Errno(EBUSY)
    public static let notEmpty = Errno(ENOTEMPTY)
    public static let isDirectory = Errno(EISDIR)
    public static let notDirectory = Errno(ENOTDIR)
    public static let noSpace = Errno(ENOSPC)
    public static let noProcess = Errno(ESRCH)
    public static let noChild = Errno(ECHILD)
    public static let invalid = Errno(EINVAL)
    public static let loop = Errno(ELOOP)
    public static let crossDevice = Errno(EXDEV)
    public static let notSupported = Errno(EOPNOTSUPP)
    public static let noSystemCall = Errno(ENOSYS)
    public static let noLocks = Errno(ENOLCK)
    public static let addressInUse = Errno(EADDRINUSE)
    public static let addressNotAvailable = Errno(EADDRNOTAVAIL)
    public static let connectionRefused = Errno(ECONNREFUSED)
    public static let connectionReset = Errno(ECONNRESET)
    public static let brokenPipe = Errno(EPIPE)
    public static let noDevice = Errno(ENODEV)
    public static let noAddressFamily = Errno(EAFNOSUPPORT)
    public static let noData = Errno(ENODATA)
    public static let inProgress = Errno(EINPROGRESS)
    public static let nameTooLong = Errno(ENAMETOOLONG)
    public static let readOnlyFileSystem = Errno(EROFS)
    public static let tooManyFiles = Errno(EMFILE)
    public static let badDescriptor = Errno(EBADF)
}

extension Errno: CustomStringConvertible {
    /// The name as the man pages spell it; strerrorname_np(3), glibc 2.32.
    public var description: String {
        guard let name = strerrorname_np(code) else { return "errno \(code)" }
        return String(cString: name)
    }

    /// The C library's sentence, `Permission denied`.
    public var sentence: String {
        guard let text = strerrordesc_np(code) else { return "unknown error" }
        return String(cString: text)
    }
}

/// A system call that failed: which, on what, why.
public struct SyscallError: Error, Hashable, Sendable {
    /// The call as the man page names it, `openat2`.
    public let call: String
    public let errno: Errno
    /// The path, name or address it was about.
    public let subject: String?

    public init(_ call: String, _ errno: Errno, _ subject: String? = nil) {
        self.call = call
        self.errno = errno
        self.subject = subject
    }
}

extension SyscallError: CustomStringConvertible {
    public var description: String {
        let about = subject.map { " for \($0)" } ?? ""
        return "\(call)(2) returned \(errno)\(about) (\(errno.sentence))"
    }
}

extension Failure {
    /// A kernel error in the user's words. What to do about a full disk needs no telling apart.
    public init(
        _ doing: String, _ error: SyscallError, advice: String? = nil, at location: SourceLocation? = nil
    ) {
        let room =
            error.errno == .noSpace ? "free space on that file system, or use another one with --root" : nil
        self.init(doing, cause: error.description, advice: advice ?? room, at: location)
    }
}

/// Runs system calls for something the user knows: a kernel error becomes its cause.
public func naming<Result: ~Copyable>(
    _ doing: @autoclosure () -> String, _ body: () throws(SyscallError) -> Result
) throws(Failure) -> Result {
    do throws(SyscallError) {
        return try body()
    } catch {
        throw Failure(doing(), error)
    }
}

/// Runs a call that gives -1 on failure, again when a signal interrupted it (signal(7), "Interruption of system calls").
///
/// The two types of such results have a function each: what is generic is looked up while the program runs.
@discardableResult
public func retrying(
    _ call: StaticString, _ subject: @autoclosure () -> String? = nil, _ body: () -> Int
) throws(SyscallError) -> Int {
    linux_fault_call()
    while true {
        let result = body()
        if result >= 0 { return result }
        if let error = lastError(call, subject()) { throw error }
    }
}

@discardableResult
public func retrying(
    _ call: StaticString, _ subject: @autoclosure () -> String? = nil, _ body: () -> Int32
) throws(SyscallError) -> Int32 {
    linux_fault_call()
    while true {
        let result = body()
        if result >= 0 { return result }
        if let error = lastError(call, subject()) { throw error }
    }
}

/// nil for an interruption.
private func lastError(_ call: StaticString, _ subject: @autoclosure () -> String?) -> SyscallError? {
    let code = linux_errno()
    return code == EINTR ? nil : SyscallError("\(call)", Errno(code), subject())
}
