// SPDX-License-Identifier: Apache-2.0
//
// The network namespace of a container to come, made while its launch is prepared (CLaunch/beside.c).

internal import CLaunch
internal import Kernel
internal import OCIFormats

/// One that is being made. It is given out once; one that nobody takes goes with this.
final class NetworkBeside: Sendable {
    /// nil where none is wanted. One for a user namespace of the container's own is made in that.
    init?(_ config: RuntimeConfig) {
        let namespaces = config.linux.namespaces
        guard namespaces.contains(where: { $0.kind == .network && $0.path == nil }),
            !namespaces.contains(where: { $0.kind == .user })
        else { return nil }
        covey_begin_network()
    }

    /// nil where it can't be made: the clone tries again, and says why.
    func take() -> SharedFD? {
        let network = covey_end_network()
        return network < 0 ? nil : SharedFD(OwnedFD(taking: network))
    }

    deinit { _ = take() }
}
