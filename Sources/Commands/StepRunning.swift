// SPDX-License-Identifier: Apache-2.0
//
// How a build's RUN steps are run: in the container runtime, by this process.

internal import Basics
internal import Cgroups
internal import ContainerModel
internal import ContainerRuntime
internal import ImageBuild
internal import Kernel
internal import LaunchPlanning

/// Runs steps on this host; what is probed of it is probed at the first step.
func stepRunner(root: String) -> StepRunner {
    var facts: HostFacts?
    var filters = SeccompFilters()
    return StepRunner { (step: StepRequest) throws(Failure) -> Int32 in
        let host: HostFacts
        if let known = facts {
            host = known
        } else {
            do throws(SyscallError) { host = try HostFacts.probe() } catch {
                throw Failure("cannot run build steps", error)
            }
            guard !isInChroot() else {
                throw Failure(
                    "cannot run build steps",
                    cause: "this shell is in a chroot, out of which steps could climb",
                    advice: "run covey outside of it")
            }
            facts = host
        }
        var request = ContainerRequest(
            image: ImageFacts(reference: "build", id: Digest(of: []), layers: step.lowers),
            arguments: step.arguments)
        request.environment = step.environment
        request.workingDirectory = step.workingDirectory
        request.user = step.user
        var cgroup = try StepCgroup()
        defer { cgroup.remove() }
        // Where no cgroup can be made there is no device policy: without this capability it opens none of the host's devices.
        if !cgroup.hasDevicePolicy { request.capDrop = ["MKNOD"] }
        let mountPoint = step.work + ".root"
        do throws(SyscallError) { try ensureDirectory(mountPoint, mode: 0o700) } catch {
            throw Failure("cannot run a build step", error)
        }
        defer { try? removeDirectory(mountPoint) }
        var container = StepContainer(
            lowers: step.lowers, upper: step.upper, work: step.work, mountPoint: mountPoint,
            hostNetwork: step.network)
        container.cgroupTaskFiles = cgroup.taskFiles
        container.cgroupDirectory = cgroup.cloneInto
        let end = try runStep(request, in: container, host: host, filters: &filters, output: step.output)
        return Int32(end.code)
    }
}
