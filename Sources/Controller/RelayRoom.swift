// SPDX-License-Identifier: Apache-2.0
//
// RelayRoom: how many descriptors all relays of a project may have together. A controller without any left can start no
// container and answer no command, so half of what it may have, beside a few for itself, is not for strangers' connections.

internal import Kernel

/// Belongs to the loop's thread.
final class RelayRoom {
    /// Two sockets and a pipe for each direction.
    static let ofConnection = 6
    /// A socket.
    static let ofFlow = 1
    private static let own = 256

    private let most: Int
    private var taken = 0

    init(limit: Int = descriptorLimit()) { most = max(4 * Self.ofConnection, (limit - Self.own) / 2) }

    /// False when there are not so many left.
    func take(_ count: Int) -> Bool {
        guard taken + count <= most else { return false }
        taken += count
        return true
    }

    func giveBack(_ count: Int) { taken -= count }
}
