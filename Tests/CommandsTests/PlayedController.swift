// SPDX-License-Identifier: Apache-2.0
//
// A controller's side of the control socket, played from a script by a thread of its own: the client's half is
// tested against real sockets, frames and descriptors.

import Basics
import CLinux
import Glibc
import Kernel
import Testing

@testable import Commands
@testable import Controller

/// What the played controller does with one connection; it gets the request and how many blobs came with it.
typealias Scene = @Sendable (ControlRequest, ControlChannel, [SharedFD]) throws -> Void

private final class Play: Sendable {
    let listener: SharedFD
    let scenes: [Scene]
    init(_ listener: SharedFD, _ scenes: [Scene]) {
        self.listener = listener
        self.scenes = scenes
    }

    func run() throws {
        for scene in scenes {
            let raw = linux_accept4(listener.raw, 0o2000000)
            guard raw >= 0 else { return }
            let channel = ControlChannel(OwnedFD(taking: raw))
            guard let frame = try channel.next() else { continue }
            let head = try ControlChannel.decode(RequestHead.self, from: frame)
            for _ in 0..<head.blobs { _ = try channel.next() }
            try scene(head.request, channel, frame.descriptors)
        }
    }
}

/// Plays the scenes, one per connection, while the body runs.
func withController<Result>(of place: ProjectPlace, _ scenes: [Scene], _ body: () throws -> Result) throws
    -> Result
{
    try ensureDirectory(place.runDirectory)
    try ensureDirectory(place.directory)
    let play = Play(SharedFD(try listenUnix(place.controlSocket)), scenes)
    var thread = pthread_t()
    let context = Unmanaged.passRetained(play).toOpaque()
    let code = pthread_create(
        &thread, nil,
        { context in
            guard let context else { return nil }
            try? Unmanaged<Play>.fromOpaque(context).takeRetainedValue().run()
            return nil
        }, context)
    try #require(code == 0)
    defer {
        // Wakes an accept that nobody came for.
        shutdown(play.listener.raw, Int32(SHUT_RDWR))
        pthread_join(thread, nil)
    }
    return try body()
}

/// A command line run with its output in files.
struct Ran {
    var code: Int32
    var out: String
    var errors: String
}

func runCovey(
    _ words: [String], in directory: String, input: Int32 = 0, output: Int32? = nil,
    _ environment: [String: String] = [:]
) throws -> Ran {
    try writeFile("\(directory)/out", [])
    try writeFile("\(directory)/err", [])
    let out = try openFile("\(directory)/out", flags: 1)
    let errors = try openFile("\(directory)/err", flags: 1)
    let own = ["COVEY_ROOT": "\(directory)/root", "COVEY_RUN": "\(directory)/run"]
    let code = try run(
        Invocation(
            arguments: words, environment: own.merging(environment) { $1 }, directory: directory,
            input: input,
            output: output ?? out.raw, errors: errors.raw))
    return Ran(code: code, out: try readText("\(directory)/out"), errors: try readText("\(directory)/err"))
}

/// read(2), for tests that don't see the C library.
func readBytes(_ fd: Int32, _ buffer: inout [UInt8]) -> Int { read(fd, &buffer, buffer.count) }
