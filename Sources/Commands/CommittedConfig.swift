// SPDX-License-Identifier: Apache-2.0
//
// CommittedConfig: what a container's service gave it over its image's defaults, as defaults of the image that `commit` makes
// of it: run without a word more, it is that container again. What belongs to the container alone, its networks, mounts and
// limits, stays with it.

internal import Basics
internal import ContainerModel
internal import JSONFormat
internal import Kernel
internal import OCIFormats

/// The service a container was made from, by the container's record.
func recordedService(_ path: String, _ doing: String) throws(Failure) -> ServiceRequest {
    struct Record: Decodable { var service: ServiceRequest }
    let bytes = try naming(doing) { () throws(SyscallError) in try readFile(path) }
    do { return try decodeJSON(Record.self, from: bytes).service } catch {
        throw Failure(doing, cause: "\(path): \(error)")
    }
}

extension ImageConfig {
    /// This image's config with the settings of a container that was made of it.
    func holding(_ service: ServiceRequest) -> ImageConfig {
        let container = service.container
        var own = config ?? Defaults()
        // Which of its arguments are the entrypoint a container doesn't say: the image's, where they begin with it.
        if !container.arguments.starts(with: own.entrypoint ?? []) { own.entrypoint = nil }
        let command = Array(container.arguments.dropFirst(own.entrypoint?.count ?? 0))
        own.cmd = command.isEmpty ? nil : command
        own.env = container.environment
        own.user = container.user.isEmpty ? nil : container.user
        own.workingDir = container.workingDirectory
        // By these two, tools find the containers of a project: they are no image's.
        let labels = container.labels.filter {
            !["com.docker.compose.project", "com.docker.compose.service"].contains($0.key)
        }
        own.labels = labels.isEmpty ? nil : labels
        if own.stopSignal != nil || container.stopSignal != "SIGTERM" {
            own.stopSignal = container.stopSignal
        }
        for port in container.ports {
            own.exposedPorts = own.exposedPorts ?? [:]
            own.exposedPorts?["\(port.target)/\(port.proto.rawValue)"] = Empty()
        }
        if let check = service.healthcheck {
            var kept = Healthcheck()
            kept.test = ["CMD"] + check.command
            kept.interval = check.interval.nanoseconds
            kept.timeout = check.timeout.nanoseconds
            kept.startPeriod = check.startPeriod.nanoseconds
            kept.startInterval = check.startInterval.nanoseconds
            kept.retries = check.retries
            own.healthcheck = kept
        } else if own.healthcheck != nil {
            own.healthcheck?.test = ["NONE"]
        }
        var held = self
        held.config = own
        return held
    }
}
