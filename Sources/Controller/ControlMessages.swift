// SPDX-License-Identifier: Apache-2.0
//
// The words of the control socket: what a client asks of a project's controller, and what it hears back.
//
// One connection carries one request. The client sends a request frame, after it the blobs the request speaks of,
// descriptors beside the first byte. The controller answers with events; `done` or `failed` is the last one.
// Both sides are the same binary most of the time, yet not always: `controlVersion` is checked first.

public import Basics
public import ContainerModel

/// Raised when a message changes its meaning; a controller of another version is asked to leave first.
public let controlVersion = 1

/// What a client asks.
public enum ControlRequest: Codable, Sendable {
    /// Make what runs match. First blob: the DesiredState's JSON; further blobs: contents of configs and secrets.
    case up(UpOptions)
    /// What `up` with the same blobs and options would do; changes nothing.
    case plan(UpOptions)
    /// What a request without blobs would do to the project; changes nothing. Answered as `plan` is.
    indirect case rehearse(ControlRequest)
    /// Stop and remove everything; the controller leaves afterwards.
    case down(DownOptions)
    case start(services: [String], wait: ReadyWait?)
    /// After a reboot: start what the restart policies want to run.
    case resume
    case stop(services: [String], timeout: Duration?)
    /// - Parameter noDependencies: not also those that `depends_on` says restart with them.
    case restart(services: [String], timeout: Duration?, noDependencies: Bool?)
    case kill(services: [String], signal: String)
    /// One `status` event, then `done`.
    case status
    /// `status` at once and after every change until the client hangs up.
    case watch
    /// Descriptors: stdin, stdout, stderr, unless a terminal is asked for.
    case exec(ExecOptions)
    /// The launch program of a service's first container, as text in a `text` event.
    case launchProgram(service: String)
    /// `event` for each that is wanted, until the client hangs up or, without `follow`, `done`.
    case events(EventOptions)
    /// A container of its own for one command. Blobs as for `up`. Descriptors: stdin, stdout, stderr, unless it is
    /// detached or has a terminal.
    case run(RunOptions)
    /// Follows a one-off container to its end: `execStarted`, with its terminal where it has one and that is not left to
    /// the log, and `exited`.
    case follow(container: String, leavesTerminal: Bool? = nil)
    /// One signal to one container by name.
    case signal(container: String, signal: String)
    case pause(services: [String])
    /// Freezes one container for as long as this connection stays; a `status` event says that it stands still.
    case hold(container: String)
    case unpause(services: [String])
    /// Removes containers that do not run; with `stop` the others too.
    case remove(services: [String], stop: Bool)
    /// The way to a container's input as a descriptor: its terminal's master, or its standard input's writing end.
    case input(service: String, index: Int)
}

public struct UpOptions: Codable, Sendable {
    /// Only these and what they depend on; empty means all.
    public var services: [String] = []
    public var forceRecreate = false
    public var removeOrphans = false
    /// Don't tell of orphans that stay; nil is no.
    public var ignoresOrphans: Bool?
    /// Containers that are recreated begin with new anonymous volumes.
    public var renewsVolumes = false
    public var wait: ReadyWait?
    /// Leave the dependencies of the named services alone.
    public var noDependencies = false
    /// Create and recreate, start nothing.
    public var noStart = false
    /// Leave containers as they are although their services changed.
    public var noRecreate = false
    /// Recreate what the named services depend on too.
    public var recreateDependencies = false
    /// How long containers that go may take to stop; nil is each one's own grace period.
    public var timeout: Duration?
    /// Start again also what ended well; nil is no.
    public var rerunsCompleted: Bool?
    public init() {}
}

/// Answer only when what was started runs and is healthy, or has completed well.
public struct ReadyWait: Codable, Sendable {
    public var timeout: Duration?
    public init(timeout: Duration? = nil) { self.timeout = timeout }
}

public struct DownOptions: Codable, Sendable {
    /// Remove named volumes too; external ones never.
    public var volumes = false
    public var timeout: Duration?
    /// With all that depend on them; nil is the whole project.
    public var services: [String]?
    /// What the client's files say is external, beside what was when the project was brought up; nil is nothing.
    public var external: ExternalNames?
    /// Real names of the volumes that the client's files declare: with `volumes` no others go. nil: it goes by no file.
    public var declaredVolumes: [String]?
    public init() {}
}

public struct ExecOptions: Codable, Sendable {
    public var service: String
    /// Which replica, from 1.
    public var index = 1
    public var arguments: [String]
    /// `NAME=value`, over the container's own.
    public var environment: [String] = []
    public var user: String?
    public var workingDirectory: String?
    /// With every capability and without a filter.
    public var privileged = false
    public var terminal = false
    /// Of the terminal, from its first moment on.
    public var rows = 24
    public var columns = 80
    public init(service: String, arguments: [String]) {
        self.service = service
        self.arguments = arguments
    }
}

/// What the controller says.
public enum ControlEvent: Codable, Sendable {
    /// Another command is at work; this one follows.
    case queued
    /// The operations to come, in order; `operation` events refer to them by index.
    case planned([PlannedOperation])
    case operation(index: Int, OperationState)
    /// Something the user should know that is no failure.
    case notice(String)
    case status([ContainerStatus])
    /// Something that happened, to who asked for events.
    case event(ProjectEvent)
    /// A text asked for: a plan, a launch program.
    case text(String)
    /// The answer to `plan`: for people, for machines, and how many operations it has.
    case plan(text: String, json: String, operations: Int)
    /// The exec'ed process runs; with a terminal its master comes along as a descriptor.
    case execStarted
    /// The exec'ed process ended with this code (128 + signal when a signal ended it).
    case exited(code: Int)
    /// Last event of a request that failed.
    case failed(Failure)
    /// Last event of a request that went well; `changed` is false when there was nothing to do.
    case done(changed: Bool)
    /// Last event of an `up` that had nothing to do: how many of the services asked for run, and how many have done their work.
    case unchanged(running: Int, completed: Int)
}

public struct PlannedOperation: Codable, Sendable {
    /// `Container`, `Network`, `Volume`, `Service`.
    public var kind: String
    /// The resource's name.
    public var name: String
    /// What is done, as a participle for the display: `Creating`/`Created`.
    public var doing: String
    public var done: String
    public var reason: String
    public init(kind: String, name: String, doing: String, done: String, reason: String) {
        self.kind = kind
        self.name = name
        self.doing = doing
        self.done = done
        self.reason = reason
    }
}

public enum OperationState: Codable, Sendable {
    case started
    case finished
    case failed
}

/// One container as `ps` shows it.
public struct ContainerStatus: Codable, Sendable {
    public enum State: String, Codable, Sendable, CaseIterable {
        case created, starting, running, paused, restarting, stopping, exited, dead
    }
    public enum Health: String, Codable, Sendable {
        case starting, healthy, unhealthy
    }
    public var name: String
    public var service: String
    public var index: Int
    public var image: String
    public var command: [String]
    public var state: State
    /// nil when there is no check, or the container doesn't run.
    public var health: Health?
    /// nil while running; 128 + signal when a signal ended it.
    public var exitCode: Int?
    /// False when the code was lost with the keeper before Linux 6.15; counted as a failure.
    public var exitCodeKnown = true
    public var oomKilled = false
    public var pid: Int?
    public var restarts = 0
    /// Nanoseconds since 1970.
    public var createdAt: Int64 = 0
    public var startedAt: Int64?
    public var finishedAt: Int64?
    public var ports: [PublishedPortStatus] = []
    /// Network's real name → address.
    public var addresses: [String: String] = [:]
    /// Where its log segments are.
    public var logDirectory: String
    /// Output of the last health probe, when it failed.
    public var healthOutput: String?
    /// Made by `run`, beside the service's own containers.
    public var oneOff = false

    public init(
        name: String, service: String, index: Int, image: String, command: [String], state: State,
        logDirectory: String
    ) {
        self.name = name
        self.service = service
        self.index = index
        self.image = image
        self.command = command
        self.state = state
        self.logDirectory = logDirectory
    }
}

public struct PublishedPortStatus: Codable, Sendable, Hashable {
    /// `0.0.0.0` for every address.
    public var hostAddress: String
    public var hostPort: UInt16
    public var containerPort: UInt16
    public var proto: PortRequest.Proto
    public init(hostAddress: String, hostPort: UInt16, containerPort: UInt16, proto: PortRequest.Proto) {
        self.hostAddress = hostAddress
        self.hostPort = hostPort
        self.containerPort = containerPort
        self.proto = proto
    }
}
