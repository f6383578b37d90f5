// SPDX-License-Identifier: Apache-2.0
//
// Volumes that are file systems of their own: mounted, and filled while they are new, before a container that has them is
// launched; and those that another project is filling. Neither need ever come back from the kernel, and a project whose
// controller waits for a server is not looked after: so a child does it (docs/decisions/012-mounts-in-a-child.md).
//
// A container that waits is being launched and has no process yet. Each volume has one child at most; who else wants the
// volume waits with the first, and looks again when that is done. The child tells whenever it went on, and is ended when
// nothing was heard of it for as long as its mount says.

internal import Basics
internal import ContainerModel
internal import JSONFormat
internal import Kernel
internal import Volumes

/// A child at work on one volume, and who waits for it.
final class VolumeWork {
    let volume: String
    /// Whose answer is awaited.
    fileprivate let device: String
    fileprivate let fill: VolumeFill?
    /// nil: as long as it takes.
    fileprivate let patience: Duration?
    fileprivate let child: ForkedWork
    /// What it is to do first; for a directory of ours there is nothing to mount.
    private let first: VolumeProgress
    fileprivate var progress: VolumeProgress
    fileprivate var waiting: [Container] = []
    fileprivate var deadline: EventLoop.Timer?
    /// It is killed, or has ended: nobody is to wait for it.
    fileprivate var isOver = false
    /// Hears once of the end of a child that was killed: nil, or why it is left.
    fileprivate var ended: ((Failure?) -> Void)?

    fileprivate init(_ need: VolumeNeed, _ patience: Duration?, _ child: ForkedWork) {
        volume = need.volume
        device = need.mount?.device ?? need.directory
        fill = need.fill
        first = need.mount == nil ? .filling : .mounting
        progress = first
        self.patience = patience
        self.child = child
    }

    fileprivate var doing: String { (progress == .waiting ? first : progress).doing(volume) }

    /// Nothing was heard for as long as it is given.
    fileprivate func silence(_ patience: Duration) -> Failure {
        let cause: String
        let advice: String
        switch progress {
        case .waiting:
            cause = "another process mounts or fills it, and was not done within \(patience.composeText)"
            advice = "bring it up again when that is done"
        case .mounting:
            cause = "\(device) did not answer within \(patience.composeText)"
            advice = "see whether it can be reached"
        case .filling:
            let path = fill?.path ?? "files"
            cause =
                "\(device) stood still for \(patience.composeText) while the image's \(path) was copied to it"
            advice = "see whether it answers"
        }
        // A directory of ours has no options.
        let longer = "; `x-systemd.mount-timeout=` among the volume's options gives it longer"
        return Failure(doing, cause: cause, advice: advice + (first == .mounting ? longer : ""))
    }
}

/// What a container's volumes still want before it can be launched.
struct VolumeNeed {
    fileprivate var volume: String
    /// nil for a directory of ours.
    fileprivate var mount: VolumeMount?
    fileprivate var directory: String
    fileprivate var fill: VolumeFill?
}

/// What a killed child is given to end; one that is in the kernel where no signal reaches it takes as long as the server.
private let graceOfKill = Duration.milliseconds(200)

extension ProjectController {
    /// The first of a container's volumes that is to be mounted, or, before its first start, to be filled.
    /// - Parameter mounts: its own and those it has of others.
    func need(of container: Container, _ mounts: [MountRequest]) throws(Failure) -> VolumeNeed? {
        for mount in mounts {
            guard case .volume(let name) = mount.source else { continue }
            let wanted = try volumes.mount(of: name)
            var fill: VolumeFill?
            if container.unfilled.contains(name) { fill = VolumeFill(name, mount, of: container.request) }
            if let key = fill?.key, filledVolumes.contains(key) { fill = nil }
            var isThere = true
            if wanted != nil { isThere = try volumes.isMounted(name) }
            if fill == nil, isThere { continue }
            return VolumeNeed(
                volume: name, mount: wanted, directory: volumes.dataDirectory(name), fill: fill)
        }
        return nil
    }

    /// The container is launched when that is done.
    func beginWait(of container: Container, for need: VolumeNeed) throws(Failure) {
        let work: VolumeWork
        if let begun = volumeWorks[need.volume] { work = begun } else { work = try begin(need) }
        work.waiting.append(container)
        container.awaitedVolume = work
        container.phase = .launching
        changed()
    }

    private func begin(_ need: VolumeNeed) throws(Failure) -> VolumeWork {
        var patience: Duration? = usualPatience
        if let mount = need.mount { patience = try mount.patience() }
        do throws(SyscallError) {
            let (volumes, given) = (volumes, patience)
            let child = try ForkedWork { tell in mountAndFill(need, in: volumes, given, tell) }
            let work = VolumeWork(need, patience, child)
            do throws(SyscallError) {
                try loop.watch(child.end) { [unowned self] _ in childEnded(of: work) }
                try loop.watch(child.news) { [unowned self] _ in childSpoke(of: work) }
                try child.begin()
            } catch {
                unwatch(work)
                child.takeBack()
                throw error
            }
            setDeadline(of: work)
            volumeWorks[need.volume] = work
            return work
        } catch {
            throw Failure(VolumeProgress.mounting.doing(need.volume), error)
        }
    }

    private func unwatch(_ work: VolumeWork) {
        loop.unwatch(work.child.end)
        loop.unwatch(work.child.news)
    }

    private func setDeadline(of work: VolumeWork) {
        if let deadline = work.deadline { loop.cancel(deadline) }
        work.deadline = work.patience.map { patience in
            loop.after(patience) { [unowned self] in giveUp(work, after: patience) }
        }
    }

    private func childSpoke(of work: VolumeWork) {
        let news: [UInt8]
        do throws(SyscallError) {
            guard let heard = try work.child.hear() else { return loop.unwatch(work.child.news) }
            news = heard
        } catch {
            if error.errno != .again { loop.unwatch(work.child.news) }
            return
        }
        if let last = news.last.flatMap({ VolumeProgress(rawValue: $0) }) { work.progress = last }
        setDeadline(of: work)
    }

    private func childEnded(of work: VolumeWork) {
        unwatch(work)
        if let deadline = work.deadline { loop.cancel(deadline) }
        if volumeWorks[work.volume] === work { volumeWorks[work.volume] = nil }
        let failure = outcome(of: work)
        if failure == nil, let fill = work.fill { filledVolumes.insert(fill.key) }
        work.isOver = true
        // One after the other: what one of them is told may end the wait of the next.
        while let container = work.waiting.first {
            work.waiting.removeFirst()
            container.awaitedVolume = nil
            if let failure { endLaunch(of: container, failure) } else { launchAfterWait(container, work) }
        }
        work.ended?(nil)
        work.ended = nil
    }

    private func outcome(of work: VolumeWork) -> Failure? {
        do throws(SyscallError) {
            guard let answer = try work.child.reap() else {
                return Failure(
                    work.doing, cause: "the process that was at it was ended", advice: "bring it up again")
            }
            if answer.isEmpty { return nil }
            return (try? decodeJSON(Failure.self, from: answer)) ?? Failure(work.doing)
        } catch {
            return Failure(work.doing, error)
        }
    }

    private func giveUp(_ work: VolumeWork, after patience: Duration) {
        let waiting = work.waiting
        work.waiting = []
        for container in waiting { container.awaitedVolume = nil }
        let failure = work.silence(patience)
        end(work) { [unowned self] left in
            let told = Failure.collect([failure, left].compactMap { $0 }) ?? failure
            for container in waiting { endLaunch(of: container, told) }
        }
    }

    /// Launches it no more: somebody ends what it was to be started for.
    /// - Parameter told: hears once it is over; with a failure when the child is left.
    func endWait(
        of container: Container, cause: String, _ told: @escaping (Failure?) -> Void = { _ in }
    ) {
        if container.awaitsReceiver {
            container.awaitsReceiver = false
            endLaunch(
                of: container,
                Failure(
                    "cannot send the output of container \"\(container.name)\" to its receiver", cause: cause)
            )
            return told(nil)
        }
        guard let work = container.awaitedVolume else { return told(nil) }
        container.awaitedVolume = nil
        work.waiting.removeAll { $0 === container }
        let failure = Failure(work.doing, cause: cause)
        let over = { [unowned self] (left: Failure?) in
            endLaunch(of: container, left ?? failure)
            told(left)
        }
        // Others want it still, or it has ended already.
        if work.waiting.isEmpty, !work.isOver { end(work, over) } else { over(nil) }
    }

    /// Kills a child nobody waits for any more; it is reaped whenever it ends.
    private func end(_ work: VolumeWork, _ told: @escaping (Failure?) -> Void) {
        work.isOver = true
        volumeWorks[work.volume] = nil
        loop.unwatch(work.child.news)
        if let deadline = work.deadline { loop.cancel(deadline) }
        work.ended = told
        work.child.kill()
        work.deadline = loop.after(graceOfKill) {
            work.ended = nil
            let left = Failure(
                "process \(work.child.pid), which is at work on volume \"\(work.volume)\", is left",
                cause: "it waits in the kernel for \(work.device), and no signal reaches it there",
                advice: "it ends when that answers, or when the host takes it away (`umount -f`)")
            log("\(left)")
            told(left)
        }
    }
}

extension VolumeWork {
    /// Whether it has done what is needed, and that is gone again.
    func was(for need: VolumeNeed) -> Bool {
        volume == need.volume && (need.fill == nil || need.fill?.key == fill?.key)
    }
}

/// In the child: nothing, or why it failed.
private func mountAndFill(
    _ need: VolumeNeed, in volumes: VolumeStore, _ patience: Duration?, _ tell: (UInt8) -> Void
) -> [UInt8] {
    // Often enough for the parent's patience, and not so often that it does nothing else.
    let interval = min(Duration.milliseconds(100), (patience ?? usualPatience) / 10).nanoseconds
    var (last, toldAt): (VolumeProgress?, Int64) = (nil, 0)
    func wentOn(_ progress: VolumeProgress) {
        let now = monotonicNanoseconds()
        if progress == last, now - toldAt < interval { return }
        (last, toldAt) = (progress, now)
        tell(progress.rawValue)
    }
    do throws(Failure) {
        if need.mount != nil { try volumes.ensureMounted(need.volume, wentOn) }
        if let fill = need.fill { try volumes.fill(need.volume, from: fill.layers, path: fill.path, wentOn) }
        return []
    } catch {
        return (try? encodeJSON(error)) ?? Array("{}".utf8)
    }
}
