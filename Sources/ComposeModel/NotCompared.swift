// SPDX-License-Identifier: Apache-2.0

/// A value that takes no part in its owner's equality: where something was written does not make it another.
@propertyWrapper
public struct NotCompared<Value: Sendable>: Sendable, Equatable {
    public var wrappedValue: Value
    public init(wrappedValue: Value) { self.wrappedValue = wrappedValue }
    public static func == (a: Self, b: Self) -> Bool { true }
}
