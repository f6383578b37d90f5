// SPDX-License-Identifier: Apache-2.0
//
// A file from an ordinary web server, for whoever names its URL: no credential is sent to anybody, TLS is not left on the
// way, the size has a limit and silence an end. What is known already is asked for by its validators (RFC 9110, 13.1).

public import Basics
internal import Archives
internal import CLinux
public import Kernel

/// What a server says of a file beside its bytes.
public struct RemoteFileFacts: Hashable, Sendable {
    /// The validators, as they came.
    public var entityTag: String?
    public var lastModified: String?
    public var digest: Digest

    /// Last-Modified in seconds since 1970.
    public var modified: Int64? { lastModified.flatMap(parseHTTPDate) }

    public init(entityTag: String?, lastModified: String?, digest: Digest) {
        self.entityTag = entityTag
        self.lastModified = lastModified
        self.digest = digest
    }
}

extension RegistryAccess {
    /// Fetches a file; nil when it is what `known` says.
    /// - file: empty; what was written of a try that broke is taken back.
    /// - limit: bytes it may have.
    /// - allowsPlainHTTP: also elsewhere than on this machine: for what is held against a digest afterwards.
    public func download(
        _ text: String, known: RemoteFileFacts?, limit: Int64, allowsPlainHTTP: Bool, into file: SharedFD,
        alive: @escaping () -> Void
    ) throws(Failure) -> RemoteFileFacts? {
        let doing = "cannot fetch \(text.prefix { $0 != "?" && $0 != "#" })"
        guard let first = HTTPURL(text) else {
            throw Failure(
                doing, cause: "it is no URL of http or https that is read one way only",
                advice: text.contains("@")
                    ? "a user and a password in a URL are not sent: fetch it in a RUN step with a secret"
                    : "escape what is no letter of a URL as %XX")
        }
        let connection = HTTPConnection(stall: settings.stall)
        connection.onProgress = { _ in alive() }
        var url = first
        var (hops, tries) = (0, 1)
        while true {
            guard url.isSecure || allowsPlainHTTP || HTTPURL.isLoopback(url.authority) else {
                throw Failure(
                    doing,
                    cause: (hops > 0 ? "it redirects to \(url.shown), which" : "it")
                        + " is plain HTTP, and anybody on the way can change it",
                    advice: "use https, or say what it has to be: ADD --checksum=sha256:…")
            }
            var request = HTTPRequest(method: "GET", url: url)
            if let tag = known?.entityTag { request.headers.append(("If-None-Match", tag)) }
            if let time = known?.lastModified, known?.entityTag == nil {
                request.headers.append(("If-Modified-Since", time))
            }
            var delay = Duration.milliseconds(250 << min(tries - 1, 5))
            var broken: String
            var wanted: Int64?
            do throws(TransferError) {
                let response = try connection.send(request, tls: authorities(of: url))
                switch response.status {
                case 200:
                    return RemoteFileFacts(
                        entityTag: response["etag"], lastModified: response["last-modified"],
                        digest: try body(of: connection, response, limit: limit, into: file))
                case 304 where known != nil: return nil
                case 301, 302, 303, 307, 308:
                    hops += 1
                    url = try target(of: response, from: url, hops: hops)
                    continue
                case 408, 429, 500, 502, 503, 504:
                    broken = "the server answered \(response.status)"
                    wanted = response.secondsToWait
                case let status:
                    throw TransferError.broken(code: 22, text: "the server answered \(status)")
                }
            } catch {
                guard error.isWorthAnotherTry else {
                    throw Failure(doing, cause: error.cause, advice: error.advice(forFile: url))
                }
                broken = error.cause
            }
            guard tries < settings.attempts else {
                throw Failure(doing, cause: "\(broken), \(tries) times", advice: "try again later")
            }
            if let wanted {
                guard wanted <= longestWait else {
                    throw Failure(
                        doing, cause: broken,
                        advice: "try again in \(wanted) s: that is what the server asks for")
                }
                delay = .seconds(wanted)
            }
            tries += 1
            pauseBetweenLooks(delay)
        }
    }

    private func target(of redirect: HTTPResponse, from url: HTTPURL, hops: Int) throws(TransferError)
        -> HTTPURL
    {
        guard hops <= 10 else {
            throw .broken(code: 47, text: "it redirects in circles, more than ten times")
        }
        guard let target = redirect["location"].flatMap({ url.resolving($0) }) else {
            throw .broken(code: 3, text: "it redirects to no place that can be understood")
        }
        guard target.isSecure || !url.isSecure else {
            throw .broken(code: 1, text: "it redirects to \(target.shown), which is plain HTTP")
        }
        return target
    }

    /// Certificates the user trusts for a host; what would say who the user is, is left out.
    private func authorities(of url: HTTPURL) -> TLSSettings {
        var tls = settings.tls(for: RegistryPlace(host: url.authority, repository: "", isInsecure: false))
        tls.clientCertificate = nil
        tls.clientKey = nil
        return tls
    }

    private func body(
        of connection: HTTPConnection, _ response: HTTPResponse, limit: Int64, into file: SharedFD
    ) throws(TransferError) -> Digest {
        let claimed = response["content-length"].flatMap { Int64($0) }
        guard claimed ?? 0 <= limit else { throw .tooLarge(limit: Int(limit)) }
        let hash = ContentHash()
        var count: Int64 = 0
        do throws(SyscallError) {
            try retrying("ftruncate") { ftruncate(file.raw, 0) }
            try retrying("lseek") { lseek(file.raw, 0, SEEK_SET) }
        } catch { throw .broken(code: 23, text: error.description) }
        while true {
            let chunk = try connection.next()
            if chunk.isEmpty { return hash.finish() }
            count += Int64(chunk.count)
            guard count <= limit else { throw .tooLarge(limit: Int(limit)) }
            hash.update(chunk)
            var rest = chunk
            while !rest.isEmpty {
                do throws(SyscallError) {
                    let done = try retrying("write") { write(file.raw, rest.baseAddress, rest.count) }
                    rest = UnsafeRawBufferPointer(rebasing: rest[done...])
                } catch { throw .broken(code: 23, text: error.description) }
            }
        }
    }
}

extension TransferError {
    fileprivate func advice(forFile url: HTTPURL) -> String? {
        switch self {
        case .broken(60, _):
            "put the server's CA certificate into /etc/containers/certs.d/\(url.authority)/ca.crt"
        case .broken(6, _), .broken(7, _): "check the name and the network"
        case .tooLarge: "COVEY_LAYER_BYTES is the limit"
        default: advice
        }
    }
}
