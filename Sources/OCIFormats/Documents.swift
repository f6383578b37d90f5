// SPDX-License-Identifier: Apache-2.0
//
// OCIFormats: the documents of images (OCI image-spec 1.1; Docker's schema 2 and docker-archive, which are their
// ancestors and near enough to share types) as values; JSON in and out. No files, no network, nothing decided.

public import Basics
internal import JSONFormat

/// No honest image document is larger; reading stops there (containerd CVE-2023-25153 was its absence).
public let documentLimit = 8 << 20

/// Reads a document.
/// - title: for messages, `the manifest sha256:…`.
public func decodeDocument<Document: Decodable>(
    _ type: Document.Type, _ bytes: [UInt8], title: String, limit: Int = documentLimit
) throws(Failure) -> Document {
    guard bytes.count <= limit else {
        throw Failure("cannot read \(title)", cause: "it has \(bytes.count) bytes; \(limit) are allowed")
    }
    do {
        return try decodeJSON(type, from: bytes)
    } catch let error as DecodingError {
        throw Failure("cannot read \(title)", cause: explain(error))
    } catch {
        throw Failure("cannot read \(title)", cause: "\(error)")
    }
}

/// Writes a document with sorted keys: equal values give equal bytes, and so equal digests.
public func encodeDocument(_ document: some Encodable) throws(Failure) -> [UInt8] {
    do {
        return try encodeJSON(document)
    } catch {
        throw Failure("cannot write an image document", cause: "\(error)")
    }
}

private func explain(_ error: DecodingError) -> String {
    func path(_ context: DecodingError.Context) -> String {
        let path = context.codingPath.map(\.stringValue).joined(separator: ".")
        return path.isEmpty ? "" : " at `\(path)`"
    }
    switch error {
    case .keyNotFound(let key, let context): return "`\(key.stringValue)` is missing\(path(context))"
    case .typeMismatch(_, let context), .valueNotFound(_, let context):
        return "a value of the wrong type\(path(context))"
    case .dataCorrupted(let context): return context.debugDescription + path(context)
    @unknown default: return "\(error)"
    }
}
