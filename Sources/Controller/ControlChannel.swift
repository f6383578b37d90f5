// SPDX-License-Identifier: Apache-2.0
//
// ControlChannel: frames on the control socket. A frame is an 8-byte head, little-endian length and tag, and its
// payload. Tag 1 is JSON, tag 2 a blob. Descriptors ride on a frame's first byte; how many stands above the tag, since
// one read may bring several frames and the descriptors of the last (unix(7), SCM_RIGHTS).

public import Basics
internal import JSONFormat
public import Kernel

/// One frame as it was received.
public struct Frame {
    public enum Tag: UInt32 { case json = 1, blob = 2 }
    public var tag: Tag
    public var payload: [UInt8]
    public var descriptors: [SharedFD]

    /// A JSON frame as it is sent, with so many descriptors beside it.
    static func bytes(json value: some Encodable, descriptors: Int = 0) throws(Failure) -> [UInt8] {
        do {
            return bytes(.json, try encodeJSON(value), descriptors: descriptors)
        } catch {
            throw Failure("cannot write a control message", cause: "\(error)")
        }
    }

    static func bytes(_ tag: Tag, _ payload: [UInt8], descriptors: Int = 0) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(payload.count + 8)
        for value in [UInt32(payload.count), tag.rawValue | UInt32(descriptors) << 8] {
            for shift in [0, 8, 16, 24] { bytes.append(UInt8(truncatingIfNeeded: value >> UInt32(shift))) }
        }
        return bytes + payload
    }
}

/// A connection that speaks frames; blocking on the client's side, fed by an event loop on the controller's.
public final class ControlChannel {
    public let fd: SharedFD
    private var buffer: [UInt8] = []
    private var consumed = 0
    private var descriptors: [SharedFD] = []

    /// Longer frames are refused: a project's whole description is far below it.
    static let longestFrame = 64 << 20

    public init(_ fd: consuming OwnedFD) { self.fd = SharedFD(fd) }

    public func send(json value: some Encodable, descriptors: [Int32] = []) throws(Failure) {
        try send(
            frames: try Frame.bytes(json: value, descriptors: descriptors.count), descriptors: descriptors)
    }

    public func send(blob: [UInt8]) throws(Failure) { try send(frames: Frame.bytes(.blob, blob)) }

    /// Sends whole frames as they are.
    func send(frames bytes: [UInt8], descriptors: [Int32] = []) throws(Failure) {
        do throws(SyscallError) {
            try sendMessage(fd.raw, bytes, descriptors: descriptors)
        } catch {
            throw Failure("cannot reach the other side of the control socket", error)
        }
    }

    /// Reads what is there, once; false at the end of the stream.
    public func fill() throws(SyscallError) -> Bool {
        if consumed > 0 {
            buffer.removeSubrange(..<consumed)
            consumed = 0
        }
        let message = try receiveMessage(fd.raw, capacity: 256 << 10)
        buffer += message.bytes
        descriptors += message.descriptors
        return !message.bytes.isEmpty
    }

    /// A whole frame was read that was not taken yet; poll(2) knows nothing of it.
    public var hasBuffered: Bool {
        guard buffer.count - consumed >= 8 else { return false }
        let length = (0..<4).reduce(0) { $0 | Int(buffer[consumed + $1]) << (8 * $1) }
        return buffer.count - consumed >= 8 + length
    }

    /// The next whole frame that was read already; nil when more must come first.
    public func nextBuffered() throws(Failure) -> Frame? {
        guard buffer.count - consumed >= 8 else { return nil }
        func word(_ at: Int) -> UInt32 {
            (0..<4).reduce(0) { $0 | UInt32(buffer[consumed + at + $1]) << UInt32(8 * $1) }
        }
        let length = Int(word(0))
        let carried = Int(word(4) >> 8)
        guard length <= Self.longestFrame, let tag = Frame.Tag(rawValue: word(4) & 0xff) else {
            throw Failure(
                "cannot understand a control message", cause: "\(length) bytes with tag \(word(4))",
                advice: "run the same version of covey on both sides")
        }
        guard buffer.count - consumed >= 8 + length else { return nil }
        let payload = Array(buffer[(consumed + 8)..<(consumed + 8 + length)])
        consumed += 8 + length
        let own = Array(descriptors.prefix(carried))
        descriptors.removeFirst(own.count)
        return Frame(tag: tag, payload: payload, descriptors: own)
    }

    /// The next frame, waiting for it; nil at the end of the stream.
    public func next() throws(Failure) -> Frame? {
        while true {
            if let frame = try nextBuffered() { return frame }
            do throws(SyscallError) {
                if try !fill() { return nil }
            } catch {
                if error.errno == .connectionReset { return nil }
                throw Failure("cannot read from the control socket", error)
            }
        }
    }

    /// Decodes a JSON frame.
    public static func decode<Value: Decodable>(_ type: Value.Type, from frame: Frame) throws(Failure)
        -> Value
    {
        do {
            return try decodeJSON(type, from: frame.payload)
        } catch {
            throw Failure(
                "cannot understand a control message", cause: "\(error)",
                advice: "the project was started by another version of covey; run `covey down` with that one")
        }
    }
}
