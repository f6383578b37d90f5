// SPDX-License-Identifier: Apache-2.0
//
// Numbers that are digits and nothing else. Swift's initializers take a sign as well, so that `+80` would be a port.

/// A number written in the digits of its base alone; nil for a sign, white space, no digit, or one too large.
public func digits<Number: FixedWidthInteger>(
    _ text: some StringProtocol, radix: Int = 10, as type: Number.Type = Number.self
) -> Number? {
    guard let first = text.utf8.first, first != UInt8(ascii: "+"), first != UInt8(ascii: "-") else {
        return nil
    }
    return Number(text, radix: radix)
}
