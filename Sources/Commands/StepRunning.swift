// SPDX-License-Identifier: Apache-2.0
//
// How a build's RUN steps are run: in the container runtime, by this process. Steps of several stages may run at once,
// each on its thread; what they share is guarded here.

internal import Basics
internal import Cgroups
internal import ContainerModel
internal import ContainerRuntime
internal import ImageBuild
internal import Kernel
internal import LaunchPlanning

/// Runs steps on this host; what is probed of it is probed at the first step.
final class StepHost {
    private let root: String
    private let lock = ThreadLock()
    private var facts: HostFacts?
    private var filters = SeccompFilters()
    private var network: BuildNetwork?
    private var steps = 0

    /// Processes and threads of a step that is given no limit: more than a compiler for each processor starts, and few
    /// enough that a fork bomb leaves the machine to others. Neither Docker nor BuildKit has one; Podman has 2048.
    private static let usualProcesses = max(4096, 64 * availableProcessors())

    init(root: String) { self.root = root }

    var runner: StepRunner {
        StepRunner { (step: StepRequest) throws(Failure) -> StepEnd in try self.run(step) }
    }

    /// Takes the builds' network away, when there was one.
    func close() {
        lock.held {
            network?.remove()
            network = nil
        }
    }

    private func probe() throws(Failure) -> HostFacts {
        if let facts { return facts }
        let host = HostFacts.probe()
        guard !isInChroot() else {
            throw Failure(
                "cannot run build steps",
                cause: "this shell is in a chroot, out of which steps could climb",
                advice: "run covey outside of it")
        }
        facts = host
        return host
    }

    private func run(_ step: StepRequest) throws(Failure) -> StepEnd {
        let (host, number) = try lock.held { () throws(Failure) in
            steps += 1
            return (try probe(), steps)
        }
        var request = ContainerRequest(
            image: ImageFacts(reference: "build", id: Digest(of: []), layers: step.lowers),
            arguments: step.arguments)
        request.environment = step.environment
        request.workingDirectory = step.workingDirectory
        request.user = step.user
        if let bytes = step.limits.sharedMemory { request.shmSize = ByteSize(bytes: bytes) }
        for (name, limit) in step.limits.ulimits {
            request.ulimits[name] = LimitPair(soft: limit.soft, hard: limit.hard)
        }
        if step.isPrivileged {
            var rare = RareSettings()
            rare.privileged = true
            request.rare = rare
            request.seccomp = false
        }
        let limits = ResourceLimits(
            memory: step.limits.memory.map { ByteSize(bytes: $0) }, pids: step.limits.processes)
        // One after the other: two that begin at once would each sweep what the other is making.
        var cgroup = try lock.held { () throws(Failure) in
            try StepCgroup(
                number: number, devices: step.isPrivileged ? .everything : .dockerDefault, limits: limits,
                usualProcesses: StepHost.usualProcesses)
        }
        defer { cgroup.remove() }
        // Where no cgroup can be made there is no device policy: without this capability it opens none of the host's devices.
        if !cgroup.hasDevicePolicy, !step.isPrivileged { request.capDrop = ["MKNOD"] }
        let (mountPoint, filesAt) = (step.work + ".root", step.work + ".files")
        do throws(SyscallError) {
            try ensureDirectory(mountPoint, mode: 0o700)
            try ensureDirectory(filesAt, mode: 0o700)
        } catch {
            throw Failure("cannot run a build step", error)
        }
        defer {
            try? removeDirectory(mountPoint)
            try? removeDirectory(filesAt)
        }
        var container = StepContainer(
            lowers: step.lowers, upper: step.upper, work: step.work, mountPoint: mountPoint, filesAt: filesAt)
        container.cgroupTaskFiles = cgroup.taskFiles
        container.cgroupDirectory = cgroup.cloneInto
        try connect(&container, step, number)
        defer { release(step, number) }
        for mount in step.mounts { add(mount, to: &container) }
        var own = lock.held { filters }
        let end = try runStep(request, in: container, host: host, filters: &own, output: step.output)
        lock.held { filters = own }
        var told = StepEnd(code: Int32(end.code))
        told.metMemoryLimit = step.limits.memory != nil && cgroup.memoryKills > 0
        told.metProcessLimit = cgroup.refusedForks > 0 ? cgroup.mostProcesses : nil
        return told
    }

    // MARK: Network

    private func connect(_ container: inout StepContainer, _ step: StepRequest, _ number: Int)
        throws(Failure)
    {
        var (resolv, hosts) = ("", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")
        switch step.network {
        case .none:
            container.network = .isolated
            if step.extraHosts.isEmpty { return }
        case .host:
            container.network = .host
            resolv = (try? readText("/etc/resolv.conf")) ?? ""
            hosts = (try? readText("/etc/hosts")) ?? hosts
        case .outbound:
            let (link, text) = try lock.held { () throws(Failure) in
                let network: BuildNetwork
                if let known = self.network {
                    network = known
                } else {
                    network = try BuildNetwork(root: root)
                }
                self.network = network
                return (try network.link(step: number), network.resolvConf)
            }
            container.network = .linked(link)
            resolv = text
        }
        for (name, address) in step.extraHosts {
            let address = address == "host-gateway" ? lock.held { network?.gateway } ?? "127.0.0.1" : address
            hosts += "\(address)\t\(name)\n"
        }
        if step.network != .none {
            container.files.append(
                (MemoryFile(content: Array(resolv.utf8)), "/etc/resolv.conf", "resolv.conf"))
        }
        container.files.append((MemoryFile(content: Array(hosts.utf8)), "/etc/hosts", "hosts"))
    }

    private func release(_ step: StepRequest, _ number: Int) {
        if step.network == .outbound { lock.held { network?.release(step: number) } }
    }

    // MARK: Mounts

    private func add(_ mount: StepMount, to container: inout StepContainer) {
        let source: ResolvedMount.Source
        switch mount.source {
        case .path(let path, let isDirectory):
            source = .path(path, isDirectory: isDirectory, recursive: false, propagation: 0)
        case .below(let root, let path): source = .below(root: root, path: path)
        case .layers(let lowers, let upper, let work):
            source = .overlay(lowers: lowers, upper: upper, work: work)
        case .tmpfs(let size):
            // What is compiled there is run there.
            source = .tmpfs(
                [("mode", "1777")] + (size.map { [("size", String($0))] } ?? []), .programsAndDevices)
        case .content(let bytes, let mode, let uid, let gid):
            container.files.append(
                (MemoryFile(content: bytes, mode: mode, uid: uid, gid: gid), mount.target, mount.title))
            return
        case .agent(let socket, let mode, let uid, let gid):
            let path = "\(container.work).agent\(container.agents.count)"
            container.agents.append(
                StepAgent(socket: socket, path: path, mode: mode, uid: uid, gid: gid))
            source = .path(path, isDirectory: false, recursive: false, propagation: 0)
        }
        container.mounts.append(
            ResolvedMount(
                source: source, target: mount.target, readOnly: mount.isReadOnly, title: mount.title))
    }
}
