// SPDX-License-Identifier: Apache-2.0
//
// Pulling: the documents first, one after the other; then the layers at once, each unpacked while it comes.

internal import Archives
public import Basics
public import Images
internal import Kernel
public import OCIFormats

/// What a pull came to.
public struct PulledImage: Sendable {
    public var image: StoredImage
    /// Digest of what the registry has under the name.
    public var digest: Digest
    /// False when all of it was here before.
    public var isNew: Bool
    /// Mirrors that did not give it, and why.
    public var notes: [String]
}

/// What a registry has under a name: all of it but the layers' bytes.
public struct OfferedImage: Sendable {
    public var digest: Digest
    public var config: [UInt8]
    public var layers: [Descriptor]
}

extension RegistryAccess {
    /// What a pull would bring, for this host.
    public func offer(_ reference: String) throws(Failure) -> OfferedImage {
        let name = try RegistryName(reference)
        let platform = Platform(architecture: hostArchitecture, os: "linux")
        let image = try eachPlace(name, "cannot ask for \"\(reference)\"") { (client) throws(Failure) in
            try client.image(name.reference, platform)
        }.value
        return OfferedImage(digest: image.named, config: image.config, layers: image.layers)
    }

    /// What the registry has under a name, without fetching it.
    public func digest(of reference: String) throws(Failure) -> Digest {
        let name = try RegistryName(reference)
        if let digest = name.digest { return digest }
        return try eachPlace(name, "cannot ask for \"\(reference)\"") { (client) throws(Failure) in
            try client.digest(of: name.reference)
        }.value
    }

    /// Brings an image into the store.
    /// - name: what it is called there, the reference unless said otherwise.
    /// - time: seconds since 1970, kept with it.
    /// - report: called now and then on the caller's thread.
    public func pull(
        _ reference: String, as name: String? = nil, platform: Platform? = nil, into store: ImageStore,
        time: Int64,
        report: ([LayerTransfer]) -> Void
    ) throws(Failure) -> PulledImage {
        let remote = try RegistryName(reference)
        try ImageStore.checkName(name ?? reference)
        let platform = platform ?? Platform(architecture: hostArchitecture, os: "linux")
        let doing = "cannot pull \"\(reference)\""
        let (image, place, notes) = try eachPlace(remote, doing) { (client) throws(Failure) in
            try client.image(remote.reference, platform)
        }
        // One that is damaged here, or half gone, is fetched as if it were not.
        let before = try? store.lookUp(name ?? reference)
        if before?.manifest == image.digest, let before {
            try store.notePulled(name ?? reference, image.named, time: time)
            return PulledImage(image: before, digest: image.named, isNew: false, notes: notes)
        }
        let intake = try ImageIntake(store, title: reference)
        let counters = image.layers.map { TransferCounter($0.digest, $0.size) }
        let failures = FailureList()
        // A layer that occurs twice is fetched once.
        var wanted: [Int] = []
        var seen: Set<Digest> = []
        for (number, layer) in image.layers.enumerated() {
            if seen.insert(layer.digest).inserted {
                wanted.append(number)
            } else {
                counters[number].set(.alreadyThere)
            }
        }
        let numbers = wanted
        do throws(SyscallError) {
            try runJobs(numbers.count, width: settings.parallel, every: .milliseconds(100)) { job in
                if !failures.isEmpty { return }
                let number = numbers[job]
                let counter = counters[number]
                do throws(Failure) {
                    try self.fetch(image, number, place, doing, intake, counter)
                } catch {
                    counter.set(.failed)
                    failures.add(error)
                }
            } meanwhile: {
                report(counters.map(\.state))
            }
        } catch {
            throw Failure(doing, error)
        }
        report(counters.map(\.state))
        if let failure = Failure.collect(failures.all) { throw failure }
        let stored = try intake.finish(
            name ?? reference, manifest: image.manifest, mediaType: image.mediaType, config: image.config,
            pulled: image.named, time: time)
        return PulledImage(image: stored, digest: image.named, isNew: true, notes: notes)
    }

    /// One layer, on a thread of its own.
    private func fetch(
        _ image: RemoteImage, _ number: Int, _ place: RegistryPlace, _ doing: String, _ intake: ImageIntake,
        _ counter: TransferCounter
    ) throws(Failure) {
        let (layer, diffID) = (image.layers[number], image.diffIDs[number])
        if try intake.has(layer, diffID) { return counter.set(.alreadyThere) }
        counter.set(.moving)
        let client = RegistryClient(
            place, self, scopes: ["repository:\(place.repository):pull"], doing: doing)
        try intake.take(BlobSource(client, layer, counter), layer, diffID, number: number)
        counter.set(.finished)
    }

    /// The first place that answers; why the others did not goes along.
    func eachPlace<Value>(
        _ name: RegistryName, _ doing: String, _ ask: (RegistryClient) throws(Failure) -> Value
    ) throws(Failure) -> (value: Value, place: RegistryPlace, notes: [String]) {
        var notes: [String] = []
        let places = try settings.places(for: name, pulling: true)
        for place in places {
            let client = RegistryClient(
                place, self, scopes: ["repository:\(place.repository):pull"], doing: doing)
            do throws(Failure) {
                return (try ask(client), place, notes)
            } catch {
                if !place.isMirror { throw error }
                notes.append("the mirror \(place.host) did not help: \(error.cause ?? error.doing)")
            }
        }
        throw Failure(doing, cause: "no place to ask is left")
    }
}
