// SPDX-License-Identifier: Apache-2.0
//
// What of one running container was changed by somebody else: its cgroup and its mounts.

internal import Basics
internal import Cgroups
internal import CLinux
internal import ContainerRuntime
internal import Kernel
internal import LaunchPlanning

extension ProjectController {
    func lookAtCgroup(_ container: Container) {
        guard let pid = container.pid else { return }
        let service = container.reference.service
        var found = cgroup.verifyContainer(container.name, limits: container.request.limits, process: pid)
        if !container.isPaused {
            if cgroup.container(container.name).isFrozen { found.append(.frozen) }
            if let path = cgroup.foreignFreezer(of: pid, container: container.name) {
                found.append(.frozenElsewhere(path: path))
            }
        }
        if container.status.halted != true, ProcessState(of: pid)?.letter == "T" { found.append(.stopped) }
        guard !found.isEmpty else { return }
        // One that is on its way out leaves its cgroups.
        guard let pidfd = container.pidfd, linux_pidfd_send_signal(pidfd.raw, 0) == 0, !isZombie(pid) else {
            return
        }
        var restored = false
        for change in found {
            let done = repair(
                .container, container.name, service: service, cause: change.cause, action: change.action
            ) { () throws(Failure) in
                switch change {
                case .frozen: try cgroup.setFrozen(false, container: container.name)
                case .stopped: _ = linux_pidfd_send_signal(pidfd.raw, SIGCONT)
                case .frozenElsewhere:
                    try cgroup.leaveForeignFreezer(
                        processesOfContainer(pid, own: container.request.hasOwnProcesses), keeper: keeperPID)
                case .limit:
                    _ = try cgroup.ensureContainer(container.name, limits: container.request.limits)
                case .gone, .left:
                    // One repair puts all of them right.
                    if restored { return }
                    restored = true
                    try cgroup.ensure()
                    try cgroup.restoreContainer(
                        container.name, limits: container.request.limits,
                        devices: try grantedDevices(of: container.request).policy,
                        processes: processesOfContainer(pid, own: container.request.hasOwnProcesses))
                    try cgroup.restoreEngine([keeperPID, getpid()])
                }
            }
            if done, case .gone = change { listenAgain(to: container) }
        }
    }

    /// Its cgroup's directories are others now.
    private func listenAgain(to container: Container) {
        drift.forget(container.name)
        watchForDriftSoon()
    }

    private func isZombie(_ pid: Int32) -> Bool {
        endOfZombie(pid, processStartTime(pid)) != nil
    }

    func lookAtMounts(_ container: Container) {
        guard let pid = container.pid, let pidfd = container.pidfd else { return }
        do throws(Failure) {
            for mount in try missingMounts(try setup(of: container), pid: pid, pidfd: pidfd) {
                _ = repair(
                    .container, container.name, service: container.reference.service,
                    cause: "\(mount.target) was unmounted", action: "\(mount.title) mounted again"
                ) { () throws(Failure) in
                    try restoreMount(mount, of: container.name, pidfd: pidfd)
                }
            }
        } catch {
            if linux_pidfd_send_signal(pidfd.raw, 0) == 0 { log("\(error)") }
        }
    }

    /// More processes of it were killed for want of memory than was told.
    func countMemoryKills(_ name: String) {
        guard let container = containers[name], container.phase == .running,
            let kills = cgroup.container(name).memoryKills
        else { return }
        let told = max(container.memoryKillsTold, container.memoryKillsBefore)
        if kills > told {
            container.memoryKillsTold = kills
            tell("oom", of: container)
        }
    }
}

/// The container's processes: those in the pid namespace of its first process, and what they started in others.
/// - Parameter own: the namespace is its own; else it is the first process and what that started.
private func processesOfContainer(_ first: Int32, own: Bool) -> [Int32] {
    guard let home = try? readLink("/proc/\(first)/ns/pid") else { return [first] }
    var members: Set<Int32> = [first]
    var parents: [Int32: Int32] = [:]
    for name in (try? directoryEntries("/proc")) ?? [] {
        guard let pid = Int32(name) else { continue }
        if own, let namespace = try? readLink("/proc/\(pid)/ns/pid"), namespace == home {
            members.insert(pid)
        }
        if let text = try? readText("/proc/\(pid)/stat"), let close = text.lastIndex(of: ")") {
            let fields = text[close...].split(separator: " ")
            if fields.count > 2 { parents[pid] = Int32(fields[2]) }
        }
    }
    var grew = true
    while grew {
        grew = false
        for (pid, parent) in parents where members.contains(parent) && !members.contains(pid) {
            members.insert(pid)
            grew = true
        }
    }
    return members.sorted()
}
