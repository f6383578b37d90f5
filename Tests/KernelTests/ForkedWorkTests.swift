// SPDX-License-Identifier: Apache-2.0
//
// What runs in the children here are plain calls: this process has other threads, and a fork of it must take no lock.

import Glibc
import Kernel
import Testing

@Suite("work in a fork")
struct ForkedWorkTests {
    private func awaitEnd(of work: ForkedWork) {
        var entry = pollfd(fd: work.end, events: Int16(POLLIN), revents: 0)
        while poll(&entry, 1, -1) < 0 {}
    }

    @Test("it has three streams and its channel, tells its news, and answers last")
    func answers() throws {
        let work = try ForkedWork { tell in
            tell(7)
            tell(8)
            var found: [UInt8] = []
            for number in 0..<UInt8(200) where fcntl(Int32(number), F_GETFD) != -1 { found.append(number) }
            return found
        }
        try work.begin()
        awaitEnd(of: work)
        #expect(try work.hear() == [7, 8])
        #expect(try work.hear() == nil)
        #expect(try work.reap() == [0, 1, 2, 3])
    }

    @Test("an empty answer is one, and a child that ends without any has none, however it ended")
    func without() throws {
        let empty = try ForkedWork { _ in [] }
        let silent = try ForkedWork { _ in _exit(0) }
        let killed = try ForkedWork { _ in while true { pause() } }
        for work in [empty, silent, killed] { try work.begin() }
        killed.kill()
        for work in [empty, silent, killed] { awaitEnd(of: work) }
        #expect(try empty.reap() == [])
        #expect(try silent.reap() == nil)
        #expect(try killed.reap() == nil)
    }

    @Test("one that was never told to begin is taken back, and nothing of it is left open")
    func takenBack() throws {
        var work: ForkedWork? = try ForkedWork { _ in while true { pause() } }
        let pid = try #require(work?.pid)
        let news = try #require(work?.news)
        let channel = try readLink("/proc/self/fd/\(news)")
        work?.takeBack()
        #expect(waitpid(pid, nil, WNOHANG) == -1)
        work = nil
        let left = try directoryEntries("/proc/self/fd").filter {
            (try? readLink("/proc/self/fd/\($0)")) == channel
        }
        #expect(left == [])
    }
}
