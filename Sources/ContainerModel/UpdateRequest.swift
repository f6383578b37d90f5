// SPDX-License-Identifier: Apache-2.0

/// How changed containers of a service take the place of the old ones (deploy.md, update_config and rollback_config).
public struct UpdateRequest: Hashable, Codable, Sendable {
    public enum FailureAction: String, Hashable, Codable, Sendable {
        /// Nothing more is changed, and the update has failed.
        case pause
        case `continue`
        /// What was there before comes back, and the update has failed.
        case rollback
    }
    /// Containers at a time; 0 is all of them.
    public var parallelism = 1
    /// Between two batches.
    public var delay = Duration.zero
    /// How long a new container is looked at before it counts as well.
    public var monitor = Duration.zero
    public var failureAction = FailureAction.pause
    /// Of all containers of the update, how many may fail.
    public var maximumFailureRatio = 0.0
    /// The new container runs before the old one goes.
    public var startsFirst = false
    public init() {}
}
