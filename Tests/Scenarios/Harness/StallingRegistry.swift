// SPDX-License-Identifier: Apache-2.0
//
// StallingRegistry: a registry on a stage's loopback that has one image, `slow:1`, whose layer begins to come and then
// does not go on. It writes down what it was asked.

import Kernel

final class StallingRegistry {
    let host = "127.0.0.1:5001"
    private let stage: Stage
    private let log: String

    private static let program = """
        import hashlib, json, socket, sys, threading
        log, architecture = open(sys.argv[1], "a", buffering=1), sys.argv[2]
        def name(bytes): return "sha256:" + hashlib.sha256(bytes).hexdigest()
        layer = name(b"never whole")
        config = json.dumps({"architecture": architecture, "os": "linux", "rootfs": {"type": "layers", "diff_ids": [layer]}}).encode()
        kind = "application/vnd.oci.image."
        manifest = json.dumps({"schemaVersion": 2, "mediaType": kind + "manifest.v1+json",
            "config": {"mediaType": kind + "config.v1+json", "digest": name(config), "size": len(config)},
            "layers": [{"mediaType": kind + "layer.v1.tar", "digest": layer, "size": 1000000}]}).encode()
        # The head of a file that is larger than what comes of it.
        tar = bytearray(512)
        tar[0:1], tar[156:157], tar[257:265] = b"f", b"0", b"ustar\\x0000"
        tar[100:124] = b"0000644\\x00" + 2 * b"0000000\\x00"
        tar[124:156] = b"%011o\\x00%011o\\x00        " % (900000, 0)
        tar[148:156] = b"%06o\\x00 " % sum(tar)
        def serve(peer):
            asked = b""
            while not asked.endswith(b"\\r\\n\\r\\n"):
                more = peer.recv(65536)
                if not more: return
                asked += more
                if asked[0] == 0x16:
                    peer.sendall(b"HTTP/1.0 400 No TLS\\r\\n\\r\\n")
                    return peer.close()
            path = asked.split(b" ")[1].decode() if asked[:1].isalpha() else ""
            if asked.startswith(b"GET"): print(path, file=log)
            body, length = b"{}", None
            if path == "/v2/slow/manifests/1": body = manifest
            elif path.endswith(name(config)): body = config
            elif path.endswith(layer): body, length = bytes(tar) + b"x" * 300000, 1000000
            elif path != "/v2/":
                peer.sendall(b"HTTP/1.1 404 No\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n")
                return peer.close()
            head = "HTTP/1.1 200 OK\\r\\nContent-Type: %smanifest.v1+json\\r\\nContent-Length: %d\\r\\nConnection: close\\r\\n\\r\\n"
            peer.sendall((head % (kind, length or len(body))).encode())
            peer.sendall(body)
            if length: peer.recv(1)
            peer.close()
        listener = socket.create_server(("127.0.0.1", 5001))
        print("ready", file=log)
        while True:
            threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
        """

    private let server: RunningProgram

    init(_ stage: Stage) throws {
        self.stage = stage
        log = "\(stage.directory)/stalling.log"
        let architecture = try Host.run(["uname", "-m"]).text == "aarch64" ? "arm64" : "amd64"
        server = try stage.serve(["python3", "-c", Self.program, log, architecture])
        try stage.eventually("the registry listens") { contents(log).contains("ready") }
    }

    /// How often it was asked for a path that begins so.
    func asked(_ path: String) -> Int { contents(log).split(separator: "\n").count { $0.hasPrefix(path) } }

    func end() throws {
        server.signal(9)
        _ = try server.wait()
    }
}
