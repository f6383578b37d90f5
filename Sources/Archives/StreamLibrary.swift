// SPDX-License-Identifier: Apache-2.0
//
// zstd, xz and bzip2 by their libraries, which CLibraries gives one face. A library is opened when the first stream of its kind comes;
// nothing here writes one.
//
// Their windows together have so much memory, of all streams that are read at once, whatever the streams ask for; what is above
// it lies in a file without a name on the disk (CLibraries, windows.c). A stream that asks for more than its limit is refused.

internal import CLibraries
internal import CLinux
internal import Kernel

/// A library that is stepped through a stream.
struct StreamLibrary: Sendable {
    let name: String
    let package: String
    let open: @Sendable () -> UnsafePointer<CChar>?
    let begin: @Sendable (UInt64, Int, UnsafePointer<CChar>) -> UnsafeMutableRawPointer?
    let end: @Sendable (UnsafeMutableRawPointer) -> Void
    let step:
        @Sendable (
            UnsafeMutableRawPointer, UnsafeMutableRawPointer?, Int, UnsafeMutablePointer<Int>,
            UnsafeRawPointer?, Int, UnsafeMutablePointer<Int>, Int32, UnsafeMutablePointer<Int32>,
            UnsafeMutablePointer<Int32>
        ) -> UnsafePointer<CChar>?

    static let zstd = StreamLibrary(
        name: "zstd", package: "libzstd1", open: { library_zstd_open() },
        begin: { library_zstd_begin($0, $1, $2) }, end: { library_zstd_end($0) },
        step: { library_zstd_step($0, $1, $2, $3, $4, $5, $6, $7, $8, $9) })

    static let xz = StreamLibrary(
        name: "xz", package: "liblzma5", open: { library_xz_open() },
        begin: { library_xz_begin($0, $1, $2) }, end: { library_xz_end($0) },
        step: { library_xz_step($0, $1, $2, $3, $4, $5, $6, $7, $8, $9) })

    static let bzip2 = StreamLibrary(
        name: "bzip2", package: "libbz2-1.0", open: { library_bzip2_open() },
        begin: { library_bzip2_begin($0, $1, $2) }, end: { library_bzip2_end($0) },
        step: { library_bzip2_step($0, $1, $2, $3, $4, $5, $6, $7, $8, $9) })
}

/// A stream that one of them reads.
final class LibrarySource: ByteSource {
    /// Three windows of 8 MiB, which is what zstd and xz take at their usual levels; with what else a client needs, and with the parts
    /// of windows on the disk that are being looked at, it is below 64 MB.
    private static let memory = 26 << 20
    /// Where larger files live that nobody looks for (hier(7)): never on a tmpfs, which would be memory again.
    private static let directory = "/var/tmp"

    private let source: any ByteSource
    private let library: StreamLibrary
    private let context: UnsafeMutableRawPointer
    private let mostWindow: Int64
    private let output: UnsafeMutableRawBufferPointer
    private var input = UnsafeRawBufferPointer(start: nil, count: 0)
    private var position = 0
    /// The source has no more.
    private var isLast = false
    private var ended: Int32 = 0

    /// - chunk: bytes given at a time.
    /// - mostWindow: bytes; a stream that asks for a larger one is refused.
    init(_ library: StreamLibrary, _ source: any ByteSource, _ chunk: Int, mostWindow: Int64)
        throws(ArchiveError)
    {
        self.source = source
        self.library = library
        self.mostWindow = mostWindow
        if let missing = library.open() {
            throw .missingLibrary(name: String(cString: missing), package: library.package)
        }
        guard
            let context = library.begin(UInt64(mostWindow), LibrarySource.memory, LibrarySource.directory)
        else {
            throw .system(SyscallError("malloc", Errno(ENOMEM), "a \(library.name) stream"))
        }
        self.context = context
        output = .allocate(byteCount: chunk, alignment: 64)
    }

    deinit {
        library.end(context)
        output.deallocate()
    }

    func next() throws(ArchiveError) -> UnsafeRawBufferPointer {
        var filled = 0
        while filled < output.count, ended == 0 {
            if position == input.count, !isLast {
                input = try source.next()
                position = 0
                isLast = input.isEmpty
            }
            var why: Int32 = 0
            if let error = library.step(
                context, output.baseAddress, output.count, &filled, input.baseAddress, input.count, &position,
                isLast ? 1 : 0, &ended, &why)
            {
                throw failure(String(cString: error), why)
            }
        }
        return UnsafeRawBufferPointer(rebasing: output[..<filled])
    }

    private func failure(_ text: String, _ why: Int32) -> ArchiveError {
        switch why {
        case 0: .damaged("the \(library.name) stream is damaged: \(text)")
        case Int32(library_window_too_large):
            .greedy(
                "the \(library.name) stream asks for a window above the \(mostWindow >> 20) MiB that are allowed"
            )
        default:
            .noWindow(
                "the \(library.name) stream's window finds no room in \(LibrarySource.directory): \(Errno(why))"
            )
        }
    }
}
