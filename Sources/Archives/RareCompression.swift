// SPDX-License-Identifier: Apache-2.0
//
// xz and bzip2: Docker reads archives compressed with them, so there are some. Their libraries are opened when the first
// such archive comes; nothing here writes them.

internal import CLibraries

/// A library that is stepped through a stream, by the calls CLibraries has for it.
struct RareDecompressor: Sendable {
    let name: String
    let package: String
    let open: @Sendable () -> UnsafePointer<CChar>?
    /// Whether it may want as much memory as it is allowed.
    let isGreedy: Bool
    /// By the bytes of memory it may have.
    let begin: @Sendable (Int64) -> UnsafeMutableRawPointer?
    let end: @Sendable (UnsafeMutableRawPointer) -> Void
    let step:
        @Sendable (
            UnsafeMutableRawPointer, UnsafeMutableRawBufferPointer, inout Int, UnsafeRawBufferPointer,
            inout Int, Bool, inout Int32, inout Int32
        ) -> UnsafePointer<CChar>?

    static let xz = RareDecompressor(
        name: "xz", package: "liblzma5", open: { library_xz_open() }, isGreedy: true,
        begin: { library_xz_begin(UInt64($0)) },
        end: { library_xz_end($0) },
        step: { context, output, filled, input, position, last, ended, greedy in
            library_xz_step(
                context, output.baseAddress, output.count, &filled, input.baseAddress, input.count, &position,
                last ? 1 : 0, &ended, &greedy)
        })

    static let bzip2 = RareDecompressor(
        name: "bzip2", package: "libbz2-1.0", open: { library_bzip2_open() }, isGreedy: false,
        begin: { _ in library_bzip2_begin() }, end: { library_bzip2_end($0) },
        step: { context, output, filled, input, position, last, ended, greedy in
            library_bzip2_step(
                context, output.baseAddress, output.count, &filled, input.baseAddress, input.count, &position,
                last ? 1 : 0, &ended, &greedy)
        })
}

final class RareSource: ByteSource {
    private let source: any ByteSource
    private let library: RareDecompressor
    private let context: UnsafeMutableRawPointer
    private let memory: StreamMemory?
    private let most: Int64
    private let output: UnsafeMutableRawBufferPointer
    private var input = UnsafeRawBufferPointer(start: nil, count: 0)
    private var position = 0
    /// The source has no more.
    private var isLast = false
    private var ended: Int32 = 0

    init(_ library: RareDecompressor, _ source: any ByteSource, _ chunk: Int, memory most: Int64)
        throws(ArchiveError)
    {
        self.source = source
        self.most = most
        memory = library.isGreedy ? try StreamMemory(library.name, nil, most: most) : nil
        output = .allocate(byteCount: chunk, alignment: 64)
        self.library = library
        if let missing = library.open() {
            throw .missingLibrary(name: String(cString: missing), package: library.package)
        }
        guard let context = library.begin(most) else {
            throw .damaged("\(library.name) refused to start: out of memory")
        }
        self.context = context
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
            var greedy: Int32 = 0
            if let error = library.step(context, output, &filled, input, &position, isLast, &ended, &greedy) {
                if greedy != 0 { throw .greedy(StreamMemory.refusal(library.name, nil, most: most)) }
                throw .damaged("the \(library.name) stream is damaged: \(String(cString: error))")
            }
        }
        return UnsafeRawBufferPointer(rebasing: output[..<filled])
    }
}
