// SPDX-License-Identifier: Apache-2.0
//
// ProjectController: the state of the one project and the loop that everything hangs on. What is done with it stands in
// the files beside: adoption after a controller died, requests, runs of plans, launching, ending.

internal import Basics
internal import Cgroups
internal import CLinux
internal import ContainerModel
internal import ContainerRuntime
internal import Kernel
internal import LaunchPlanning
internal import Networking
internal import Planning
internal import Records
internal import Volumes

final class ProjectController {
    let place: ProjectPlace
    let loop: EventLoop
    /// Another after the first was lost.
    var keeper: KeeperChannel
    var keeperProcess: SharedFD?
    var keeperPID = getppid()
    let listener: SharedFD
    let host: HostFacts
    let bootID: String
    let generation: Int
    var cgroup: ProjectCgroup
    var filters = SeccompFilters()
    var networking: ProjectNetworking?
    let names: NameService

    /// The last desired state that was accepted, and its bytes as the client sent them.
    var desired: DesiredState?
    var desiredBytes: [UInt8] = []
    var contents: KeptContents
    var containers: [String: Container] = [:]

    /// Children of the keeper by id.
    var launching: [UInt32: Container] = [:]
    var sessions: [UInt32: ExecSession] = [:]
    /// Second processes of execs, by pid, in whatever order the news come.
    var sessionsByPID: [Int32: ExecSession] = [:]
    var strayExits: [Int32: ProcessEnd] = [:]
    var nextChild: UInt32 = 1

    /// One-off containers that are being brought up, by their own service's name.
    var oneOffs: [String: OneOffStart] = [:]
    /// How one-off containers ended that may be removed already, for clients that lost the controller before.
    var endedOneOffs: [String: Int] = [:]

    /// Containers whose `pre_start` is at work or waits for its turn, by service.
    var preStartTurns: [String: [() -> Void]] = [:]

    var run: PlanRun?
    /// Stops that do not concern the run.
    var stopsBeside: [PlanRun] = []
    var waitingRequests: [PendingRequest] = []
    var connections: [Int32: ClientConnection] = [:]
    /// No descriptor was free for the last one.
    var clientsWait = false
    var watchers: Set<Int32> = []
    /// Who follows events, by descriptor.
    var eventFollowers: [Int32: EventOptions] = [:]
    let eventLog: EventLog
    var keeperTimer: EventLoop.Timer?
    var keeperIsSilent = false
    let drift: DriftWatch
    var repairs = RepairHistory()
    var driftTimer: EventLoop.Timer?
    /// How often listening was put off for a command at work.
    var driftDelays = 0
    var eventLogFailed: Int64 = 0
    var leaving = false
    /// The whole project goes: links are removed together, once.
    var takingDown = false
    var runOwner: ClientConnection?
    var restTimer: EventLoop.Timer?
    /// Records that were replaced and are not yet durable.
    var unsynced: [String] = []
    /// Containers that are not as their records say, and what of them lies aside (SetAside.swift).
    var disorders: [Disorder] = []
    /// `up --wait`: whether all is ready, and what to do when it is, or never will be.
    var readiness: (() -> Verdict)?
    var readyEnd: ((Failure?) -> Void)?
    var settleTimer: EventLoop.Timer?
    /// Ports that were given back; the keeper's copies of their sockets are closed when it comes to it.
    var portsGivenBack: Set<UInt16> = []
    let relayRoom = RelayRoom()
    let volumes: VolumeStore
    /// Volumes that were offered an image's content by the last plan's run, by volume, image and path: for all replicas once.
    /// By the next run they may have been emptied.
    var filledVolumes: Set<String> = []
    /// Those that are being mounted or filled, by name (VolumeWaits.swift).
    var volumeWorks: [String: VolumeWork] = [:]
    /// Anonymous volumes may lie aside, between two containers (CarriedVolumes.swift).
    var mayHaveCarried = false

    init(place: ProjectPlace, keeper: KeeperChannel, listener: SharedFD, generation: Int) throws(Failure) {
        self.place = place
        self.keeper = keeper
        self.listener = listener
        self.generation = generation
        volumes = VolumeStore(root: place.root)
        contents = KeptContents(directory: place.directory + "/contents")
        eventLog = EventLog(runDirectory: place.runDirectory)
        let doing = "cannot start the controller of project \"\(place.project)\""
        do throws(SyscallError) {
            loop = try EventLoop()
        } catch {
            throw Failure(doing, error)
        }
        host = HostFacts.probe()
        names = NameService(loop: loop)
        drift = DriftWatch(loop: loop)
        bootID = try currentBootID()
        if generation == 0, let cgroupsAtBirth {
            cgroup = try ProjectCgroup(host: cgroupsAtBirth, project: place.project)
        } else {
            cgroup = try ProjectCgroup(host: try CgroupHost.detect(), project: place.project)
        }
        try cgroup.ensure()
    }

    /// Serves until the project is down.
    func serve() throws(Failure) {
        try takeOver()
        tellPredecessor()
        expectKeeper()
        // Only missing when the client that started us died; nobody's `up` waits for that.
        loop.after(.milliseconds(100)) { [unowned self] in recordKeeper(place, keeperPID) }
        do throws(SyscallError) {
            try watchKeeper(keeperPID)
            try setNonBlocking(listener.raw)
            try watchListener()
            try loop.run()
        } catch {
            throw Failure("the event loop failed", error)
        }
    }

    /// By itself, so that descriptors nobody takes over are closed when it is through: they would hold ports that were
    /// given back.
    @inline(never)
    private func takeOver() throws(Failure) {
        try adopt(try replay())
    }

    private func replay() throws(Failure) -> Replay {
        do throws(SyscallError) {
            return try Replay(keeper)
        } catch {
            throw Failure("cannot take over from the controller before", error)
        }
    }

    func directories(of name: String) -> ContainerDirectories {
        ContainerDirectories(
            state: "\(place.directory)/containers/\(name)", run: "\(place.runDirectory)/containers/\(name)")
    }

    /// Opened when the first network or container needs it.
    func ensureNetworking() throws(Failure) -> ProjectNetworking {
        if let networking { return networking }
        let opened = try ProjectNetworking(project: place.project, root: place.root)
        networking = opened
        return opened
    }

    // MARK: Contents

    func saveContents(_ blobs: [[UInt8]]) throws(Failure) {
        unsynced += try contents.keep(blobs)
    }

    func forgetContents() {
        var named: Set<Digest> = []
        for service in Array((desired?.services ?? [:]).values) + containers.values.map(\.service) {
            let requests = [service.container] + (service.hooks?.preStart ?? []).map(\.container)
            for request in requests { named.formUnion(request.files.map(\.content)) }
        }
        contents.forget(allBut: named)
    }

    // MARK: Observation

    /// - Parameter oneOffs: with the containers of `run`, each as a service of its own; only their removal asks for them.
    func observe(oneOffs: Bool = false) -> Observation {
        var observation = Observation(project: place.project)
        let observed = containers.values.filter { oneOffs || $0.oneOff == nil }
        observation.containers = observed.map(\.observed).sorted { $0.name < $1.name }
        for container in observed {
            observation.requests[container.reference.service] = container.service
        }
        for (name, service) in desired?.services ?? [:] where observation.requests[name] == nil {
            observation.requests[name] = service
        }
        if let networking {
            for name in networking.networks.keys {
                let owner = networking.owner(of: name) ?? place.project
                observation.networks[name] = ObservedNetwork(
                    name: name, project: owner, request: desired?.networks[name],
                    foreignContainers: (oneOffs ? [] : liveOneOffs(on: name))
                        + (owner == place.project ? networking.guests(on: name) : []))
            }
        }
        return observation
    }
}

/// O_NONBLOCK on a descriptor that several hold.
func setNonBlocking(_ fd: Int32) throws(SyscallError) {
    let flags = try retrying("fcntl") { linux_fcntl_int(fd, F_GETFL, 0) }
    try retrying("fcntl") { linux_fcntl_int(fd, F_SETFL, flags | O_NONBLOCK) }
}
