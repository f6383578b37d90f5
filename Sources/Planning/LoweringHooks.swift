// SPDX-License-Identifier: Apache-2.0
//
// A service's hooks. What runs before its start is a whole container: the service's own with another program, and
// without what only one container can have: published ports, addresses, names.

import Basics
import ComposeModel
import ContainerModel

extension ServiceLowering {
    /// - Parameter stepImages: of `pre_start` with an image of its own, by reference.
    func hooks(beside container: ContainerRequest, stepImages: [String: LoweredImage]) throws(Failure)
        -> HooksRequest?
    {
        var hooks = HooksRequest()
        for hook in service.postStart { hooks.postStart.append(try request(hook, "post_start")) }
        for hook in service.preStop { hooks.preStop.append(try request(hook, "pre_stop")) }
        for hook in service.preStart {
            hooks.preStart.append(
                PreStartRequest(
                    container: try step(hook, beside: container, stepImages), perReplica: hook.perReplica))
        }
        return hooks.isEmpty ? nil : hooks
    }

    private func request(_ hook: Service.Hook, _ attribute: String) throws(Failure) -> HookRequest {
        var request = HookRequest(arguments: try arguments(hook, attribute))
        request.environment = variables(hook)
        request.user = hook.user
        request.workingDirectory = hook.workingDirectory
        request.privileged = hook.privileged
        return request
    }

    private func arguments(_ hook: Service.Hook, _ attribute: String) throws(Failure) -> [String] {
        guard let command = hook.command, !command.isEmpty else {
            throw Failure(
                "service \(quoted(service.name)): a hook of `\(attribute)` has nothing to run",
                advice: "give it a `command`", at: service.marks[attribute])
        }
        return command
    }

    private func variables(_ hook: Service.Hook) -> [String] {
        hook.environment.sorted { $0.key < $1.key }.compactMap { name, value in
            value.map { "\(name)=\($0)" }
        }
    }

    private func step(
        _ hook: Service.Hook, beside container: ContainerRequest, _ stepImages: [String: LoweredImage]
    ) throws(Failure) -> ContainerRequest {
        var step = container
        step.arguments = try arguments(hook, "pre_start")
        if let reference = hook.image {
            guard let image = stepImages[reference] else {
                throw Failure(
                    "service \(quoted(service.name)): a hook of `pre_start` has no image",
                    cause: "\(quoted(reference)) is not in the image store",
                    advice: "import it with `covey image import`", at: service.marks["pre_start"])
            }
            step.image = image.facts
            step.environment = ServiceLowering(project: project, service: service, image: image).environment()
            step.workingDirectory = image.defaults.workingDirectory
            step.user = image.defaults.user
        }
        let own = variables(hook)
        let names = Set(own.map { $0.prefix { $0 != "=" } })
        step.environment = step.environment.filter { !names.contains($0.prefix { $0 != "=" }) } + own
        step.workingDirectory = normalPath(hook.workingDirectory ?? step.workingDirectory)
        if let user = hook.user { step.user = user }
        if hook.privileged {
            var rare = step.rare ?? RareSettings()
            rare.privileged = true
            step.rare = rare
            // As of a privileged service: no filter but one that is asked for by name.
            if rare.seccompProfile == nil { step.seccomp = false }
        }
        step.ports = []
        step.tty = false
        step.stdinOpen = false
        for index in step.networks.indices {
            step.networks[index].aliases = []
            step.networks[index].leaveAddressesToOthers()
        }
        step.labels["com.docker.compose.oneoff"] = "True"
        return step
    }
}
