// SPDX-License-Identifier: Apache-2.0
//
// A blob as a stream that survives breaks: what has come is kept, and the rest is asked for by Range (RFC 9110, 14.2).
// The digest is whoever's reads it; here only the length is held against what the manifest said.

internal import Archives
internal import Basics
internal import Kernel
internal import OCIFormats

final class BlobSource: ByteSource {
    private let client: RegistryClient
    private let descriptor: Descriptor
    private let counter: TransferCounter
    private var received: Int64 = 0
    private var isOpen = false
    /// Bytes at the beginning of the answer that were had before: the registry does not know Range.
    private var toDrop: Int64 = 0
    /// Breaks since the last byte.
    private var breaks = 0

    init(_ client: RegistryClient, _ descriptor: Descriptor, _ counter: TransferCounter) {
        self.client = client
        self.descriptor = descriptor
        self.counter = counter
    }

    func next() throws(ArchiveError) -> UnsafeRawBufferPointer {
        while true {
            if received == descriptor.size, isOpen {
                try checkEnd()
                return UnsafeRawBufferPointer(start: nil, count: 0)
            }
            var chunk: UnsafeRawBufferPointer
            do throws(TransferError) {
                if !isOpen { try open() }
                chunk = try client.connection.next()
            } catch {
                guard error.isWorthAnotherTry else { throw error.asArchiveError(client, descriptor) }
                try interrupted(error.cause)
                continue
            }
            if chunk.isEmpty {
                if descriptor.size == 0 { return chunk }
                try interrupted("it ended after \(received) of \(descriptor.size) bytes")
                continue
            }
            if toDrop > 0 {
                let count = Int(min(toDrop, Int64(chunk.count)))
                toDrop -= Int64(count)
                chunk = UnsafeRawBufferPointer(rebasing: chunk[count...])
                if chunk.isEmpty { continue }
            }
            guard received + Int64(chunk.count) <= descriptor.size else { throw tooLong() }
            breaks = 0
            received += Int64(chunk.count)
            counter.add(Int64(chunk.count))
            return chunk
        }
    }

    private func tooLong() -> ArchiveError {
        .source(
            cause:
                "\(client.place.host) sends more for \(descriptor.digest) than the \(descriptor.size) bytes of its manifest",
            advice: "the image was changed or is meant to do harm; it is not used")
    }

    /// After the last byte nothing may follow.
    private func checkEnd() throws(ArchiveError) {
        isOpen = false
        if let rest = try? client.connection.next(), !rest.isEmpty { throw tooLong() }
        isOpen = true
    }

    private func interrupted(_ why: String) throws(ArchiveError) {
        isOpen = false
        breaks += 1
        guard breaks < client.access.settings.attempts else {
            throw .source(
                cause:
                    "\(client.place.host) broke off \(breaks) times at byte \(received) of \(descriptor.digest): \(why)",
                advice: "try again; what is complete is kept")
        }
        pauseBetweenLooks(.milliseconds(250 << min(breaks - 1, 4)))
    }

    private func open() throws(TransferError) {
        do throws(Failure) {
            var request = HTTPRequest(method: "GET", url: try client.url("blobs/\(descriptor.digest)"))
            if received > 0 { request.headers.append(("Range", "bytes=\(received)-\(descriptor.size - 1)")) }
            let response = try client.exchange(request, wanted: [200, 206])
            toDrop = received
            if response.status == 206 {
                // `bytes 100-199/200`
                let range = (response["content-range"] ?? "").split(whereSeparator: { " -/".contains($0) })
                guard range.count >= 2, Int64(range[1]) == received else {
                    throw Failure(
                        client.doing, cause: "\(client.place.host) answered another range than was asked for")
                }
                toDrop = 0
            }
            isOpen = true
        } catch {
            throw .broken(code: -1, text: error.cause ?? error.doing)
        }
    }
}

extension TransferError {
    fileprivate func asArchiveError(_ client: RegistryClient, _ descriptor: Descriptor) -> ArchiveError {
        if case .broken(-1, let text) = self { return .source(cause: text, advice: nil) }
        return .source(cause: "\(client.place.host), \(descriptor.digest): \(cause)", advice: advice)
    }
}
