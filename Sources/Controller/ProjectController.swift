// SPDX-License-Identifier: Apache-2.0
//
// ProjectController: the state of the one project, how it is found again after a controller died, and the loop that
// everything hangs on. What is done with it stands in the files beside: requests, runs of plans, launching, ending.

internal import Basics
internal import Cgroups
internal import CLinux
internal import ContainerModel
internal import ContainerRuntime
internal import FoundationEssentials
internal import Kernel
internal import LaunchPlanning
internal import Networking
internal import Planning
internal import Records
internal import Volumes

final class ProjectController {
    let place: ProjectPlace
    let loop: EventLoop
    let keeper: KeeperChannel
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
    /// Contents of configs and secrets by digest.
    var contents: [Digest: [UInt8]] = [:]
    var containers: [String: Container] = [:]

    /// Children of the keeper by id.
    var launching: [UInt32: Container] = [:]
    var sessions: [UInt32: ExecSession] = [:]
    /// Second processes of execs, by pid, in whatever order the news come.
    var sessionsByPID: [Int32: ExecSession] = [:]
    var strayExits: [Int32: ProcessEnd] = [:]
    var nextChild: UInt32 = 1

    var run: PlanRun?
    var waitingRequests: [PendingRequest] = []
    var connections: [Int32: ClientConnection] = [:]
    var watchers: Set<Int32> = []
    var leaving = false
    /// The whole project goes: links are removed together, once.
    var takingDown = false
    var runOwner: ClientConnection?
    /// `up --wait`: nil while it must wait, else how it ended.
    var waitingForReady: (() -> Failure??)?
    var readyEnd: ((Failure?) -> Void)?
    let volumes: VolumeStore

    // What the keeper tells a new controller of the one before.
    private var heldBefore: [String: SharedFD] = [:]
    private var childrenBefore: [String: (id: UInt32, pid: Int32, pidfd: SharedFD)] = [:]
    private var exitsBefore: [String: (end: ProcessEnd, at: Int64)] = [:]

    init(place: ProjectPlace, keeper: KeeperChannel, listener: SharedFD, generation: Int) throws(Failure) {
        self.place = place
        self.keeper = keeper
        self.listener = listener
        self.generation = generation
        volumes = VolumeStore(root: place.root)
        let doing = "cannot start the controller of project \"\(place.project)\""
        do throws(SyscallError) {
            loop = try EventLoop()
            host = try HostFacts.probe()
        } catch {
            throw Failure(doing, error)
        }
        names = NameService(loop: loop)
        bootID = try currentBootID()
        cgroup = try ProjectCgroup(host: try CgroupHost.detect(), project: place.project)
        try cgroup.ensure()
    }

    /// Serves until the project is down.
    func serve() throws(Failure) {
        do throws(SyscallError) {
            try readReplay()
        } catch {
            throw Failure("cannot take over from the controller before", error)
        }
        try adopt()
        do throws(SyscallError) {
            try loop.watch(keeper.descriptor) { [unowned self] _ in keeperSpoke() }
            try setNonBlocking(listener.raw)
            try loop.watch(listener.raw) { [unowned self] _ in acceptClient() }
            try loop.run()
        } catch {
            throw Failure("the event loop failed", error)
        }
    }

    /// What was kept over the death of the controller before; nothing at a first start.
    private func readReplay() throws(SyscallError) {
        while let event = try keeper.receive() {
            switch event {
            case .ready: return
            case .held(let name, let fd): heldBefore[name] = fd
            case .child(let id, let pid, let name, let pidfd, _):
                nextChild = max(nextChild, id + 1)
                childrenBefore[name] = (id, pid, pidfd)
            case .exited(_, _, let end, let name, let at): exitsBefore[name] = (end, at)
            case .launched, .refused: break
            }
        }
        throw SyscallError("recvmsg", .brokenPipe, "the keeper's socket")
    }

    // MARK: Adoption

    /// Reads the records and joins them with what still runs.
    private func adopt() throws(Failure) {
        if let bytes = try? readFile(place.directory + "/project.json") {
            desiredBytes = bytes
            desired = try? JSONDecoder().decode(DesiredState.self, from: Data(bytes))
        }
        let directory = place.directory + "/containers"
        let names = (try? directoryEntries(directory)) ?? []
        if names.isEmpty && desired == nil { return }
        loadContents()
        let networking = try ensureNetworking()
        for name in desired?.networks.keys.sorted() ?? [] { try networking.adopt(name) }
        for name in names { try adoptContainer(name, networking) }
        for (name, child) in childrenBefore where !name.hasPrefix("c:") {
            // A probe or exec whose client went with the controller before: nobody waits for it.
            if exitsBefore[name] != nil { try? keeper.release(id: child.id) }
        }
        heldBefore = [:]
        childrenBefore = [:]
        exitsBefore = [:]
    }

    private func adoptContainer(_ name: String, _ networking: ProjectNetworking) throws(Failure) {
        let directories = directories(of: name)
        guard let record = try readRecord(ContainerRecord.self, directories.record) else {
            // Its creation was interrupted before it had a record: nothing of it is anybody's.
            try removeLeftovers(of: name)
            return
        }
        let reference = ContainerReference(name: name, service: record.service.name, index: record.index)
        let container = Container(
            reference: reference, service: record.service, createdAt: record.createdAt,
            directories: directories,
            bootID: bootID)
        containers[name] = container
        if let status = try readRecord(ContainerStatusRecord.self, directories.run + "/status.json"),
            status.bootID == bootID
        {
            container.status = status
            if status.startedAt != nil { container.phase = .exited }
        }
        networking.remember(name, addresses: container.status.addresses)
        let key = "c:" + name
        if let child = childrenBefore[key], exitsBefore[key] == nil {
            container.childID = child.id
            container.pid = child.pid
            container.pidfd = child.pidfd
            launching[child.id] = container
            if container.status.pid == child.pid {
                adoptRunning(container)
            } else {
                // Its launch was not finished; it ends by itself, since nobody answers on its socket any more.
                container.phase = .launching
            }
        } else if let exit = exitsBefore[key], let child = childrenBefore[key] {
            container.childID = child.id
            container.status.end = exit.end
            container.status.finishedAt = exit.at / 1
            container.phase = .exited
            collectOutput(of: container)
            try? keeper.release(id: child.id)
            try? container.saveStatus()
            superviseExit(container)
        }
    }

    private func adoptRunning(_ container: Container) {
        container.phase = .running
        container.runningSince = monotonicNanoseconds()
        for (name, fd) in heldBefore.sorted(by: { $0.key < $1.key }) {
            if name == "dns-udp:" + container.name || name == "dns-tcp:" + container.name {
                container.nameSockets.append(fd)
            }
            if name == "tty:" + container.name { container.terminal = fd }
            if name.hasPrefix("port:\(container.name):") { container.reservations.append(fd) }
        }
        openStreams(of: container)
        serveNames(of: container)
        startHealth(of: container)
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

    private var contentsDirectory: String { place.directory + "/contents" }

    /// Keeps contents of configs and secrets for containers that start later: 0600 files in a 0700 directory.
    func saveContents(_ blobs: [[UInt8]]) throws(Failure) {
        guard !blobs.isEmpty else { return }
        do throws(SyscallError) {
            try ensureDirectory(contentsDirectory, mode: 0o700)
            for blob in blobs {
                let digest = Digest(of: blob)
                guard contents[digest] == nil else { continue }
                contents[digest] = blob
                try replaceFile("\(contentsDirectory)/\(digest.hex)", blob, mode: 0o600)
            }
        } catch {
            throw Failure("cannot keep the contents of configs and secrets", error)
        }
    }

    private func loadContents() {
        for name in (try? directoryEntries(contentsDirectory)) ?? [] {
            guard let digest = Digest(hex: name), let bytes = try? readFile("\(contentsDirectory)/\(name)")
            else { continue }
            contents[digest] = bytes
        }
    }

    // MARK: Observation

    func observe() -> Observation {
        var observation = Observation(project: place.project)
        observation.containers = containers.values.map(\.observed).sorted { $0.name < $1.name }
        for container in containers.values {
            observation.requests[container.reference.service] = container.service
        }
        for (name, service) in desired?.services ?? [:] where observation.requests[name] == nil {
            observation.requests[name] = service
        }
        if let networking {
            for name in networking.networks.keys {
                observation.networks[name] = ObservedNetwork(
                    name: name, project: networking.owner(of: name) ?? place.project,
                    request: desired?.networks[name])
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
