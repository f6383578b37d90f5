// SPDX-License-Identifier: Apache-2.0
//
// LocalRegistry: Debian's docker-registry on a stage's loopback, with or without TLS and users, and skopeo to look at it
// from outside.

import Kernel

struct LocalRegistry {
    /// `127.0.0.1:5000`
    let host: String
    private let stage: Stage
    private let isSecure: Bool
    private let authority: String?
    private let user: String?
    /// Where the certificate and key it lets in are.
    private let client: String?

    static let isThere = ["docker-registry", "skopeo", "openssl", "htpasswd"].allSatisfy {
        Host.which($0) != nil
    }

    /// - user: `NAME:PASSWORD`, checked by htpasswd.
    /// - wantsCertificate: lets only clients in that have the one `identify` installs.
    init(
        _ stage: Stage, port: Int = 5000, secure: Bool = false, user: String? = nil,
        wantsCertificate: Bool = false
    ) throws {
        host = "127.0.0.1:\(port)"
        self.stage = stage
        isSecure = secure
        self.user = user
        let directory = "\(stage.directory)/registry-\(port)"
        try ensureDirectory("\(directory)/data")
        var config = """
            version: 0.1
            log: {level: error}
            storage: {filesystem: {rootdirectory: \(directory)/data}, delete: {enabled: true}}
            http:
              addr: \(host)

            """
        if secure {
            // A CA of its own, and a certificate it signed for the address.
            try Host.run([
                "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                "-nodes",
                "-days", "1", "-subj", "/CN=covey test", "-addext", "subjectAltName=IP:127.0.0.1",
                "-keyout", "\(directory)/key.pem", "-out", "\(directory)/ca.crt",
            ]).orThrow()
            var tls = "certificate: \(directory)/ca.crt, key: \(directory)/key.pem"
            if wantsCertificate {
                try Host.run([
                    "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                    "-nodes", "-days", "1", "-subj", "/CN=client", "-keyout", "\(directory)/client.key",
                    "-out", "\(directory)/client.cert",
                ]).orThrow()
                tls += ", clientcas: [\(directory)/client.cert]"
            }
            config += "  tls: {\(tls)}\n"
            authority = "\(directory)/ca.crt"
        } else {
            authority = nil
        }
        client = wantsCertificate ? directory : nil
        if let user {
            let parts = user.split(separator: ":", maxSplits: 1).map(String.init)
            try Host.run(["htpasswd", "-Bbc", "\(directory)/users", parts[0], parts[1]]).orThrow()
            config += "auth: {htpasswd: {realm: covey, path: \(directory)/users}}\n"
        }
        try writeFile("\(directory)/config.yml", Array(config.utf8))
        try stage.serve(["docker-registry", "serve", "\(directory)/config.yml"])
        let scheme = secure ? "https" : "http"
        let key = client.map { ["--cert", "\($0)/client.cert", "--key", "\($0)/client.key"] } ?? []
        let answers = ["curl", "-sk", "-o", "/dev/null"] + key + ["\(scheme)://\(host)/v2/"]
        try stage.eventually("the registry answers") { try stage.inHost(answers).succeeded }
    }

    /// Variables that tell the binary to trust this registry's CA.
    func trust() throws -> [String] {
        let directory = "\(stage.directory)/certs/\(host)"
        try ensureDirectory(directory)
        if let authority { try Host.run(["cp", authority, "\(directory)/ca.crt"]).orThrow() }
        return ["COVEY_CERTS_D=\(stage.directory)/certs"]
    }

    /// Puts the certificate the registry lets in beside the CA that `trust` put there.
    func identify() throws {
        let directory = "\(stage.directory)/certs/\(host)"
        for name in ["client.cert", "client.key"] {
            try Host.run(["cp", "\(client ?? "")/\(name)", "\(directory)/\(name)"]).orThrow()
        }
    }

    /// Puts an image of the stage's store into the registry, by another tool than ours.
    func put(_ image: String, as name: String) throws {
        try skopeo(
            ["copy", "--dest-tls-verify=false"] + (user.map { ["--dest-creds", $0] } ?? []) + [
                "oci:\(stage.directory)/root/images:\(image)", "docker://\(host)/\(name)",
            ])
    }

    /// The digest the registry has under a name, as skopeo sees it.
    func digest(_ name: String) throws -> String {
        try skopeo(
            ["inspect", "--tls-verify=false", "--format", "{{.Digest}}"]
                + (user.map { ["--creds", $0] } ?? []) + [
                    "docker://\(host)/\(name)"
                ]
        ).text
    }

    @discardableResult
    func skopeo(_ arguments: [String]) throws -> Outcome {
        try stage.inHost(["skopeo", "--insecure-policy"] + arguments).orThrow()
    }
}
