// SPDX-License-Identifier: Apache-2.0
//
// `create` and `run` (runtime.md, "Create"): what is asked, and what comes after the container is made. How it is made is
// ContainerMaker's.

public import Basics
internal import Kernel

/// What one container is made with.
public struct Creation: Sendable {
    public var id: String
    /// Absolute.
    public var bundle: String
    /// Instead of config.json; relative to the bundle.
    public var configuration: String?
    public var consoleSocket: String?
    public var pidFile: String?
    /// Nobody waits for its end.
    public var isDetached = true
    /// Now, as RFC 3339 writes it.
    public var time: String
    public init(id: String, bundle: String, time: String) {
        self.id = id
        self.time = time
        self.bundle = bundle
    }
}

/// Makes a container that waits for `start`.
public func createContainer(_ creation: Creation, _ settings: RuntimeSettings) throws(Failure) {
    let bundle = try Bundle(creation.bundle, configuration: creation.configuration)
    try checkConsole(bundle.config.process?.terminal == true, creation.consoleSocket, detached: true)
    var maker = try ContainerMaker(creation, bundle, settings)
    let console = try creation.consoleSocket.map { (path) throws(Failure) in try ConsoleSocket(path) }
    _ = try maker.make(waits: true) { (master) throws(Failure) in try console?.send(master) }
}

/// Makes and starts a container. In the foreground it waits for its end, deletes it and gives its exit code.
public func runContainer(
    _ creation: Creation, _ settings: RuntimeSettings, keep: Bool = false
) throws(Failure) -> Int32 {
    let detached = creation.isDetached
    let bundle = try Bundle(creation.bundle, configuration: creation.configuration)
    let terminal = bundle.config.process?.terminal == true
    try checkConsole(terminal, creation.consoleSocket, detached: detached)
    guard bundle.config.process != nil else {
        throw containerFailure(creation.id, "run", "its configuration has no process")
    }
    var maker = try ContainerMaker(creation, bundle, settings)
    let console = try creation.consoleSocket.map { (path) throws(Failure) in try ConsoleSocket(path) }
    var foreground = detached ? nil : try Foreground()
    let child = try maker.make(waits: false) { (master) throws(Failure) in
        if let console { try console.send(master) } else { foreground?.use(master) }
    }
    do throws(Failure) {
        try runHooks(
            bundle.config.hooks.poststart, "poststart", state: maker.record.hookState(.running))
    } catch {
        try? maker.undo(child)
        throw error
    }
    guard let foreground else {
        try maker.readiness?.wait(for: child.pid, child.pidfd)
        return 0
    }
    let code = try foreground.wait(for: child, maker.readiness)
    if !keep { try maker.removeEnded() }
    return code
}

func checkConsole(_ terminal: Bool, _ socket: String?, detached: Bool) throws(Failure) {
    if terminal, detached, socket == nil {
        throw Failure(
            "cannot make a terminal",
            cause: "cannot allocate tty if runc will detach without setting console socket",
            advice: "give --console-socket, or set process.terminal to false")
    }
    if !terminal || !detached, socket != nil {
        throw Failure(
            "cannot use the console socket",
            cause: "cannot use console socket if runc will not detach or allocate tty",
            advice: "leave --console-socket out, or set process.terminal to true")
    }
}

func opened(_ path: String, _ flags: Int32) throws(Failure) -> SharedFD {
    try naming("cannot open \(path)") { () throws(SyscallError) in
        SharedFD(try openFile(path, flags: flags))
    }
}

/// Whole, by rename: whoever waits for it never reads half of a number.
func writePidFile(_ path: String, _ pid: Int32) throws(Failure) {
    try naming("cannot write the pid file \(path)") { () throws(SyscallError) in
        try replaceFile(path, "\(pid)".utf8)
    }
}
