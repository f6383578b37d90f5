// SPDX-License-Identifier: Apache-2.0

public import Basics
internal import JSONFormat
internal import Kernel

/// Reads a record; nil when the file is missing.
/// - advice: what to do about a file that is no such record.
/// - Throws: a file that is no such record: the failure names it and the repair. It is never skipped.
public func readRecord<Record: Decodable>(
    _ type: Record.Type, _ path: String,
    advice: String = "move it away and run the command again; what it stood for is then made anew"
) throws(Failure) -> Record? {
    let bytes: [UInt8]
    do throws(SyscallError) {
        bytes = try readFile(path)
    } catch {
        if error.errno == .noEntry { return nil }
        throw Failure("cannot read \(path)", error)
    }
    do {
        return try decodeJSON(type, from: bytes)
    } catch {
        throw Failure(
            "cannot read \(path)",
            cause: bytes.isEmpty ? "the file is empty" : "the file is not the record that belongs there",
            advice: advice)
    }
}

/// Replaces a record whole: whoever reads sees the old one or the new one.
/// - durable: survives a power cut when this returns (fsync of file and directory).
public func writeRecord(_ record: some Encodable, _ path: String, mode: UInt32 = 0o600, durable: Bool = false)
    throws(Failure)
{
    let bytes: [UInt8]
    do {
        bytes = try encodeJSON(record) + [UInt8(ascii: "\n")]
    } catch {
        throw Failure("cannot write \(path)", cause: "\(error)")
    }
    do throws(SyscallError) {
        try replaceFile(path, bytes, mode: mode, durable: durable)
    } catch {
        throw Failure("cannot write \(path)", error)
    }
}
