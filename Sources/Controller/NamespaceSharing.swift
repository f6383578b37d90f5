// SPDX-License-Identifier: Apache-2.0
//
// Containers in other containers' namespaces: whose process is joined at a start, what of its files goes along, and what
// follows when that one is started anew: its namespaces are others then, and who was in the old ones is started again.

internal import Basics
internal import CLinux
internal import ContainerModel
internal import ContainerRuntime
internal import Kernel
internal import LaunchPlanning
internal import Records

/// What a container's start takes of others.
struct SharedNamespaces {
    var joins: [NamespaceJoin] = []
    /// In the order the launch program names them: one for each join, and the tree for /dev/shm.
    var descriptors: [SharedFD] = []
    var sharesMemory = false
    /// Where the owner of the network has its hosts, hostname and resolv.conf.
    var network: ContainerDirectories?
}

/// A container whose namespaces can be joined.
private struct Owner {
    var name: String
    var pidfd: SharedFD
    var directories: ContainerDirectories
}

extension ProjectController {
    /// - Throws: when an owner does not run: there is nothing to join then.
    func sharedNamespaces(of container: Container) throws(Failure) -> SharedNamespaces {
        var shared = SharedNamespaces()
        var places: [String: Int] = [:]
        for joined in container.request.rare?.joined ?? [] {
            let owner = try runningOwner(joined, for: container)
            if joined.namespace == .network { shared.network = owner.directories }
            if let place = places[owner.name] {
                shared.joins[place].flags |= joined.namespace.cloneFlag
            } else {
                places[owner.name] = shared.joins.count
                shared.joins.append(
                    NamespaceJoin(
                        flags: joined.namespace.cloneFlag, title: "container \"\(owner.name)\""))
                shared.descriptors.append(owner.pidfd)
            }
        }
        if let joined = container.request.rare?.joined.first(where: { $0.namespace == .ipc }) {
            let owner = try runningOwner(joined, for: container)
            do throws(SyscallError) {
                // A copy made in the owner's mount namespace is attached nowhere, and can be attached in another one.
                let tree = try inMountNamespace(of: owner.pidfd.raw) { () throws(SyscallError) in
                    SharedFD(
                        OwnedFD(
                            taking: try retrying("open_tree", "/dev/shm") {
                                linux_open_tree_clone("/dev/shm", 0)
                            }))
                }
                shared.descriptors.append(tree)
                shared.sharesMemory = true
            } catch {
                throw Failure(
                    "cannot share the memory of container \"\(owner.name)\"", error,
                    advice: error.errno == .noEntry ? "it has no /dev/shm: remove its `ipc: none`" : nil)
            }
        }
        return shared
    }

    private func runningOwner(_ joined: JoinedNamespace, for container: Container) throws(Failure) -> Owner {
        let doing = "cannot join the \(joined.namespace.rawValue) namespace of \(joined.owner.text)"
        let own: Container?
        switch joined.owner {
        case .service(let service): own = firstContainer(of: service)
        case .container(let name): own = containers[name]
        }
        if let own {
            guard own.phase == .running, let pidfd = own.pidfd else {
                throw Failure(
                    doing, cause: "container \"\(own.name)\" does not run",
                    advice: "start it first, or see in `covey logs \(own.reference.service)` why it ended")
            }
            return Owner(name: own.name, pidfd: pidfd, directories: own.directories)
        }
        guard case .container(let name) = joined.owner, let other = try foreignOwner(name, doing) else {
            throw Failure(
                doing, cause: "there is no such container",
                advice: "`covey ls` and `covey ps -a` show what there is")
        }
        return other
    }

    func firstContainer(of service: String) -> Container? {
        containers.values.filter { $0.reference.service == service && $0.oneOff == nil }
            .min { $0.reference.index < $1.reference.index }
    }

    /// A running container of another project, found by its records; nil when no project has one of that name.
    private func foreignOwner(_ name: String, _ doing: String) throws(Failure) -> Owner? {
        guard let (project, directories) = try foreignContainer(name, doing) else { return nil }
        let path = directories.run + "/status.json"
        // First held, then looked at: the number may have been given to another process.
        if let status = try readRecord(ContainerStatusRecord.self, path), status.bootID == bootID,
            let pid = status.pid, case let raw = linux_pidfd_open(pid, 0), raw >= 0
        {
            let pidfd = SharedFD(OwnedFD(taking: raw))
            if processStartTime(pid) == status.startTime {
                return Owner(name: name, pidfd: pidfd, directories: directories)
            }
        }
        throw Failure(
            doing, cause: "container \"\(name)\" of project \"\(project)\" does not run",
            advice: "start that project first")
    }

    /// Starts those again that are in namespaces this container had before, or that ended with them.
    func restartSharers(of container: Container) {
        guard let pid = container.pid else { return }
        for sharer in containers.values.sorted(by: { $0.name < $1.name }) {
            for joined in sharer.request.rare?.joined ?? [] where owns(container, joined) {
                let wasKilledAlong =
                    sharer.phase == .exited && joined.namespace == .pid && !sharer.status.endIsWanted
                    && sharer.status.end == .signalled(SIGKILL)
                // It was stopped for this, or for a start before this one.
                let awaitsOwner = sharer.phase == .exited && sharer.status.startsAgain == true
                guard wasKilledAlong || awaitsOwner || isElsewhere(sharer, joined.namespace, pid) else {
                    continue
                }
                startAgain(sharer)
                break
            }
        }
    }

    private func owns(_ container: Container, _ joined: JoinedNamespace) -> Bool {
        switch joined.owner {
        case .service(let service): firstContainer(of: service) === container
        case .container(let name): container.name == name
        }
    }

    private func isElsewhere(_ sharer: Container, _ namespace: RareSettings.Namespace, _ owner: Int32) -> Bool
    {
        guard sharer.phase == .running, !sharer.status.isStopping, let pid = sharer.pid else {
            return false
        }
        let name = namespace.fileName
        guard let one = try? readLink("/proc/\(pid)/ns/\(name)"),
            let other = try? readLink("/proc/\(owner)/ns/\(name)")
        else { return false }
        return one != other
    }

    private func startAgain(_ sharer: Container) {
        let asked = sharer.stopsAsked
        let again = { [unowned self, unowned sharer] in
            // Somebody wanted it stopped meanwhile, and that counts.
            guard sharer.stopsAsked == asked, !takingDown, !leaving else { return }
            sharer.status.stopRequested = false
            sharer.status.signalledToStop = nil
            start(sharer, byPolicy: true) { [unowned self] failure in
                guard let failure else { return }
                log("\(failure)")
                guard !sharer.isLive else { return }
                sharer.status.startsAgain = nil
                superviseExit(sharer)
            }
        }
        guard sharer.isLive else { return again() }
        stop(sharer, timeout: sharer.request.stopGracePeriod, startsAgain: true) { _ in again() }
    }

    /// What a controller before this one had stopped to start it again, and did not come to.
    func startSharersAgain() {
        for sharer in containers.values
        where sharer.status.startsAgain == true && !sharer.status.stopRequested {
            let ownersRun = (sharer.request.rare?.joined ?? []).allSatisfy { joined in
                containers.values.allSatisfy { !owns($0, joined) || $0.phase == .running }
            }
            // Else with the owner's next start.
            guard ownersRun else { continue }
            loop.soon { [unowned self, weak sharer] in
                if let sharer, sharer.status.startsAgain == true { startAgain(sharer) }
            }
        }
    }
}

extension RareSettings.Namespace {
    /// In /proc/PID/ns (namespaces(7)).
    fileprivate var fileName: String {
        switch self {
        case .network: "net"
        case .cgroup, .uts, .ipc, .pid: rawValue
        }
    }
}

extension ContainerRequest {
    /// Its processes end with its first one, by the kernel's hand (pid_namespaces(7)).
    var hasOwnProcesses: Bool {
        rare?.hostNamespaces.contains(.pid) != true && rare?.joined.contains { $0.namespace == .pid } != true
    }
}
