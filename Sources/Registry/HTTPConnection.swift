// SPDX-License-Identifier: Apache-2.0
//
// One HTTP exchange at a time over libcurl, its body pulled chunk by chunk. Whoever is silent or slower than the least
// rate for the stall time is given up; redirects and second tries are the caller's. A connection belongs to one thread
// at a time; there are as many as there are layers under way.

internal import Archives
internal import Basics
internal import CLibraries
internal import CLinux
internal import Kernel

/// Why an exchange came to nothing.
enum TransferError: Error, Equatable {
    /// curl's code and words.
    case broken(code: Int32, text: String)
    case stalled(seconds: Int64)
    case missingLibrary(String)
    case tooLarge(limit: Int)

    /// curl.h: what another try may mend: no host, no connection, a partial file, a stalled handshake, nothing sent or
    /// received, and an HTTP/2 stream or a TLS connection that broke.
    var isWorthAnotherTry: Bool {
        if case .broken(let code, _) = self { return [6, 7, 16, 18, 28, 35, 52, 55, 56, 92].contains(code) }
        return false
    }

    /// CURLE_OPERATION_TIMEDOUT: nobody took the connection in its time. What is silent twice is silent.
    var isTimeout: Bool {
        if case .broken(let code, _) = self { return code == 28 }
        return false
    }

    /// CURLE_SSL_CONNECT_ERROR: no TLS is spoken there.
    var isNoTLS: Bool {
        if case .broken(let code, _) = self { return code == 35 }
        return false
    }

    var cause: String {
        switch self {
        case .broken(_, let text): text.isEmpty ? "the connection broke" : text
        case .stalled(let seconds): "the transfer stalled: less than 1 KiB came in \(seconds) s"
        case .missingLibrary(let name): "\(name) could not be opened"
        case .tooLarge(let limit): "the answer is larger than the \(limit) bytes allowed for it"
        }
    }

    var advice: String? {
        switch self {
        case .broken(60, _):
            "put the registry's CA certificate into /etc/containers/certs.d/HOST:PORT/ca.crt"
        // CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_CONNECT (libcurl-errors(3)).
        case .broken(6, _), .broken(7, _):
            "check the name and the network; an image of your own is built, or taken in by `covey image import`"
        case .broken, .stalled: nil
        case .missingLibrary: "apt-get install libcurl4"
        case .tooLarge: nil
        }
    }
}

/// What a TLS connection to one host needs beside the system's certificates.
struct TLSSettings: Hashable, Sendable {
    /// Files of PEM certificates, the system's own besides.
    var authorities: [String] = []
    var clientCertificate: String?
    var clientKey: String?
    /// False only where the user's registries.conf says `insecure`.
    var verifies = true
}

struct HTTPRequest {
    enum Body {
        case none
        case bytes([UInt8])
        /// A whole file from an offset.
        case file(SharedFD, offset: Int64, length: Int64)
    }
    var method: String
    var url: HTTPURL
    var headers: [(name: String, value: String)] = []
    var body = Body.none
}

/// A response's head.
struct HTTPResponse {
    var status: Int
    /// Names in lower case, in the order they came.
    var headers: [(name: String, value: String)]

    subscript(name: String) -> String? { headers.last { $0.name == name }?.value }
    func all(_ name: String) -> [String] { headers.filter { $0.name == name }.map(\.value) }
}

final class HTTPConnection {
    private var handle: OpaquePointer?
    /// The request's body, kept until the exchange has ended.
    private var sentBytes: UnsafeMutableRawBufferPointer?
    private var sentFile: SharedFD?
    private let stall: Duration
    /// Bytes the stall time must bring.
    private static let leastBytes: Int64 = 1024
    /// After an upload's last byte the registry has work of its own: it verifies and moves what it got.
    private static let extraForUpload: Int64 = 95_000_000_000
    private var sentAll: Bool {
        guard let handle, sentLength > 0 else { return false }
        return library_http_sent(handle) == sentLength
    }
    private var sentLength: Int64 = 0
    private var windowLeft: Int64 = 0
    private var windowBytes: Int64 = 0
    /// Called now and then while waiting, with the bytes sent so far.
    var onProgress: ((_ sent: Int64) -> Void)?

    init(stall: Duration) { self.stall = stall }

    deinit {
        if let handle { library_http_free(handle) }
        sentBytes?.deallocate()
    }

    /// Sends a request and waits for the response's head.
    func send(_ request: HTTPRequest, tls: TLSSettings) throws(TransferError) -> HTTPResponse {
        let handle = try open()
        library_http_reset(handle)
        sentBytes?.deallocate()
        sentBytes = nil
        sentFile = nil
        sentLength = 0
        try configure(handle, request, tls)
        windowLeft = stall.nanoseconds
        windowBytes = 0
        guard library_http_start(handle) == 0 else { throw .broken(code: 2, text: "curl could not start") }
        while true {
            let running = try step(handle)
            var (length, complete) = (0, Int32(0))
            let bytes = library_http_head(handle, &length, &complete)
            if complete != 0 {
                let text = UnsafeRawBufferPointer(start: bytes, count: length)
                return try parse(String(decoding: text, as: UTF8.self))
            }
            if !running { throw failure(handle) ?? .broken(code: 52, text: "no answer came") }
        }
    }

    /// The next bytes of the body, at most 256 KiB, valid until the next call; empty at its end.
    func next() throws(TransferError) -> UnsafeRawBufferPointer {
        guard let handle else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        if taken > 0 { library_http_take(handle, taken) }
        taken = 0
        while true {
            var length = 0
            let running: Bool
            if let bytes = library_http_body(handle, &length), length > 0 {
                taken = min(length, 256 << 10)
                return UnsafeRawBufferPointer(start: bytes, count: taken)
            }
            running = try step(handle)
            _ = library_http_body(handle, &length)
            if !running, length == 0 {
                if let failure = failure(handle) { throw failure }
                return UnsafeRawBufferPointer(start: nil, count: 0)
            }
        }
    }
    private var taken = 0

    func body(limit: Int) throws(TransferError) -> [UInt8] {
        var result: [UInt8] = []
        while true {
            let chunk = try next()
            if chunk.isEmpty { return result }
            if result.count + chunk.count > limit { throw .tooLarge(limit: limit) }
            result += chunk
        }
    }

    // MARK: -

    private func open() throws(TransferError) -> OpaquePointer {
        if let handle { return handle }
        if let missing = library_curl_open() { throw .missingLibrary(String(cString: missing)) }
        guard let new = library_http_make() else { throw .broken(code: 27, text: "out of memory") }
        handle = new
        return new
    }

    private func configure(_ handle: OpaquePointer, _ request: HTTPRequest, _ tls: TLSSettings)
        throws(TransferError)
    {
        taken = 0
        library_http_set_text(handle, CurlOption.url, request.url.text)
        library_http_set_text(handle, CurlOption.userAgent, "covey")
        let patience = min(10_000, stall.nanoseconds / 1_000_000)
        library_http_set_number(handle, CurlOption.connectTimeoutMilliseconds, Int(patience))
        library_http_set_number(handle, CurlOption.verifyPeer, tls.verifies ? 1 : 0)
        library_http_set_number(handle, CurlOption.verifyHost, tls.verifies ? 2 : 0)
        if let path = try authorities(tls) { library_http_set_text(handle, CurlOption.authorities, path) }
        if let path = tls.clientCertificate { library_http_set_text(handle, CurlOption.certificate, path) }
        if let path = tls.clientKey { library_http_set_text(handle, CurlOption.key, path) }
        switch (request.method, request.body) {
        case ("GET", .none): library_http_set_number(handle, CurlOption.get, 1)
        case ("HEAD", .none): library_http_set_number(handle, CurlOption.noBody, 1)
        default:
            library_http_set_number(handle, CurlOption.upload, 1)
            library_http_set_text(handle, CurlOption.method, request.method)
            switch request.body {
            case .none: library_http_send_bytes(handle, nil, 0)
            case .bytes(let bytes):
                let copy = UnsafeMutableRawBufferPointer.allocate(
                    byteCount: max(1, bytes.count), alignment: 1)
                copy.copyBytes(from: bytes)
                sentBytes = copy
                sentLength = Int64(bytes.count)
                library_http_send_bytes(handle, copy.baseAddress, Int64(bytes.count))
            case .file(let file, let offset, let length):
                sentFile = file
                sentLength = length
                library_http_send_file(handle, file.raw, offset, length)
            }
        }
        for header in request.headers {
            // No header of ours is folded, and none may smuggle another one in.
            guard header.value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f }) else {
                throw .broken(code: 43, text: "the header \(header.name) holds a control character")
            }
            library_http_add_header(handle, "\(header.name): \(header.value)")
        }
        // Waiting for `100 Continue` costs a second with servers that don't know it.
        library_http_add_header(handle, "Expect:")
    }

    /// Several files become one beside the system's directory, which curl looks into as well.
    private var joined: (key: [String], file: SharedFD)?
    private func authorities(_ tls: TLSSettings) throws(TransferError) -> String? {
        if tls.authorities.count <= 1 { return tls.authorities.first }
        if let joined, joined.key == tls.authorities { return "/proc/self/fd/\(joined.file.raw)" }
        do throws(SyscallError) {
            let file = SharedFD(try memoryFile("authorities"))
            for path in tls.authorities { try writeAll(file.raw, try readFile(path) + [0x0a]) }
            joined = (tls.authorities, file)
            return "/proc/self/fd/\(file.raw)"
        } catch {
            throw .broken(code: 77, text: error.description)
        }
    }

    /// True while the exchange goes on.
    private func step(_ handle: OpaquePointer) throws(TransferError) -> Bool {
        let before = monotonicNanoseconds()
        let moved = library_http_moved(handle)
        let running = library_http_step(handle, 500) != 0
        onProgress?(library_http_sent(handle))
        windowBytes += library_http_moved(handle) - moved
        windowLeft -= monotonicNanoseconds() - before
        if windowBytes >= HTTPConnection.leastBytes {
            windowBytes = 0
            windowLeft = stall.nanoseconds
        } else if windowLeft <= (sentAll ? -HTTPConnection.extraForUpload : 0), running {
            throw .stalled(seconds: stall.nanoseconds / 1_000_000_000)
        }
        return running
    }

    private func failure(_ handle: OpaquePointer) -> TransferError? {
        let code = library_http_result(handle)
        if code == 0 { return nil }
        return .broken(code: code, text: String(cString: library_http_error(handle)))
    }

    private func parse(_ head: String) throws(TransferError) -> HTTPResponse {
        var lines = head.split(whereSeparator: { $0 == "\r\n" || $0 == "\n" })[...]
        let words = (lines.popFirst() ?? "").split(separator: " ", maxSplits: 2)
        guard words.count >= 2, let status = Int(words[1]), (100...599).contains(status) else {
            throw .broken(code: 8, text: "the answer has no status")
        }
        var headers: [(name: String, value: String)] = []
        for line in lines {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
            headers.append((line[..<colon].lowercased(), String(value)))
        }
        return HTTPResponse(status: status, headers: headers)
    }
}

/// curl.h, CURLOPT_…
private enum CurlOption {
    static let url: Int32 = 10002
    static let userAgent: Int32 = 10018
    static let certificate: Int32 = 10025
    static let method: Int32 = 10036
    static let noBody: Int32 = 44
    static let upload: Int32 = 46
    static let verifyPeer: Int32 = 64
    static let authorities: Int32 = 10065
    static let get: Int32 = 80
    static let verifyHost: Int32 = 81
    static let key: Int32 = 10087
    static let connectTimeoutMilliseconds: Int32 = 156
}
