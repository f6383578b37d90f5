// SPDX-License-Identifier: Apache-2.0
//
// Volumes that are file systems of their own: mounted, and filled while they are new, before a container that has them is
// launched. Neither need ever come back from the kernel, and a project whose controller waits for a server is not looked
// after: so a child does it (docs/decisions/012-mounts-in-a-child.md).
//
// A container that waits is being launched and has no process yet. Each volume has one child at most, and as long as its
// mount says for all of its work; who else wants the volume waits with the first, and looks again when that is done.

internal import Basics
internal import ContainerModel
internal import JSONFormat
internal import Kernel
internal import Volumes

/// A child at work on one volume, and who waits for it.
final class VolumeWork {
    let volume: String
    let device: String
    fileprivate let fill: VolumeFill?
    fileprivate let child: ForkedWork
    fileprivate var waiting: [Container] = []
    fileprivate var deadline: EventLoop.Timer?
    /// Hears once of the end of a child that was killed: nil, or why it is left.
    fileprivate var ended: ((Failure?) -> Void)?

    fileprivate init(_ volume: String, device: String, _ fill: VolumeFill?, _ child: ForkedWork) {
        self.volume = volume
        self.device = device
        self.fill = fill
        self.child = child
    }
}

/// An image's directory that an empty volume begins with.
struct VolumeFill {
    var layers: [String]
    var path: String
    /// As `filledVolumes` has it.
    var key: String

    /// nil for a mount that fills nothing.
    init?(_ volume: String, _ mount: MountRequest, of request: ContainerRequest) {
        guard mount.copyFromImage, mount.subpath == nil else { return nil }
        layers = request.image.layers
        path = mount.target
        key = "\(volume) \(request.image.id) \(mount.target)"
    }
}

/// What a container's volumes still want before it can be launched.
struct VolumeNeed {
    fileprivate var volume: String
    fileprivate var mount: VolumeMount
    fileprivate var fill: VolumeFill?
}

/// What a killed child is given to end; one that is in the kernel where no signal reaches it takes as long as the server.
private let graceOfKill = Duration.milliseconds(200)

extension ProjectController {
    /// The first of a container's volumes that is to be mounted, or, before its first start, to be filled.
    func need(of container: Container) throws(Failure) -> VolumeNeed? {
        for mount in try container.request.mounts + mountsOfOthers(container) {
            guard case .volume(let name) = mount.source, let wanted = try volumes.mount(of: name) else {
                continue
            }
            var fill = VolumeFill(name, mount, of: container.request)
            if let key = fill?.key, container.status.startedAt != nil || filledVolumes.contains(key) {
                fill = nil
            }
            let isMounted = try volumes.isMounted(name)
            if fill != nil || !isMounted { return VolumeNeed(volume: name, mount: wanted, fill: fill) }
        }
        return nil
    }

    /// The container is launched when that is done.
    func wait(_ container: Container, for need: VolumeNeed) throws(Failure) {
        let work: VolumeWork
        if let begun = volumeWorks[need.volume] { work = begun } else { work = try begin(need) }
        work.waiting.append(container)
        container.awaitedVolume = work
        container.phase = .launching
        changed()
    }

    private func begin(_ need: VolumeNeed) throws(Failure) -> VolumeWork {
        let patience = try need.mount.patience()
        do throws(SyscallError) {
            let volumes = volumes
            let child = try ForkedWork { mountAndFill(need, in: volumes) }
            let work = VolumeWork(need.volume, device: need.mount.device, need.fill, child)
            do throws(SyscallError) {
                try loop.watch(child.descriptor) { [unowned self] _ in childEnded(of: work) }
                try child.begin()
            } catch {
                loop.unwatch(child.descriptor)
                child.takeBack()
                throw error
            }
            work.deadline = loop.after(patience) { [unowned self] in giveUp(work, after: patience) }
            volumeWorks[need.volume] = work
            return work
        } catch {
            throw Failure("cannot mount volume \"\(need.volume)\"", error)
        }
    }

    private func childEnded(of work: VolumeWork) {
        loop.unwatch(work.child.descriptor)
        if let deadline = work.deadline { loop.cancel(deadline) }
        if volumeWorks[work.volume] === work { volumeWorks[work.volume] = nil }
        let failure = outcome(of: work)
        if failure == nil, let fill = work.fill { filledVolumes.insert(fill.key) }
        let waiting = work.waiting
        work.waiting = []
        for container in waiting {
            container.awaitedVolume = nil
            if let failure { endLaunch(of: container, failure) } else { launchAfterVolume(container) }
        }
        work.ended?(nil)
        work.ended = nil
    }

    private func outcome(of work: VolumeWork) -> Failure? {
        let doing = "cannot mount volume \"\(work.volume)\""
        do throws(SyscallError) {
            guard let answer = try work.child.reap() else {
                return Failure(
                    doing, cause: "the process that was to mount it was ended", advice: "bring it up again")
            }
            if answer.isEmpty { return nil }
            return (try? decodeJSON(Failure.self, from: answer)) ?? Failure(doing)
        } catch {
            return Failure(doing, error)
        }
    }

    private func giveUp(_ work: VolumeWork, after patience: Duration) {
        let waiting = work.waiting
        work.waiting = []
        for container in waiting { container.awaitedVolume = nil }
        let failure = Failure(
            "cannot mount volume \"\(work.volume)\"",
            cause: "\(work.device) did not answer within \(patience.composeText)",
            advice:
                "see whether it can be reached; `x-systemd.mount-timeout=` among the volume's options gives it longer"
        )
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
        guard let work = container.awaitedVolume else { return told(nil) }
        container.awaitedVolume = nil
        work.waiting.removeAll { $0 === container }
        let failure = Failure("cannot mount volume \"\(work.volume)\"", cause: cause)
        let over = { [unowned self] (left: Failure?) in
            endLaunch(of: container, left ?? failure)
            told(left)
        }
        // Others want it still.
        if work.waiting.isEmpty { end(work, over) } else { over(nil) }
    }

    /// Kills a child nobody waits for any more; it is reaped whenever it ends.
    private func end(_ work: VolumeWork, _ told: @escaping (Failure?) -> Void) {
        volumeWorks[work.volume] = nil
        if let deadline = work.deadline { loop.cancel(deadline) }
        work.ended = told
        work.child.kill()
        work.deadline = loop.after(graceOfKill) {
            work.ended = nil
            let left = Failure(
                "process \(work.child.pid), which mounts volume \"\(work.volume)\", is left",
                cause: "it waits in the kernel for \(work.device), and no signal reaches it there",
                advice: "it ends when that answers, or when the host takes it away (`umount -f`)")
            log("\(left)")
            told(left)
        }
    }
}

/// In the child: nothing, or why it failed.
private func mountAndFill(_ need: VolumeNeed, in volumes: VolumeStore) -> [UInt8] {
    do throws(Failure) {
        try volumes.ensureMounted(need.volume)
        if let fill = need.fill { try volumes.fill(need.volume, from: fill.layers, path: fill.path) }
        return []
    } catch {
        return (try? encodeJSON(error)) ?? Array("{}".utf8)
    }
}
