// SPDX-License-Identifier: Apache-2.0

/// What a container made by `run` is beside its request: a copy of a service's container for one command.
public struct OneOff: Hashable, Codable, Sendable {
    /// One of the steps before a container's start, `pre_start`.
    public struct Step: Hashable, Codable, Sendable {
        /// The container it is before.
        public var container: String
        public var index: Int

        public init(before container: String, index: Int) {
            self.container = container
            self.index = index
        }
    }

    /// The service it was made after.
    public var service: String
    /// Removed when it has ended.
    public var removeAtEnd: Bool
    /// Set when `pre_start` made it.
    public var step: Step?

    public init(service: String, removeAtEnd: Bool, step: Step? = nil) {
        self.service = service
        self.removeAtEnd = removeAtEnd
        self.step = step
    }
}
