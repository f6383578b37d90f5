// SPDX-License-Identifier: Apache-2.0

import Glibc
import Kernel
import Testing

@Suite("the kernel with types")
struct KernelTests {
    @Test("a timer beyond the clock's end never comes, and keeps nobody from waiting")
    func farTimers() throws {
        let loop = try EventLoop()
        var due: [String] = []
        loop.after(.seconds(Int64.max)) { due.append("never") }
        loop.after(.nanoseconds(Int64.max)) { due.append("never") }
        loop.after(.zero) { due.append("at once") }
        try loop.turn(waitingAtMost: .seconds(Int64.max))
        #expect(due == ["at once"])
    }

    @Test("a directory's lock is had by one at a time, and never of a directory that is gone")
    func locks() throws {
        let path = "/tmp/covey-locks-\(getpid())"
        try ensureDirectory(path)
        defer { rmdir(path) }
        let first = try FileLock(directory: path)
        func isFree() throws -> Bool { try FileLock.attempt(directory: path) != nil }
        #expect(try !isFree())
        _ = consume first
        #expect(try isFree())
        #expect(throws: SyscallError.self) { _ = try FileLock(directory: path + "/none") }
    }

    @Test(
        "a mount beneath another counts as not there, whatever their order; one over the reader's root hides nothing"
    )
    func reachable() {
        func points(_ rows: String...) -> [String] {
            let text = rows.map { "\($0) rw - tmpfs tmpfs rw\n" }.joined()
            return MountEntry.reachablePoints(MountEntry.all(in: Array(text.utf8))).sorted()
        }
        let (root, data) = ("10 9 0:1 / /", "11 10 0:2 / /srv/data")
        #expect(points(root, data) == ["/", "/srv/data"])
        #expect(points(root, data, "12 10 0:3 / /srv") == ["/", "/srv"])
        #expect(points("8 10 0:3 / /srv", root, data) == ["/", "/srv"])
        // Mounted again within what hid it, or over itself.
        #expect(
            points(root, data, "12 10 0:3 / /srv", "13 12 0:2 / /srv/data") == ["/", "/srv", "/srv/data"])
        #expect(points(root, data, "12 11 0:3 / /srv/data") == ["/", "/srv/data"])
        // Beneath something that is hidden itself.
        #expect(points(root, data, "12 11 0:3 / /srv/data/in", "13 10 0:4 / /srv") == ["/", "/srv"])
        #expect(points(root, data, "12 10 0:3 / /") == ["/", "/srv/data"])
        #expect(points(root, data, "12 10 0:3 / /srv/dat") == ["/", "/srv/dat", "/srv/data"])
    }
}
