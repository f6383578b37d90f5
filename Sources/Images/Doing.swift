// SPDX-License-Identifier: Apache-2.0

internal import Archives
internal import Basics
internal import Kernel

/// Runs a kernel call and says what it was for when it fails.
func kernel<Result: ~Copyable>(
    _ doing: @autoclosure () -> String, _ body: () throws(SyscallError) -> Result
) throws(Failure) -> Result {
    do throws(SyscallError) { return try body() } catch {
        let full = error.errno == .noSpace
        throw Failure(
            doing(), error,
            advice: full ? "free space, or put the state directory elsewhere with --root" : nil)
    }
}

/// Runs work on an archive and says what it was for when it fails.
func archive<Result: ~Copyable>(
    _ doing: @autoclosure () -> String, _ body: () throws(ArchiveError) -> Result
) throws(Failure) -> Result {
    do throws(ArchiveError) { return try body() } catch { throw Failure(doing(), error) }
}
