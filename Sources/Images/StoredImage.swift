// SPDX-License-Identifier: Apache-2.0

internal import Archives
public import Basics
public import ContainerModel
internal import OCIFormats

/// An image that is ready to run.
public struct StoredImage: Hashable, Sendable {
    public var facts: ImageFacts
    public var defaults: ImageDefaults
    /// Digests of the uncompressed layers, lowest first; empty for `dir:`.
    public var diffIDs: [Digest]
    /// nil for `dir:`.
    public var manifest: Digest?

    public init(facts: ImageFacts, defaults: ImageDefaults, diffIDs: [Digest] = [], manifest: Digest? = nil) {
        self.facts = facts
        self.defaults = defaults
        self.diffIDs = diffIDs
        self.manifest = manifest
    }
}

extension StoredImage {
    /// An image as it will be once it is here, from its config alone: no layer of it is.
    public init(planned reference: String, config: [UInt8]) throws(Failure) {
        let document = try decodeDocument(
            ImageConfig.self, config, title: "the config of \"\(reference)\"")
        self.init(
            facts: ImageFacts(reference: reference, id: Digest(hashing: config), layers: []),
            defaults: ImageDefaults(document.config), diffIDs: document.rootfs.diffIDs)
    }
}

extension ImageDefaults {
    /// What an image's config says a container of it is, unless told otherwise.
    init(_ config: ImageConfig.Defaults?) {
        self.init()
        guard let config else { return }
        environment = config.env ?? []
        entrypoint = config.entrypoint ?? []
        command = config.cmd ?? []
        workingDirectory = config.workingDir ?? ""
        user = config.user ?? ""
        volumes = (config.volumes ?? [:]).keys.sorted()
        exposedPorts = (config.exposedPorts ?? [:]).keys.sorted()
        labels = config.labels ?? [:]
        stopSignal = config.stopSignal.flatMap { $0.isEmpty ? nil : $0 }
        guard let check = config.healthcheck, let test = check.test, let first = test.first else { return }
        switch first {
        case "NONE": healthcheckDisabled = true
        case "CMD": healthcheck = HealthcheckRequest(check, Array(test.dropFirst()))
        case "CMD-SHELL":
            let shell = config.shell.flatMap { $0.isEmpty ? nil : $0 } ?? ["/bin/sh", "-c"]
            healthcheck = HealthcheckRequest(check, shell + test.dropFirst())
        // Docker's oldest form had no keyword.
        default: healthcheck = HealthcheckRequest(check, test)
        }
    }
}

extension HealthcheckRequest {
    fileprivate init?(_ check: ImageConfig.Healthcheck, _ command: [String]) {
        guard !command.isEmpty else { return nil }
        self.init(command: command)
        if let value = check.interval, value > 0 { interval = .nanoseconds(value) }
        if let value = check.timeout, value > 0 { timeout = .nanoseconds(value) }
        if let value = check.startPeriod, value > 0 { startPeriod = .nanoseconds(value) }
        if let value = check.startInterval, value > 0 { startInterval = .nanoseconds(value) }
        if let value = check.retries, value > 0 { retries = value }
    }
}
