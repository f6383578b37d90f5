// SPDX-License-Identifier: Apache-2.0
//
// DriftWatch: hears that something of the project may have been changed by somebody else, and says so once things are
// quiet for a moment. It knows no more than which part: what is true is looked up by who is told (Drift.swift).
//
//   links, addresses, routes   rtnetlink multicast, on the host and in each container's network namespace
//   firewall                   nf_tables multicast, on the host and in each container's network namespace
//   mounts                     POLLPRI on /proc/PID/mountinfo (proc_pid_mountinfo(5))
//   cgroups                    inotify(7) on each container's cgroup directories
//
// Our own changes are heard too. They cost a look that finds nothing: nothing is kept of what we did, so nothing can be
// taken for ours that was not. A source that spoke is not listened to until the look, so a storm costs one look.

internal import Basics
internal import Cgroups
internal import Kernel
internal import Networking

/// A part of the project that is looked at by itself.
enum DriftSubject: Hashable {
    case links
    case firewall
    /// A container's network namespace.
    case inside(String)
    case mounts(String)
    case cgroup(String)
}

final class DriftWatch {
    /// From the first news to the look: what one hand changes comes together. Longer while a command is at work, whose
    /// own changes are most of what is heard; still within the second that a repair may take.
    static let quiet = Duration.milliseconds(40)
    static let quietAtWork = Duration.milliseconds(400)
    /// The net beneath: all is looked at, whatever was heard.
    static let slowLook = Duration.seconds(30)

    private struct Sources {
        var links: NetlinkMonitor?
        var firewall: NetlinkMonitor?
        var mounts: SharedFD?
        var watches: [Int32] = []
    }

    private let loop: EventLoop
    private var hostLinks: NetlinkMonitor?
    private var hostFirewall: NetlinkMonitor?
    private var files: FileWatch?
    private var sources: [String: Sources] = [:]
    /// What a watch is on: a container's directory, or one file of it.
    private var watched: [Int32: (container: String, file: String?)] = [:]
    private var projectWatches: Set<Int32> = []
    private var due: Set<DriftSubject> = []
    private var timer: EventLoop.Timer?
    private var slowTimer: EventLoop.Timer?
    /// Descriptors that spoke and are not listened to until the look.
    private var resting: [() -> Void] = []

    /// A command is at work.
    var isAtWork: () -> Bool = { false }
    /// Looks at these; set by the controller.
    var look: (Set<DriftSubject>) -> Void = { _ in }
    /// Looks at everything.
    var lookAtAll: () -> Void = {}
    /// The kernel killed for want of memory, or may have.
    var memoryEvent: (String) -> Void = { _ in }

    init(loop: EventLoop) { self.loop = loop }

    // MARK: Sources

    func watches(_ container: String) -> Bool { sources[container] != nil }

    /// Listens to the host's links and firewall; whose of them count may change any time.
    func watchHost(_ filter: NetlinkMonitor.Filter) throws(SyscallError) {
        if hostLinks == nil {
            let links = try NetlinkMonitor(.links, room: 256 << 10)
            hostLinks = links
            try listen(to: links, .links)
            let firewall = try NetlinkMonitor(.firewall, room: 256 << 10)
            hostFirewall = firewall
            try listen(to: firewall, .firewall)
        }
        count(filter)
    }

    /// Whose changes on the host count from now on.
    func count(_ filter: NetlinkMonitor.Filter) { hostLinks?.filter = filter }

    /// Listens to a running container.
    func watch(
        _ container: String, pidfd: SharedFD, pid: Int32, networked: Bool, cgroups: [String]
    ) throws(SyscallError) {
        forget(container)
        // Known from here on: what can't be opened is left to the slow look, not tried again and again.
        sources[container] = Sources()
        if networked {
            let (links, firewall) = try inNetworkNamespace(of: pidfd.raw) { () throws(SyscallError) in
                (try NetlinkMonitor(.links, room: 16 << 10), try NetlinkMonitor(.firewall, room: 16 << 10))
            }
            sources[container]?.links = links
            sources[container]?.firewall = firewall
            try listen(to: links, .inside(container))
            try listen(to: firewall, .inside(container))
        }
        let mounts = SharedFD(try openFile("/proc/\(pid)/mountinfo"))
        sources[container]?.mounts = mounts
        // Each change is told once to each open file; reading is not needed to be told again.
        try loop.watch(mounts.raw, .priority) { [unowned self] _ in mark(.mounts(container)) }
        let files = try opened()
        for path in cgroups {
            let watch = try files.add(directory: path)
            sources[container]?.watches.append(watch)
            watched[watch] = (container, nil)
            for file in ["cgroup.events", "memory.events"] where exists("\(path)/\(file)") {
                let watch = try files.add(file: "\(path)/\(file)")
                sources[container]?.watches.append(watch)
                watched[watch] = (container, file)
            }
        }
    }

    /// Listens to the removal of containers' cgroups; again for a directory that was made anew.
    func watchProject(cgroups: [String]) throws(SyscallError) {
        let files = try opened()
        for path in cgroups { projectWatches.insert(try files.add(directory: path)) }
    }

    /// Closes what was opened for a container: its namespaces live as long as these.
    func forget(_ container: String) {
        guard let own = sources.removeValue(forKey: container) else { return }
        for monitor in [own.links, own.firewall] {
            if let monitor { loop.unwatch(monitor.descriptor) }
        }
        if let mounts = own.mounts { loop.unwatch(mounts.raw) }
        for watch in own.watches where watched.removeValue(forKey: watch) != nil {
            files?.remove(watch)
        }
        due.subtract([.inside(container), .mounts(container), .cgroup(container)])
    }

    func stop() {
        for name in Array(sources.keys) { forget(name) }
        for monitor in [hostLinks, hostFirewall] {
            if let monitor { loop.unwatch(monitor.descriptor) }
        }
        if let files { loop.unwatch(files.descriptor) }
        for timer in [timer, slowTimer] {
            if let timer { loop.cancel(timer) }
        }
        (hostLinks, hostFirewall, files, timer, slowTimer) = (nil, nil, nil, nil, nil)
        due = []
        resting = []
        projectWatches = []
    }

    private func listen(to monitor: NetlinkMonitor, _ subject: DriftSubject) throws(SyscallError) {
        try loop.watch(monitor.descriptor) { [unowned self, unowned monitor] _ in
            guard monitor.drain() else { return }
            loop.unwatch(monitor.descriptor)
            resting.append { [weak self, weak monitor] in
                guard let self, let monitor, self.isOurs(monitor) else { return }
                _ = monitor.drain()
                try? self.listen(to: monitor, subject)
            }
            mark(subject)
        }
    }

    private func isOurs(_ monitor: NetlinkMonitor) -> Bool {
        monitor === hostLinks || monitor === hostFirewall
            || sources.values.contains { $0.links === monitor || $0.firewall === monitor }
    }

    private func opened() throws(SyscallError) -> FileWatch {
        if let files { return files }
        let files = try FileWatch()
        self.files = files
        try loop.watch(files.descriptor) { [unowned self, unowned files] _ in
            for event in files.next() {
                // Too much came at once: who knows what.
                if event.watch < 0 { return lookAtAll() }
                if projectWatches.contains(event.watch), event.isRemoval {
                    if let name = ContainerCgroup.container(ofDirectory: event.name) { mark(.cgroup(name)) }
                }
                guard let (container, file) = watched[event.watch] else { continue }
                let name = file ?? event.name
                if name == "memory.events" { memoryEvent(container) }
                if ContainerCgroup.countsAsDrift(name) { mark(.cgroup(container)) }
            }
        }
        return files
    }

    // MARK: Looks

    func mark(_ subject: DriftSubject) {
        due.insert(subject)
        guard timer == nil else { return }
        timer = loop.after(isAtWork() ? Self.quietAtWork : Self.quiet) { [unowned self] in
            timer = nil
            let subjects = due
            due = []
            let rested = resting
            resting = []
            // Before the look: what changes from here on is news again.
            for again in rested { again() }
            look(subjects)
        }
    }

    /// Every half minute from now on.
    func beginSlowLooks() {
        guard slowTimer == nil else { return }
        slowTimer = loop.after(Self.slowLook) { [unowned self] in
            slowTimer = nil
            lookAtAll()
            beginSlowLooks()
        }
    }
}
