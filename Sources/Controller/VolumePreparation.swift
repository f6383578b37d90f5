// SPDX-License-Identifier: Apache-2.0
//
// Volumes that are file systems of their own: mounted, and filled when they are empty, by a child, because neither need ever
// return, and a project whose controller waits for a server is not looked after (docs/decisions/012-mounts-in-a-child.md).
// One at a time: two containers may want one volume.

internal import Basics
internal import ContainerModel
internal import JSONFormat
internal import Kernel
internal import Volumes

/// One volume that a container waits for.
final class VolumeErrand {
    let volume: String
    let mount: VolumeMount
    let fills: [VolumeFill]
    fileprivate var work: ForkedWork?
    fileprivate var timer: EventLoop.Timer?
    /// Hears once how it went.
    fileprivate var told: ((Failure?) -> Void)?

    fileprivate var doing: String { "cannot mount volume \"\(volume)\"" }

    fileprivate init(
        _ volume: String, _ mount: VolumeMount, _ fills: [VolumeFill], _ told: @escaping (Failure?) -> Void
    ) {
        self.volume = volume
        self.mount = mount
        self.fills = fills
        self.told = told
    }
}

/// An image's directory that an empty volume begins with.
struct VolumeFill {
    var layers: [String]
    var path: String
    /// As `filledVolumes` has it.
    var key: String
}

/// Longer than a journal's replay, shorter than a person's patience; systemd's units have as much (systemd.mount(5)).
private let mountDeadline = Duration.seconds(90)

extension ProjectController {
    /// Mounts those of a container's volumes that are file systems of their own, and gives them what its image has there;
    /// told at once where there is nothing to do.
    /// - Parameter isNew: whether it is being created, and its volumes may be filled.
    func prepareVolumes(
        of request: ContainerRequest, isNew: Bool, _ run: PlanRun?, _ told: @escaping (Failure?) -> Void
    ) {
        var fills: [String: [VolumeFill]] = [:]
        for mount in request.mounts {
            guard case .volume(let name) = mount.source else { continue }
            fills[name, default: []] += []
            if isNew, let fill = volumeFill(name, mount, request) { fills[name]?.append(fill) }
        }
        prepare(fills.sorted { $0.key < $1.key }[...], run, told)
    }

    /// What the image has for a volume mounted so; nil when it is not to be filled.
    func volumeFill(_ name: String, _ mount: MountRequest, _ request: ContainerRequest) -> VolumeFill? {
        guard mount.copyFromImage, mount.subpath == nil else { return nil }
        return VolumeFill(
            layers: request.image.layers, path: mount.target,
            key: "\(name) \(request.image.id) \(mount.target)")
    }

    private func prepare(
        _ wanted: ArraySlice<(key: String, value: [VolumeFill])>, _ run: PlanRun?,
        _ told: @escaping (Failure?) -> Void
    ) {
        guard let (name, fills) = wanted.first else { return told(nil) }
        let further = { [unowned self] (failure: Failure?) in
            if failure != nil { return told(failure) }
            prepare(wanted.dropFirst(), run, told)
        }
        do throws(Failure) {
            guard let mount = try volumes.mount(of: name) else { return further(nil) }
            let errand = VolumeErrand(name, mount, fills, further)
            run?.onCancel.append { [weak self, weak errand] in
                if let errand {
                    self?.abandon(errand, Failure(errand.doing, cause: "the command was ended meanwhile"))
                }
            }
            volumeErrands.append(errand)
            if volumeErrands.count == 1 { begin(errand) }
        } catch {
            told(error)
        }
    }

    private func begin(_ errand: VolumeErrand) {
        // Its turn came, and meanwhile nobody waits any more.
        guard errand.told != nil else { return }
        let volumes = volumes
        let name = errand.volume
        let fills = errand.fills.filter { !filledVolumes.contains($0.key) }
        do throws(Failure) {
            if fills.isEmpty, try volumes.isMounted(name) { return end(errand, nil) }
            do throws(SyscallError) {
                let work = try ForkedWork {
                    do throws(Failure) {
                        try volumes.ensureMounted(name)
                        for fill in fills {
                            try copyUp(from: fill.layers, path: fill.path, into: volumes.dataDirectory(name))
                        }
                        return []
                    } catch {
                        return (try? encodeJSON(error)) ?? Array("{}".utf8)
                    }
                }
                errand.work = work
                try loop.watch(work.descriptor) { [unowned self] _ in ended(errand, work) }
                errand.timer = loop.after(mountDeadline) { [unowned self, unowned errand] in
                    abandon(errand, unanswered(errand))
                }
            } catch {
                errand.work?.kill()
                throw Failure(errand.doing, error)
            }
        } catch {
            end(errand, error)
        }
    }

    private func unanswered(_ errand: VolumeErrand) -> Failure {
        Failure(
            errand.doing,
            cause: "\(errand.mount.device) did not answer within \(mountDeadline.components.seconds) s",
            advice: "see whether it can be reached, and the volume's `driver_opts`")
    }

    private func ended(_ errand: VolumeErrand, _ work: ForkedWork) {
        loop.unwatch(work.descriptor)
        do throws(SyscallError) {
            guard let answer = try work.reap() else {
                return end(errand, Failure(errand.doing, cause: "the process that mounts it was ended"))
            }
            if answer.isEmpty { return end(errand, nil) }
            end(errand, (try? decodeJSON(Failure.self, from: answer)) ?? Failure(errand.doing))
        } catch {
            end(errand, Failure(errand.doing, error))
        }
    }

    /// Nobody waits for volumes any more: all of the project goes.
    func abandonVolumes() {
        for errand in volumeErrands {
            abandon(errand, Failure(errand.doing, cause: "the project is being taken down"))
        }
    }

    /// Waits for it no longer. Its child is reaped when it ends; what it is in the middle of is never attached.
    private func abandon(_ errand: VolumeErrand, _ failure: Failure) {
        if let work = errand.work, errand.told != nil {
            work.kill()
            log("\(failure.doing): process \(work.pid) was told to end, and ends when the kernel lets it")
        }
        end(errand, failure)
    }

    private func end(_ errand: VolumeErrand, _ failure: Failure?) {
        guard let told = errand.told else { return }
        errand.told = nil
        if let timer = errand.timer { loop.cancel(timer) }
        if failure == nil { for fill in errand.fills { filledVolumes.insert(fill.key) } }
        let wasFirst = volumeErrands.first === errand
        volumeErrands.removeAll { $0 === errand }
        if wasFirst, let next = volumeErrands.first { loop.soon { [unowned self] in begin(next) } }
        told(failure)
    }
}
