// SPDX-License-Identifier: Apache-2.0

/// A value that stands in documents and records as its one text. What the text does not parse as is refused by the
/// reader, in the kind's own words.
public protocol CodedAsText: Codable, CustomStringConvertible {
    init?(_ text: String)
    /// For the error: `an IPv6 address`.
    static var kind: String { get }
}

extension CodedAsText {
    public init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let value = Self(text) else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "`\(text)` is not \(Self.kind)"))
        }
        self = value
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
