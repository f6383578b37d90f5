// SPDX-License-Identifier: Apache-2.0
//
// Requests to one repository at one place: tried again where that may help, authenticated where the registry asks for it,
// redirected where it points, and never with a credential to another host than the one it is for.
//
//   send ─▶ 2xx                     the answer
//        ─▶ 401, first time         credential or token, again
//        ─▶ 3xx                     the other place, without the credential when that is another origin
//        ─▶ 408, 429, 5xx, broken   wait (Retry-After, else 0.25 s doubled), again, five tries in all
//        ─▶ nobody takes the connection  again, once
//        ─▶ silence, anything else  the error

internal import Basics
internal import JSONFormat
internal import Kernel

final class RegistryClient {
    let place: RegistryPlace
    let access: RegistryAccess
    /// What is being done, for messages.
    let doing: String
    /// `repository:NAME:pull` and so on (distribution's token specification).
    private let scopes: [String]
    let connection: HTTPConnection

    init(_ place: RegistryPlace, _ access: RegistryAccess, scopes: [String], doing: String) {
        self.place = place
        self.access = access
        self.scopes = scopes
        self.doing = doing
        connection = HTTPConnection(stall: access.settings.stall)
    }

    /// An URL of this repository's API.
    func url(_ tail: String) throws(Failure) -> HTTPURL {
        HTTPURL(
            isSecure: try speaksTLS(), authority: place.apiHost, path: "/v2/\(place.repository)/\(tail)")
    }

    /// `/v2/`, where a registry says what it wants of whom.
    func base() throws(Failure) -> HTTPURL {
        HTTPURL(isSecure: try speaksTLS(), authority: place.apiHost, path: "/v2/")
    }

    /// The last exchange failed for a reason that another try may mend.
    private(set) var lastMayMend = false

    /// Whether the API is to be had over TLS. Only where plain HTTP is allowed the host is asked.
    private func speaksTLS() throws(Failure) -> Bool {
        if !place.allowsPlainHTTP { return true }
        if let known = access.isSecure(place.apiHost) { return known }
        let url = HTTPURL(isSecure: true, authority: place.apiHost, path: "/v2/")
        var secure = true
        do throws(TransferError) {
            _ = try connection.send(
                HTTPRequest(method: "GET", url: url), tls: access.settings.tls(for: place))
        } catch {
            // A certificate that is not to be trusted is no reason to do without any.
            guard error.isNoTLS else { throw failure(error, url) }
            secure = false
        }
        access.note(place.apiHost, isSecure: secure)
        return secure
    }

    // MARK: - one exchange

    /// Sends until there is an answer with one of the wanted statuses.
    /// - tries: how many in all, those of the settings unless said otherwise.
    func exchange(_ request: HTTPRequest, wanted: Set<Int>, tries most: Int? = nil) throws(Failure)
        -> HTTPResponse
    {
        let first = request.url
        let most = most ?? access.settings.attempts
        lastMayMend = false
        var request = request
        var (tries, hops, askedAgain) = (1, 0, false)
        while true {
            var attempt = request
            let isOurs = request.url.hasSameOrigin(
                as: HTTPURL(isSecure: first.isSecure, authority: place.apiHost, path: "/"))
            if isOurs, let authorization = access.authorization(authorizationKey) {
                attempt.headers.append(("Authorization", authorization.header))
            }
            let response: HTTPResponse
            do throws(TransferError) {
                response = try connection.send(attempt, tls: tls(for: request.url))
            } catch {
                lastMayMend = error.isWorthAnotherTry
                guard error.isWorthAnotherTry, tries < (error.isTimeout ? min(most, 2) : most) else {
                    throw failure(error, request.url)
                }
                pauseBetweenLooks(backoff(tries))
                tries += 1
                continue
            }
            if wanted.contains(response.status) { return response }
            switch response.status {
            case 401 where isOurs && !askedAgain:
                askedAgain = true
                try authorize(response)
            case 301, 302, 303, 307, 308:
                hops += 1
                request = try redirected(request, response, hops)
            case 408, 429, 500, 502, 503, 504:
                lastMayMend = true
                guard tries < most else { throw refusal(response, request.url) }
                pauseBetweenLooks(try delay(response, tries, request.url))
                tries += 1
            default: throw refusal(response, request.url)
            }
        }
    }

    /// A document's bytes with their head; a break in its middle is tried again.
    func document(_ request: HTTPRequest, limit: Int) throws(Failure) -> (head: HTTPResponse, body: [UInt8]) {
        var tries = 1
        while true {
            let head = try exchange(request, wanted: [200])
            do throws(TransferError) {
                return (head, try connection.body(limit: limit))
            } catch {
                guard error.isWorthAnotherTry, tries < access.settings.attempts else {
                    throw failure(error, request.url)
                }
                pauseBetweenLooks(backoff(tries))
                tries += 1
            }
        }
    }

    private func tls(for url: HTTPURL) -> TLSSettings {
        let isOurs =
            url.authority == HTTPURL(isSecure: url.isSecure, authority: place.apiHost, path: "/").authority
        var other = place
        if !isOurs { other = RegistryPlace(host: url.authority, repository: "", isInsecure: false) }
        return access.settings.tls(for: other)
    }

    private func redirected(_ request: HTTPRequest, _ response: HTTPResponse, _ hops: Int) throws(Failure)
        -> HTTPRequest
    {
        var request = request
        guard hops <= 10 else {
            throw Failure(doing, cause: "\(request.url.shown) redirects in circles, more than ten times")
        }
        guard let location = response["location"], let target = request.url.resolving(location) else {
            throw Failure(doing, cause: "\(request.url.shown) redirects to no place that can be understood")
        }
        guard ["GET", "HEAD"].contains(request.method) || [307, 308].contains(response.status) else {
            throw Failure(doing, cause: "\(request.url.shown) redirects a \(request.method)")
        }
        try checkMayUse(target, from: request.url)
        request.url = target
        return request
    }

    /// TLS is not left, and plain HTTP goes only where it is allowed.
    func checkMayUse(_ target: HTTPURL, from url: HTTPURL) throws(Failure) {
        if target.isSecure { return }
        guard !url.isSecure, HTTPURL.isLoopback(target.authority) || place.isInsecure else {
            throw Failure(
                doing, cause: "\(url.shown) points to \(target.shown), which is plain HTTP",
                advice: "if that is wanted, say `insecure = true` for the registry in registries.conf")
        }
    }

    // MARK: - waiting

    private func backoff(_ tries: Int) -> Duration { .milliseconds(250 << min(tries - 1, 5)) }

    private func delay(_ response: HTTPResponse, _ tries: Int, _ url: HTTPURL) throws(Failure) -> Duration {
        guard let seconds = response.secondsToWait else { return backoff(tries) }
        guard seconds <= longestWait else {
            var failure = refusal(response, url)
            failure.advice = "try again in \(seconds) s: that is what the registry asks for"
            throw failure
        }
        return .seconds(seconds)
    }

    // MARK: - authentication

    private var authorizationKey: String { "\(place.apiHost) \(scopes.joined(separator: " "))" }

    private func authorize(_ response: HTTPResponse) throws(Failure) {
        let challenges = response.all("www-authenticate").flatMap { Challenge.parse($0) }
        let credential = try access.credential(for: place.host)
        if let bearer = challenges.first(where: { $0.scheme == "bearer" }) {
            access.keep(.bearer(try token(bearer, credential)), authorizationKey)
        } else if challenges.contains(where: { $0.scheme == "basic" }), let credential, !credential.isToken {
            access.keep(.basic(credential.basic), authorizationKey)
        } else {
            // Nothing to offer: the second answer is the error.
            access.keep(nil, authorizationKey)
        }
    }

    /// A token from the place the challenge names, for a credential or for nobody in particular.
    private func token(_ challenge: Challenge, _ credential: Credential?) throws(Failure) -> String {
        guard let text = challenge.parameters["realm"], var url = HTTPURL(text) else {
            throw Failure(doing, cause: "\(place.host) asks for a token, but not where to get it")
        }
        try checkMayUse(
            url,
            from: HTTPURL(
                isSecure: access.isSecure(place.apiHost) ?? true, authority: place.apiHost, path: "/"))
        let wanted = scopes.isEmpty ? challenge.parameters["scope"].map { [$0] } ?? [] : scopes
        var pairs = challenge.parameters["service"].map { [("service", $0)] } ?? []
        pairs += wanted.map { ("scope", $0) }
        var request: HTTPRequest
        if let credential, credential.isToken {
            pairs = [
                ("service", challenge.parameters["service"] ?? ""), ("scope", wanted.joined(separator: " ")),
            ]
            pairs += [
                ("grant_type", "refresh_token"), ("client_id", "covey"), ("refresh_token", credential.secret),
            ]
            request = HTTPRequest(method: "POST", url: url)
            request.body = .bytes(Array(RegistryClient.form(pairs).utf8))
            request.headers.append(("Content-Type", "application/x-www-form-urlencoded"))
        } else {
            if let credential { pairs.append(("account", credential.user)) }
            let query = RegistryClient.form(pairs)
            if !query.isEmpty { url.path += (url.path.contains("?") ? "&" : "?") + query }
            request = HTTPRequest(method: "GET", url: url)
            if let credential { request.headers.append(("Authorization", credential.basic)) }
        }
        var body: [UInt8] = []
        var response = HTTPResponse(status: 0, headers: [])
        var tries = 1
        while true {
            do throws(TransferError) {
                let answer = try connection.send(request, tls: tls(for: url))
                if [429, 500, 502, 503, 504].contains(answer.status), tries < access.settings.attempts {
                    pauseBetweenLooks(try wait(answer, tries, url))
                    tries += 1
                    continue
                }
                response = answer
                body = try connection.body(limit: 1 << 20)
                break
            } catch {
                guard error.isWorthAnotherTry, tries < access.settings.attempts else {
                    throw failure(error, url)
                }
                pauseBetweenLooks(backoff(tries))
                tries += 1
            }
        }
        guard response.status == 200 else {
            let who = credential.map { "user \"\($0.user)\"" } ?? "no credential"
            throw Failure(
                doing, cause: "\(url.shown) gives no token for \(who): \(response.status)\(reason(body))",
                advice: "run `covey login \(place.host)`")
        }
        let value = try? parseJSON(body)
        if case .string(let token)? = value?["token"], !token.isEmpty { return token }
        if case .string(let token)? = value?["access_token"], !token.isEmpty { return token }
        throw Failure(doing, cause: "\(url.shown) answered without a token")
    }

    /// `delay` for use within a block of transfer errors.
    private func wait(_ response: HTTPResponse, _ tries: Int, _ url: HTTPURL) throws(TransferError)
        -> Duration
    {
        do throws(Failure) { return try delay(response, tries, url) } catch {
            throw .broken(code: 22, text: "\(error.cause ?? ""); \(error.advice ?? "")")
        }
    }

    static func form(_ pairs: [(String, String)]) -> String {
        pairs.map { "\($0.0)=\(queryEscaped($0.1))" }.joined(separator: "&")
    }

    // MARK: - errors

    func failure(_ error: TransferError, _ url: HTTPURL) -> Failure {
        Failure(doing, cause: "\(url.shown): \(error.cause)", advice: error.advice)
    }

    /// A status nobody wanted, with the registry's own words.
    func refusal(_ response: HTTPResponse, _ url: HTTPURL) -> Failure {
        let body = (try? connection.body(limit: 64 << 10)) ?? []
        var advice: String?
        switch response.status {
        case 401, 403:
            advice =
                "run `covey login \(place.host)`, or check the name: registries answer so for what is not there"
        case 404: advice = "check the name and the tag"
        case 429: advice = "wait, or log in: registries let known users ask more often"
        default: break
        }
        return Failure(
            doing, cause: "\(url.shown) answered \(response.status)\(reason(body))", advice: advice)
    }

    /// `: manifest unknown`, as distribution-spec's "Error Codes" has it.
    private func reason(_ body: [UInt8]) -> String {
        guard case .array(let errors)? = (try? parseJSON(body))?["errors"], let first = errors.first else {
            return ""
        }
        func word(_ name: String) -> String? {
            guard case .string(let text)? = first[name], !text.isEmpty else { return nil }
            // It is the registry's text: one line, and not long.
            let plain = text.unicodeScalars.prefix(200).map {
                $0.value < 0x20 || $0.value == 0x7f ? " " : Character($0)
            }
            return String(plain)
        }
        return (word("message") ?? word("code")).map { ": \($0)" } ?? ""
    }
}
