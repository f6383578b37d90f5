// SPDX-License-Identifier: Apache-2.0
//
// Times of an image: when a step was done, or one time for all of it. With SOURCE_DATE_EPOCH the same Dockerfile over
// the same files gives the same digest, whenever it is built (reproducible-builds.org/specs/source-date-epoch).

internal import Basics
internal import CLinux
internal import Kernel

/// The build argument's seconds since 1970; nil when it was not given.
func sourceDateEpoch(_ arguments: [String: String]) throws(Failure) -> Int64? {
    guard let text = arguments["SOURCE_DATE_EPOCH"], !text.isEmpty else { return nil }
    // The last second of the year 9999 is the last that image documents can write.
    guard let seconds = Int64(text), (0...253_402_300_799).contains(seconds) else {
        throw Failure(
            "SOURCE_DATE_EPOCH is `\(text)`", cause: "it takes whole seconds since 1970",
            advice: "use the time of the last commit: git log -1 --format=%ct")
    }
    return seconds
}

/// Gives everything below a directory that is younger than `epoch` that time. Links are not followed; the directory
/// belongs to the build alone.
func clampTimes(below path: String, to epoch: Int64) throws(SyscallError) {
    let top = try openFile(path, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    try clampTimes(in: top.raw, to: epoch)
    let status = try fileStatus(of: top.raw)
    if Int64(status.st_mtim.tv_sec) >= epoch {
        let raw = top.raw
        let times = clamped(epoch)
        try retrying("futimens", path) { futimens(raw, times) }
    }
}

private func clampTimes(in directory: Int32, to epoch: Int64) throws(SyscallError) {
    let times = clamped(epoch)
    for name in try entryNames(of: directory) {
        guard let status = try status(of: name, at: directory) else { continue }
        if status.isDirectory {
            let child = try openFile(name, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: directory)
            try clampTimes(in: child.raw, to: epoch)
        }
        guard Int64(status.st_mtim.tv_sec) >= epoch else { continue }
        try retrying("utimensat", String(cName: name)) {
            utimensat(directory, name, times, AT_SYMLINK_NOFOLLOW)
        }
    }
}

private func clamped(_ epoch: Int64) -> [timespec] {
    let time = timespec(tv_sec: Int(epoch), tv_nsec: 0)
    return [time, time]
}
