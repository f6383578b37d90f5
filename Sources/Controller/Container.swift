// SPDX-License-Identifier: Apache-2.0
//
// Container: one container of the project as the controller holds it, from its creation to its removal.
//
//   created ──start──▶ launching ──exec'ed──▶ running ──exit──▶ exited ──policy's timer──▶ launching
//                          └──failed──▶ exited

internal import Basics
internal import ContainerModel
internal import ContainerRuntime
internal import Kernel
internal import LaunchPlanning
internal import Planning
internal import Records

final class Container {
    enum Phase {
        case created
        case launching
        case running
        case exited
    }

    let reference: ContainerReference
    var service: ServiceRequest
    let createdAt: Int64
    let directories: ContainerDirectories
    /// Set when `run` made it.
    let oneOff: OneOff?
    var phase = Phase.created
    /// Kept beside the phase and written with it.
    var status: ContainerStatusRecord

    /// Why it is not to run after a reboot; nil when its policy alone decides.
    var rest: Rest?

    // Of the running process.
    var childID: UInt32 = 0
    var pid: Int32?
    var pidfd: SharedFD?
    /// Its keeper was lost: its exit is heard of through its pidfd, and descriptors of it are held by name.
    var isOrphan = false
    /// Its program runs, and the keeper has yet to say which process it is.
    var wasExecutedEarly = false
    /// Volumes to be filled before its first start (VolumeFills.swift).
    var unfilled: Set<String> = []
    /// Its launch waits for this volume to be mounted (VolumeWaits.swift).
    var awaitedVolume: VolumeWork?
    /// Its launch waits for who receives its output to answer (Streams.swift).
    var awaitsReceiver = false
    /// It is being launched, and no process is being made yet.
    var isBeforeProcess: Bool { awaitedVolume != nil || awaitsReceiver }
    /// What it exits with by the error that kept its program from being run (CommandCodes.swift).
    var codeOfFailedStart: Int32?
    var sync: SharedFD?
    var program: LaunchProgram?
    var pumps: [LogPump] = []
    /// Sends its output elsewhere as well, while it runs.
    var forwarder: LogForwarder?
    var terminal: SharedFD?
    var standardInput: SharedFD?
    /// A client's own 0, 1 and 2, given to the program instead of streams to the log; until it is launched.
    var givenStreams: [SharedFD] = []
    /// A client reads and writes the terminal: what it shows is not ours to log.
    var isTerminalTaken = false
    /// The terminal's size from its first moment on.
    var window: WindowSize?
    var nameSockets: [SharedFD] = []
    /// Bound to the published ports, so that nobody else takes them.
    var reservations: [SharedFD] = []
    /// Of ports published over IPv6: held as the others, and served by relays while it runs.
    var listeners: [(port: PublishedPortStatus, socket: SharedFD)] = []
    var relays: [PortRelay] = []
    /// Told once when the launch has come to its end: nil when the program runs.
    var onStarted: ((Failure?) -> Void)?
    /// Nobody asked for this start but the restart policy.
    var startedByPolicy = false
    /// The plan whose operation started it.
    weak var startingRun: PlanRun?
    /// Told when the process has ended and all is written down.
    var onExited: [() -> Void] = []
    var killTimer: EventLoop.Timer?
    /// When that timer fires, on the monotonic clock.
    var killsAt: Int64 = 0
    /// How often a plan has stopped it.
    var stopsAsked = 0
    /// `pre_stop` is at work; its stop signal follows.
    var isPreparingStop = false
    /// A controller before this one was stopping it: it runs only until that has come to its end.
    var stopWasCutOff = false

    /// Clients it stands still for, by their descriptors (`Pausing.swift`).
    var holders: Set<Int32> = []

    /// Frozen because somebody asked us for it.
    var isPaused: Bool { status.paused || !holders.isEmpty }

    // Supervision.
    var health: HealthMonitor?
    var restartTimer: EventLoop.Timer?
    /// Failures in a row, for the policy's bound and the growing delay.
    var restartStreak: Int {
        get { status.restartStreak ?? 0 }
        set { status.restartStreak = newValue }
    }
    /// On the monotonic clock.
    var runningSince: Int64?
    /// Since its last start; nil when that has not come to its program.
    var lived: Duration? { runningSince.map { .nanoseconds(monotonicNanoseconds() - $0) } }
    /// What the kernel's out-of-memory counter said at the start.
    var memoryKillsBefore = 0
    /// Of that counter, told as events.
    var memoryKillsTold = 0

    init(
        reference: ContainerReference, service: ServiceRequest, createdAt: Int64,
        directories: ContainerDirectories, bootID: String, oneOff: OneOff? = nil
    ) {
        self.reference = reference
        self.oneOff = oneOff
        self.service = service
        self.createdAt = createdAt
        self.directories = directories
        status = ContainerStatusRecord(bootID: bootID)
    }

    var name: String { reference.name }
    var request: ContainerRequest { service.container }

    /// What it is in while it has no process.
    var phaseWithoutProcess: Phase { status.startedAt == nil ? .created : .exited }

    /// A process of it exists or is being made.
    var isLive: Bool { phase == .launching || phase == .running }

    func saveStatus() throws(Failure) { try writeStatus(status, at: directories) }

    var observed: ObservedContainer {
        let state: ContainerState =
            switch phase {
            case .created: .created
            case .launching, .running: .running
            case .exited where restartTimer != nil: .restarting
            case .exited:
                .exited(
                    code: status.endKnown ? Int32(clamping: status.end?.code ?? 0) : nil,
                    onRequest: status.endIsWanted)
            }
        return ObservedContainer(
            name: name, service: reference.service, index: reference.index, configHash: service.configHash,
            image: request.image.id, state: state, health: observedHealth,
            networks: request.networks.map(\.network), isPaused: phase == .running && status.paused)
    }

    private var observedHealth: Planning.Health {
        guard phase == .running, let health else { return service.healthcheck == nil ? .none : .starting }
        return switch health.state {
        case .starting: .starting
        case .healthy: .healthy
        case .unhealthy: .unhealthy
        }
    }

    var shown: ContainerStatus {
        let state: ContainerStatus.State =
            switch phase {
            case .created: .created
            case .launching: .starting
            case .running: status.isStopping ? .stopping : isPaused ? .paused : .running
            case .exited: restartTimer != nil ? .restarting : .exited
            }
        var shown = ContainerStatus(
            name: name, service: oneOff?.service ?? reference.service, index: reference.index,
            image: request.image.reference,
            command: request.arguments, state: state, logDirectory: directories.log)
        shown.health = phase == .running ? health.map { $0.state } : nil
        shown.exitCode = phase == .exited ? status.end?.code : nil
        shown.exitCodeKnown = status.endKnown
        shown.oomKilled = status.oomKilled
        shown.pid = isLive ? pid.map(Int.init) : nil
        shown.restarts = status.restarts
        shown.createdAt = createdAt
        shown.startedAt = status.startedAt
        shown.finishedAt = phase == .exited ? status.finishedAt : nil
        shown.ports = isLive ? status.ports : []
        shown.addresses = isLive ? status.addresses : [:]
        shown.oneOff = oneOff != nil
        shown.healthOutput = health?.state == .unhealthy ? health?.lastOutput : nil
        return shown
    }
}

/// Written at each start and end.
private func writeStatus(_ status: ContainerStatusRecord, at directories: ContainerDirectories)
    throws(Failure)
{
    try writeRecord(status, directories.run + "/status.json")
}
