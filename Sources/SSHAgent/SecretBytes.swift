// SPDX-License-Identifier: Apache-2.0
//
// Bytes of private keys: in one place of the memory, overwritten when they go. What is read of them is a part of the same bytes,
// never a copy; Swift's arrays and strings would leave copies behind wherever they grew or were passed.

internal import CLinux
public import Kernel

public final class SecretBytes {
    private let memory: UnsafeMutableRawBufferPointer
    private(set) var count = 0

    /// Room for so many bytes, and none yet.
    init(room: Int) { memory = .allocate(byteCount: max(1, room), alignment: 16) }

    convenience init(_ bytes: some Collection<UInt8>) {
        self.init(room: bytes.count)
        for byte in bytes { append(byte) }
    }

    /// A file's bytes. From here on the process leaves no core and shows its memory to no process of the same user
    /// (PR_SET_DUMPABLE(2const)).
    /// - limit: a larger file is EFBIG.
    public convenience init(file path: String, limit: Int) throws(SyscallError) {
        try retrying("prctl") { linux_prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) }
        let file = try openFile(path)
        self.init(room: limit + 1)
        while count < memory.count {
            let start = memory.baseAddress?.advanced(by: count)
            let got = try retrying("read", path) { read(file.raw, start, memory.count - count) }
            if got == 0 { return }
            count += got
        }
        throw SyscallError("read", Errno(EFBIG), path)
    }

    deinit {
        linux_erase(memory.baseAddress, memory.count)
        memory.deallocate()
    }

    /// - Precondition: there is room.
    func append(_ byte: UInt8) {
        precondition(count < memory.count)
        memory[count] = byte
        count += 1
    }

    var all: SecretPart { SecretPart(bytes: self, range: 0..<count) }

    fileprivate func withBytes<Result>(_ range: Range<Int>, _ body: (UnsafeRawBufferPointer) -> Result)
        -> Result
    {
        withExtendedLifetime(self) { body(UnsafeRawBufferPointer(rebasing: memory[range])) }
    }
}

/// A part of secret bytes, which live as long as it does.
struct SecretPart {
    fileprivate let bytes: SecretBytes
    fileprivate let range: Range<Int>

    var count: Int { range.count }

    subscript(_ index: Int) -> UInt8 { withBytes { $0[index] } }

    /// The part of this part; the range counts from its own beginning.
    subscript(_ part: Range<Int>) -> SecretPart {
        precondition(part.upperBound <= count)
        return SecretPart(
            bytes: bytes, range: range.lowerBound + part.lowerBound..<range.lowerBound + part.upperBound)
    }

    /// - body: must not keep the bytes.
    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        bytes.withBytes(range, body)
    }

    /// A copy, for what is public of a key.
    var copy: [UInt8] { withBytes { Array($0) } }

    func equals(_ other: some Sequence<UInt8>) -> Bool { withBytes { $0.elementsEqual(other) } }
    func starts(with other: some Sequence<UInt8>) -> Bool { withBytes { $0.starts(with: other) } }
}
