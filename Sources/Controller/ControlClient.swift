// SPDX-License-Identifier: Apache-2.0
//
// ControlClient: the client's side of one request. It finds the project's controller, or starts one.

public import Basics
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

/// One request to a project's controller.
public final class ControlClient {
    private let channel: ControlChannel

    /// Connects to the controller that runs; nil when none does.
    public static func connect(to place: ProjectPlace) throws(Failure) -> ControlClient? {
        do throws(SyscallError) {
            return ControlClient(ControlChannel(try connectUnix(place.controlSocket)))
        } catch {
            if error.errno == .noEntry || error.errno == .connectionRefused { return nil }
            throw Failure("cannot reach the controller of project \"\(place.project)\"", error)
        }
    }

    init(_ channel: ControlChannel) { self.channel = channel }

    /// The connection's descriptor, for poll(2) beside others.
    public var descriptor: Int32 { channel.fd.raw }

    public func send(_ request: ControlRequest, blobs: [[UInt8]] = [], descriptors: [Int32] = [])
        throws(Failure)
    {
        try channel.send(
            json: RequestHead(version: controlVersion, blobs: blobs.count, request: request),
            descriptors: descriptors)
        for blob in blobs { try channel.send(blob: blob) }
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

/// The first frame of a connection.
struct RequestHead: Codable {
    var version: Int
    /// How many blob frames follow.
    var blobs: Int
    var request: ControlRequest
}
