// SPDX-License-Identifier: Apache-2.0
//
// ControlClient: the client's side of one request. It finds the project's controller, or starts one.

public import Basics
internal import CLinux
internal import JSONFormat
public import Kernel

/// Where one project's state is.
public struct ProjectPlace: Sendable {
    public let project: String
    /// COVEY_ROOT, absolute.
    public let root: String
    /// COVEY_RUN, absolute.
    public let run: String

    public init(project: String, root: String, run: String) {
        self.project = project
        self.root = root
        self.run = run
    }

    public var directory: String { "\(root)/projects/\(project)" }
    public var runDirectory: String { "\(run)/\(project)" }
    public var controlSocket: String { "\(runDirectory)/control.sock" }
}

/// How long a controller may take for its first word: it answers at once or says that another command is at work.
private let longestSilence = Duration.seconds(10)

/// One request to a project's controller.
public final class ControlClient {
    private var channel: ControlChannel
    private let place: ProjectPlace
    private var lastRequest: (request: ControlRequest, blobs: [[UInt8]])?

    /// Finds or starts the controller again when this one left before it said a word; nil when there is nothing to
    /// control any more.
    public var reopen: (() throws(Failure) -> ControlClient?)?
    /// `reopen` found nothing: the project was taken down meanwhile.
    public private(set) var isGone = false

    /// Connects to the controller that runs; nil when none does.
    public static func connect(to place: ProjectPlace) throws(Failure) -> ControlClient? {
        do throws(SyscallError) {
            return ControlClient(ControlChannel(try connectUnix(place.controlSocket)), place)
        } catch {
            if error.errno == .noEntry || error.errno == .connectionRefused { return nil }
            throw Failure("cannot reach the controller of project \"\(place.project)\"", error)
        }
    }

    init(_ channel: ControlChannel, _ place: ProjectPlace) {
        self.channel = channel
        self.place = place
        var limit = timeval(tv_sec: Int(longestSilence.nanoseconds / 1_000_000_000), tv_usec: 0)
        _ = setsockopt(
            channel.fd.raw, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    /// The connection's descriptor, for poll(2) beside others.
    public var descriptor: Int32 { channel.fd.raw }

    /// Something was read that `next` or `nextBuffered` did not give yet.
    public var hasBuffered: Bool { channel.hasBuffered }

    /// Sends a request and waits for the first word of the answer, which stays to be read.
    /// - Throws: when nobody answers for ten seconds.
    public func send(_ request: ControlRequest, blobs: [[UInt8]] = [], descriptors: [Int32] = [])
        throws(Failure)
    {
        // What is run twice is not what was asked for.
        if request.runsSomething { lastRequest = nil } else { lastRequest = (request, blobs) }
        let deadline = monotonicNanoseconds() + longestSilence.nanoseconds
        while true {
            if try isAnswered(request, blobs, descriptors, deadline) { return }
            // It left or died before it said a word: nothing was begun.
            guard lastRequest != nil, let reopen, monotonicNanoseconds() < deadline else { return }
            pauseBetweenLooks(.milliseconds(20))
            guard let other = try reopen() else {
                isGone = true
                return
            }
            channel = other.channel
        }
    }

    /// Asks again after the controller hung up on a request it had not begun; false when that can't be.
    public func sendAgain() throws(Failure) -> Bool {
        guard let lastRequest, let reopen else { return false }
        guard let other = try reopen() else {
            isGone = true
            return false
        }
        channel = other.channel
        try send(lastRequest.request, blobs: lastRequest.blobs)
        return !isGone
    }

    private func isAnswered(
        _ request: ControlRequest, _ blobs: [[UInt8]], _ descriptors: [Int32], _ deadline: Int64
    ) throws(Failure) -> Bool {
        do throws(Failure) {
            try channel.send(
                json: RequestHead(version: controlVersion, blobs: blobs.count, request: request),
                descriptors: descriptors)
            for blob in blobs { try channel.send(blob: blob) }
            if case .up = request { _ = rehearsal }
        } catch {
            // It may have said why before it hung up.
        }
        do throws(SyscallError) {
            let left = Duration.nanoseconds(max(0, deadline - monotonicNanoseconds()))
            if try waitReadable([channel.fd.raw], atMost: left)[0] { return try channel.fill() }
        } catch {
            if error.errno == .connectionReset || error.errno == .brokenPipe { return false }
            throw Failure("cannot read from the control socket", error)
        }
        let found = silence(of: place)
        throw Failure(
            "the controller of project \"\(place.project)\" does not answer",
            cause: found.cause ?? "not a word in \(longestSilence.composeText)",
            advice: found.advice ?? "see \(place.runDirectory)/engine.log")
    }

    /// The next event, waiting for it, with the descriptors beside it; nil when the controller hung up.
    public func next() throws(Failure) -> (event: ControlEvent, descriptors: [SharedFD])? {
        guard let frame = try channel.next() else { return nil }
        return (try ControlChannel.decode(ControlEvent.self, from: frame), frame.descriptors)
    }

    /// The next event of those that were read already; nil when more must be read first.
    public func nextBuffered() throws(Failure) -> (event: ControlEvent, descriptors: [SharedFD])? {
        guard let frame = try channel.nextBuffered() else { return nil }
        return (try ControlChannel.decode(ControlEvent.self, from: frame), frame.descriptors)
    }

    /// Ends the connection at once, whoever holds this client.
    public func hangUp() { shutdown(channel.fd.raw, Int32(SHUT_RDWR)) }

    /// Reads what is there, once; for a `descriptor` poll(2) found readable. False when the controller hung up.
    public func fill() throws(Failure) -> Bool {
        do throws(SyscallError) {
            return try channel.fill()
        } catch {
            if error.errno == .connectionReset { return false }
            throw Failure("cannot read from the control socket", error)
        }
    }
}

/// Decodes what an `up` is told, once. The first time takes a millisecond: the client has it while the controller reads the
/// request, and has not when it is told, as both of two processors may be making a container then.
let rehearsal: [ControlEvent]? = try? decodeJSON(
    [ControlEvent].self,
    from: Array(
        #"""
        [{"planned":{"_0":[{"kind":"","name":"","doing":"","done":"","reason":""}]}},
        {"operation":{"index":0,"_1":{"started":{}}}},{"done":{"changed":true}}]
        """#.utf8))

/// The first frame of a connection.
struct RequestHead: Codable {
    var version: Int
    /// How many blob frames follow.
    var blobs: Int
    var request: ControlRequest
}
