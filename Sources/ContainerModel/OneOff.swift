// SPDX-License-Identifier: Apache-2.0

/// What a container made by `run` is beside its request: a copy of a service's container for one command.
public struct OneOff: Hashable, Codable, Sendable {
    /// The service it was made after.
    public var service: String
    /// Removed when it has ended.
    public var removeAtEnd: Bool

    public init(service: String, removeAtEnd: Bool) {
        self.service = service
        self.removeAtEnd = removeAtEnd
    }
}
