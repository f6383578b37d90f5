// SPDX-License-Identifier: Apache-2.0
//
// ConnectProxy: a proxy on a stage's loopback that does nothing but CONNECT (RFC 9110, 9.3.6). It writes down where to.

import Kernel

struct ConnectProxy {
    /// What makes programs go through it.
    let variable = "https_proxy=http://127.0.0.1:3128"
    private let log: String

    private static let program = """
        import socket, sys, threading
        log = open(sys.argv[1], "a", buffering=1)
        def pump(source, target):
            try:
                while bytes := source.recv(65536): target.sendall(bytes)
                target.shutdown(socket.SHUT_WR)
            except OSError: pass
        def serve(peer):
            asked = b""
            while not asked.endswith(b"\\r\\n\\r\\n"):
                more = peer.recv(65536)
                if not more: return
                asked += more
            method, place = asked.split()[:2]
            print(method.decode(), place.decode(), file=log)
            host, port = place.decode().rsplit(":", 1)
            try: server = socket.create_connection((host, int(port)))
            except OSError:
                peer.sendall(b"HTTP/1.1 502 Nobody there\\r\\nContent-Length: 0\\r\\n\\r\\n")
                return peer.close()
            peer.sendall(b"HTTP/1.1 200 Connection established\\r\\nVia: a proxy\\r\\n\\r\\n")
            threading.Thread(target=pump, args=(peer, server), daemon=True).start()
            pump(server, peer)
        listener = socket.create_server(("127.0.0.1", 3128))
        print("ready", file=log)
        while True:
            threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
        """

    init(_ stage: Stage) throws {
        log = "\(stage.directory)/proxy.log"
        try stage.serve(["python3", "-c", Self.program, log])
        let log = log
        try stage.eventually("the proxy listens") { contents(log).contains("ready") }
    }

    /// How often it was asked for a place, `HOST:PORT`.
    func asked(_ place: String) -> Int {
        contents(log).split(separator: "\n").count { $0 == "CONNECT \(place)" }
    }
}
