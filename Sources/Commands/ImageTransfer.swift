// SPDX-License-Identifier: Apache-2.0
//
// ImageTransfer: images fetched from registries and sent there, each layer a line of the progress. It is the client's
// own work, as building is (docs/decisions/003).

internal import Basics
internal import Images
internal import Kernel
internal import Registry

/// Fetches and sends for one command; what registries were told and tokens they gave live as long.
final class ImageTransfer {
    let access: RegistryAccess
    private let store: ImageStore
    private let progress: Progress

    init(_ session: Session, _ store: ImageStore, _ progress: Progress) throws(Failure) {
        access = try RegistryAccess(environment: session.invocation.environment)
        self.store = store
        self.progress = progress
    }

    /// Brings an image in, or finds that what is here is what the registry has.
    /// - name: what it is called in the store, the reference unless said otherwise.
    func pull(_ reference: String, as name: String? = nil) throws(Failure) -> PulledImage {
        let task = progress.begin("Image", name ?? reference, doing: "Pulling", done: "Pulled")
        let layers = LayerList(progress, of: reference, doing: "Downloading", done: "Pull complete")
        // Ctrl-C ends the process at once; what it had begun to fetch goes first.
        let store = store
        let interruption = try? Interruption { store.abandonIntakes() }
        defer { withExtendedLifetime(interruption) {} }
        do throws(Failure) {
            let pulled = try access.pull(
                reference, as: name, into: store, time: realtimeNanoseconds() / 1_000_000_000
            ) { layers.show($0) }
            for note in pulled.notes { progress.notice("\(reference): \(note)") }
            progress.update(task, .done)
            return pulled
        } catch {
            layers.fail()
            progress.update(task, .failed)
            throw error
        }
    }

    /// Sends an image to the registry its name says.
    func push(_ reference: String) throws(Failure) -> Digest {
        guard let image = try store.lookUp(reference) else {
            throw Failure(
                "cannot push \"\(reference)\"", cause: "it is not in the store",
                advice: "covey build, or covey image tag IMAGE \(reference)")
        }
        let task = progress.begin("Image", reference, doing: "Pushing", done: "Pushed")
        let layers = LayerList(progress, of: reference, doing: "Uploading", done: "Pushed")
        do throws(Failure) {
            let digest = try access.push(image, as: reference, from: store) { layers.show($0) }
            progress.update(task, .done)
            return digest
        } catch {
            layers.fail()
            progress.update(task, .failed)
            throw error
        }
    }
}

/// The layers of one image as tasks of the progress.
final class LayerList {
    private let progress: Progress
    private let title: String
    private let doing: String
    private let done: String
    private var tasks: [Digest: Int] = [:]
    private var rates: [Digest: TransferRate] = [:]

    init(_ progress: Progress, of title: String, doing: String, done: String) {
        self.progress = progress
        self.title = title
        self.doing = doing
        self.done = done
    }

    func show(_ layers: [LayerTransfer]) {
        if !progress.showsLayers { return }
        let now = monotonicNanoseconds()
        for layer in layers where layer.phase != .waiting {
            let task = tasks[layer.digest] ?? begin(layer)
            tasks[layer.digest] = task
            switch layer.phase {
            case .waiting: break
            case .moving:
                rates[layer.digest, default: TransferRate(now)].add(layer.moved, at: now)
                let text = transferText(layer.moved, of: layer.size, rates[layer.digest])
                progress.note(task, text, moved: layer.moved, of: layer.size)
            case .finished, .alreadyThere, .mounted: progress.update(task, .done)
            case .failed: progress.update(task, .failed)
            }
        }
        progress.tick()
    }

    /// What was under way when the whole ended.
    func fail() {
        for task in tasks.values where progress.state.tasks[task].state == .working {
            progress.update(task, .failed)
        }
    }

    private func begin(_ layer: LayerTransfer) -> Int {
        let name = String(layer.digest.hex.prefix(12))
        switch layer.phase {
        case .alreadyThere: return progress.begin("Layer", name, doing: doing, done: "Already exists")
        case .mounted:
            return progress.begin("Layer", name, doing: doing, done: "Mounted from another repository")
        default: return progress.begin("Layer", name, doing: doing, done: done)
        }
    }
}

/// Bytes in a second, over the last few looks.
struct TransferRate {
    private var looks: [(time: Int64, bytes: Int64)]

    init(_ now: Int64) { looks = [(now, 0)] }

    mutating func add(_ bytes: Int64, at now: Int64) {
        looks.append((now, bytes))
        if looks.count > 30 { looks.removeFirst() }
    }

    /// nil until there is a span to tell it from.
    var bytesPerSecond: Int64? {
        guard let first = looks.first, let last = looks.last, last.time - first.time > 200_000_000 else {
            return nil
        }
        return Int64(Double(last.bytes - first.bytes) * 1e9 / Double(last.time - first.time))
    }
}

/// `12.3MB/45.6MB  8.1MB/s  4s left`
func transferText(_ moved: Int64, of size: Int64, _ rate: TransferRate?) -> String {
    var text = "\(humanSize(bytes: moved))/\(humanSize(bytes: size))"
    if let rate = rate?.bytesPerSecond, rate > 0 {
        text += "  \(humanSize(bytes: rate))/s  \((size - moved + rate - 1) / rate)s left"
    }
    return text
}
