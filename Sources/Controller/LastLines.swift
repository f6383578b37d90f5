// SPDX-License-Identifier: Apache-2.0
//
// What a container said last, both streams in the order of their times: told when something that waits for it fails.
// Commands/LogSegments.swift reads whole logs; here only the end of each is looked at.

internal import CLinux
internal import Kernel

/// The last lines of a container's log, at most `count`, each cut to 200 characters.
func lastLines(_ count: Int, in directory: String) -> [String] {
    var lines: [(time: Int64, text: String)] = []
    for stream in ["stdout", "stderr"] { lines += lastLines(count, in: directory, stream: stream) }
    // Stable by hand: lines of one chunk have one time.
    let sorted = lines.enumerated().sorted {
        ($0.element.time, $0.offset) < ($1.element.time, $1.offset)
    }
    return sorted.suffix(count).map { String($0.element.text.prefix(200)) }
}

private func lastLines(_ count: Int, in directory: String, stream: String) -> [(time: Int64, text: String)] {
    let segments = ((try? directoryEntries(directory)) ?? []).compactMap {
        $0.hasPrefix("\(stream).") ? Int($0.dropFirst(stream.count + 1)) : nil
    }.sorted()
    var lines: [(time: Int64, text: String)] = []
    // A segment that has only begun says too little by itself.
    for segment in segments.suffix(2) {
        guard let end = segmentEnd("\(directory)/\(stream).\(segment)") else { continue }
        var offset = end.offset
        for part in end.bytes.split(separator: 10, omittingEmptySubsequences: false) {
            let time = end.times.last { $0.offset <= offset }?.time ?? end.times.first?.time ?? 0
            if !part.isEmpty { lines.append((time, String(decoding: part, as: UTF8.self))) }
            offset += Int64(part.count) + 1
        }
    }
    return lines.suffix(count)
}

/// The last 16 KiB of a segment from a line's beginning on, and when its chunks came.
private func segmentEnd(_ path: String) -> (
    offset: Int64, bytes: [UInt8], times: [(offset: Int64, time: Int64)]
)? {
    guard let fd = try? openFile(path), let status = try? fileStatus(of: fd.raw) else { return nil }
    let size = Int64(status.st_size)
    var offset = max(0, size - 16384)
    lseek(fd.raw, off_t(offset), SEEK_SET)
    guard var bytes = try? readAll(fd.raw, limit: 32768) else { return nil }
    if offset > 0 {
        let cut = (bytes.firstIndex(of: 10) ?? bytes.count - 1) + 1
        bytes.removeFirst(cut)
        offset += Int64(cut)
    }
    let index = (try? readFile(path + ".idx")) ?? []
    let times = index.withUnsafeBytes { raw in
        (0..<raw.count / 16).map { record in
            (
                Int64(littleEndian: raw.loadUnaligned(fromByteOffset: record * 16, as: Int64.self)),
                Int64(littleEndian: raw.loadUnaligned(fromByteOffset: record * 16 + 8, as: Int64.self))
            )
        }
    }
    return (offset, bytes, times)
}
