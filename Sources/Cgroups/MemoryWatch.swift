// SPDX-License-Identifier: Apache-2.0
//
// News of a cgroup in which the kernel found no memory any more: v1's eventfd on memory.oom_control (cgroup-v1/memory.rst,
// 10), v2's file of counts, which inotify tells of (cgroup-v2.rst, "memory.events").

public import Basics
internal import CLinux
internal import Kernel

public final class MemoryWatch {
    private enum Source {
        case legacy(news: SharedFD, control: SharedFD, directory: String)
        case unified(FileWatch, file: String)
    }
    private let source: Source
    private var kills: Int64 = 0

    private init(_ source: Source) {
        self.source = source
        kills = killsByNow
    }

    /// Readable when there may be news.
    public var descriptor: Int32 {
        switch source {
        case .legacy(let news, _, _): news.raw
        case .unified(let watch, _): watch.descriptor
        }
    }

    /// True when memory was short since the last time this was asked.
    public func wasShort() -> Bool {
        switch source {
        case .legacy(let news, _, let directory):
            var count: UInt64 = 0
            let raw = news.raw
            // The removal of the cgroup is told the same way.
            return (try? retrying("read") { read(raw, &count, 8) }) != nil && exists(directory)
        case .unified(let watch, _):
            _ = watch.next()
            let now = killsByNow
            defer { kills = now }
            return now > kills
        }
    }

    private var killsByNow: Int64 {
        guard case .unified(_, let file) = source, let text = try? readText(file) else { return 0 }
        let line = text.split(separator: "\n").first { $0.hasPrefix("oom_kill ") }
        return line.flatMap { Int64($0.dropFirst("oom_kill ".count)) } ?? 0
    }

    static func legacy(_ directory: String) throws(SyscallError) -> MemoryWatch {
        let flags: Int32 = 0o2000000 | 0o4000  // EFD_CLOEXEC, EFD_NONBLOCK
        let news = SharedFD(OwnedFD(taking: try retrying("eventfd") { linux_eventfd(0, flags) }))
        let control = SharedFD(try openFile("\(directory)/memory.oom_control"))
        try writeControl("\(directory)/cgroup.event_control", "\(news.raw) \(control.raw)")
        return MemoryWatch(.legacy(news: news, control: control, directory: directory))
    }

    static func unified(_ directory: String) throws(SyscallError) -> MemoryWatch {
        let (watch, file) = (try FileWatch(), "\(directory)/memory.events")
        _ = try watch.add(file: file)
        return MemoryWatch(.unified(watch, file: file))
    }
}

extension BundleCgroup {
    /// nil where no controller counts memory.
    public func watchMemory() throws(Failure) -> MemoryWatch? {
        guard let place = place(of: "memory") else { return nil }
        do throws(SyscallError) {
            return place.hierarchy.unified
                ? try MemoryWatch.unified(place.path) : try MemoryWatch.legacy(place.path)
        } catch {
            throw Failure("cannot watch the memory of cgroup \(path)", error)
        }
    }
}
