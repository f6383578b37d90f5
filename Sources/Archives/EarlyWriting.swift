// SPDX-License-Identifier: Apache-2.0
//
// Files that go to the disk while what follows them is still decompressed. By itself the kernel begins once a tenth of the memory is
// waiting for it (vm.dirty_background_ratio), which a layer seldom is: then the disk rests while the processor works, and
// syncfs(2) at the end waits for all of it. dpkg unpacks packages in the same way.
//
// It promises nothing: sync_file_range(2) writes no metadata and waits for nothing, and a failure shows at the syncfs. So the
// order on the way into the store stays as it is.

internal import CLinux

/// What of one file is on its way to the disk.
struct EarlyWriting {
    /// Less is left for the end: a request of its own would cost more than it gains.
    private static let least: Int64 = 64 << 10
    private static let most: Int64 = 4 << 20

    private let fd: Int32
    private var written: Int64 = 0
    private var begun: Int64 = 0

    /// - fd: open and at its beginning for as long as this is used.
    init(_ fd: Int32) { self.fd = fd }

    /// So many bytes more are in the file.
    mutating func wrote(_ count: Int) {
        written += Int64(count)
        // The last page is not full yet, and would be written twice.
        if written - begun >= EarlyWriting.most { begin(upTo: written & ~4095) }
    }

    /// No more follow.
    mutating func finish() {
        if written - begun >= EarlyWriting.least { begin(upTo: written) }
    }

    private mutating func begin(upTo end: Int64) {
        _ = linux_begin_writeback(fd, begun, end - begun)
        begun = end
    }
}
