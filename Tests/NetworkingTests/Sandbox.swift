// SPDX-License-Identifier: Apache-2.0
//
// A network namespace of its own for a test: `inPrivateHost` runs its body on a thread that left the machine's
// namespace, so every socket and every program started there sees an empty host. `FakeContainer` is a process that
// waits in a further namespace.

import Basics
import ContainerModel
import Glibc
import CLinux
import Kernel
import Netlink
import Testing

@testable import Networking

private final class Job {
    let body: () throws -> Void
    var error: (any Error)?
    init(_ body: @escaping () throws -> Void) { self.body = body }
}

/// Runs `body` on a new thread and waits for it.
func onThread(_ body: () throws -> Void) throws {
    try withoutActuallyEscaping(body) { body in
        let job = Job(body)
        let pointer = Unmanaged.passRetained(job).toOpaque()
        var thread = pthread_t()
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setstacksize(&attributes, 4 << 20)
        let status = pthread_create(&thread, &attributes, runJob, pointer)
        precondition(status == 0)
        pthread_join(thread, nil)
        Unmanaged<Job>.fromOpaque(pointer).release()
        if let error = job.error { throw error }
    }
}

/// Runs all bodies at the same time, each on a thread in the caller's namespaces, and waits for them.
func together(_ bodies: [() throws -> Void]) throws {
    var threads: [(pthread_t, UnsafeMutableRawPointer)] = []
    for body in bodies {
        let pointer = Unmanaged.passRetained(Job(body)).toOpaque()
        var thread = pthread_t()
        let status = pthread_create(&thread, nil, runJob, pointer)
        precondition(status == 0)
        threads.append((thread, pointer))
    }
    var error: (any Error)?
    for (thread, pointer) in threads {
        pthread_join(thread, nil)
        error = Unmanaged<Job>.fromOpaque(pointer).takeRetainedValue().error ?? error
    }
    if let error { throw error }
}

private func runJob(_ pointer: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let pointer else { return nil }
    let job = Unmanaged<Job>.fromOpaque(pointer).takeUnretainedValue()
    do { try job.body() } catch { job.error = error }
    return nil
}

/// An empty host: its own network namespace with `lo` up, and a state root that goes away with it.
struct PrivateHost {
    let root: String

    /// A project's networks in this host.
    func networks() throws -> HostNetworks { try HostNetworks(root: root) }

    @discardableResult
    func shell(_ command: String) throws -> String {
        let result = try run(["/bin/sh", "-c", command])
        guard result.status == 0 else {
            throw Broken("\(command): status \(result.status)\n\(result.output)")
        }
        return result.output
    }
}

struct Broken: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Runs `body` in an empty host.
func inPrivateHost(_ body: (PrivateHost) throws -> Void) throws {
    try onThread {
        let CLONE_NEWNET: Int32 = 0x4000_0000
        try retrying("unshare") { linux_unshare(CLONE_NEWNET) }
        var template = Array("/tmp/covey-net-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw Broken("no temporary directory") }
        let host = PrivateHost(root: String(cString: made))
        defer { try? removeTree(host.root) }
        try host.shell("ip link set lo up")
        try body(host)
    }
}

/// Runs a program in the calling thread's namespaces; output and error in one text.
func run(_ arguments: [String], input: String? = nil) throws -> (status: Int32, output: String) {
    let process = try Child(arguments)
    let bytes = try readAll(process.output.raw)
    return (process.wait(), String(decoding: bytes, as: UTF8.self))
}

/// A started program; killed and reaped when it goes.
final class Child {
    let pid: pid_t
    let output: SharedFD
    private var reaped = false

    init(_ arguments: [String]) throws {
        var pipe: [Int32] = [-1, -1]
        try retrying("pipe2") { linux_pipe2(&pipe, 0o2000000) }
        let read = OwnedFD(taking: pipe[0])
        let write = OwnedFD(taking: pipe[1])
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, write.raw, 1)
        posix_spawn_file_actions_adddup2(&actions, write.raw, 2)
        var pointers = arguments.map { strdup($0) }
        pointers.append(nil)
        defer { for pointer in pointers { free(pointer) } }
        let settings = [
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8",
        ]
        var environment: [UnsafeMutablePointer<CChar>?] = settings.map { strdup($0) }
        environment.append(nil)
        defer { for pointer in environment { free(pointer) } }
        var pid = pid_t()
        let status = posix_spawnp(&pid, arguments[0], &actions, nil, pointers, environment)
        guard status == 0 else { throw Broken("cannot start \(arguments[0]): \(Errno(status))") }
        self.pid = pid
        output = SharedFD(read)
    }

    func wait() -> Int32 {
        var status: Int32 = 0
        reaped = true
        while waitpid(pid, &status, 0) < 0 {}
        return linux_wifexited(status) != 0 ? linux_wexitstatus(status) : 128 + linux_wtermsig(status)
    }

    func end() {
        if reaped { return }
        kill(pid, SIGKILL)
        _ = wait()
    }

    deinit { end() }
}

/// A process in its own network namespace, as a container's waiting child.
final class FakeContainer {
    let name: String
    private let process: Child
    var pid: Int32 { process.pid }

    init(_ name: String) throws {
        self.name = name
        let own = try readLink("/proc/thread-self/ns/net")
        process = try Child(["unshare", "-n", "busybox", "sleep", "600"])
        let pid = process.pid
        try eventually("the container has its namespace") {
            guard let other = try? readLink("/proc/\(pid)/ns/net") else { return false }
            guard let command = try? readText("/proc/\(pid)/comm") else { return false }
            return other != own && command == "busybox\n"
        }
    }

    /// What the child's interpreter does with the blobs.
    func send(_ messages: [LinkMessages]) throws {
        try inside {
            for part in messages {
                let index = if_nametoindex(part.linkName)
                guard index != 0 else { throw Broken("no link \(part.linkName) in \(name)") }
                try sendBlob(part.bytes, family: 0, index: index)
            }
        }
    }

    func startNameRules(port: UInt16) throws {
        try inside { try sendBlob(containerNameServiceRules(port: port), family: 12, index: 0) }
    }

    /// Runs `body` on a thread in this container's network namespace.
    func inside(_ body: () throws -> Void) throws {
        let pid = pid
        try onThread {
            let namespace = try openFile("/proc/\(pid)/ns/net")
            try retrying("setns") { linux_setns(namespace.raw, 0) }
            try body()
        }
    }

    @discardableResult
    func shell(_ command: String) throws -> (status: Int32, output: String) {
        try run(["nsenter", "-t", "\(pid)", "-n", "/bin/sh", "-c", command])
    }

    /// A server that answers every TCP connection with one line and every datagram with the same.
    func serve(_ proto: String = "tcp", port: Int, saying text: String, on address: String = "0.0.0.0") throws
        -> Child
    {
        let child = try Child([
            "nsenter", "-t", "\(pid)", "-n", "python3", "-u", "-c", serverScript, proto, address, "\(port)",
            text,
        ])
        try awaitReady(child)
        return child
    }

    func end() { process.end() }
}

let serverScript = """
    import socket, sys
    proto, address, port, text = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4].encode()
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM if proto == 'tcp' else socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, port))
    if proto == 'tcp': s.listen(64)
    print('ready', flush=True)
    while True:
        if proto == 'tcp':
            c, peer = s.accept()
            c.sendall(text + b' to ' + peer[0].encode())
            c.close()
        else:
            _, peer = s.recvfrom(2048)
            s.sendto(text + b' to ' + peer[0].encode(), peer)
    """

let clientScript = """
    import socket, sys
    proto, address, port, timeout = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM if proto == 'tcp' else socket.SOCK_DGRAM)
    s.settimeout(timeout)
    try:
        s.connect((address, port))
        if proto == 'udp': s.send(b'hello')
        print(s.recv(2048).decode())
    except OSError as e:
        print('error', type(e).__name__)
    """

func awaitReady(_ child: Child) throws {
    var text = ""
    while !text.hasSuffix("\n") {
        var byte: UInt8 = 0
        let count = read(child.output.raw, &byte, 1)
        guard count == 1 else { throw Broken("the server did not start: \(text)") }
        text.append(Character(Unicode.Scalar(byte)))
    }
    guard text == "ready\n" else {
        let rest = try readAll(child.output.raw)
        throw Broken("the server did not start: \(text)\(String(decoding: rest, as: UTF8.self))")
    }
}

/// Asks until it is so; ten seconds at most.
func eventually(_ what: String, _ condition: () throws -> Bool) throws {
    let end = monotonicNanoseconds() + 10_000_000_000
    while !(try condition()) {
        guard monotonicNanoseconds() < end else { throw Broken("in vain: \(what)") }
        usleep(2000)
    }
}

/// One exchange from the calling thread's namespace, or the container's.
func exchange(
    _ proto: String = "tcp", _ address: String, _ port: Int, from container: FakeContainer? = nil,
    patience: Double = 3
) throws -> String {
    var arguments = ["python3", "-c", clientScript, proto, address, "\(port)", "\(patience)"]
    if let container { arguments = ["nsenter", "-t", "\(container.pid)", "-n"] + arguments }
    let result = try run(arguments)
    return result.output.hasSuffix("\n") ? String(result.output.dropLast()) : result.output
}

/// Sends requests as the child's interpreter does: fills in the index, counts the acknowledgements.
func sendBlob(_ bytes: [UInt8], family: Int32, index: UInt32) throws {
    var bytes = bytes
    var acknowledgements = 0
    var start = 0
    while start + 16 <= bytes.count {
        let length = Int(bytes[start]) | Int(bytes[start + 1]) << 8
        if bytes[start + 6] & 4 != 0 { acknowledgements += 1 }
        if length >= 24, bytes[(start + 20)..<(start + 24)].allSatisfy({ $0 == 0xff }) {
            for i in 0..<4 { bytes[start + 20 + i] = UInt8(truncatingIfNeeded: index >> UInt32(8 * i)) }
        }
        start += (length + 3) & ~3
    }
    let socket = OwnedFD(taking: try retrying("socket") { linux_socket(16, 3 | 0o2000000, family) })
    try retrying("connect") { linux_connect_netlink(socket.raw) }
    try retrying("send") { bytes.withUnsafeBytes { linux_send(socket.raw, $0.baseAddress, $0.count, 0) } }
    while acknowledgements > 0 {
        var buffer = [UInt8](repeating: 0, count: 8192)
        let count = try retrying("recv") {
            buffer.withUnsafeMutableBytes { linux_receive(socket.raw, $0.baseAddress, $0.count, 0x40) }
        }
        for message in Message.all(in: buffer[..<count]) {
            guard let outcome = message.outcome else { continue }
            guard outcome.errno == 0 else { throw Broken("the kernel refused: \(Errno(outcome.errno))") }
            acknowledgements -= 1
        }
    }
}

/// A project with its group, for tests that need no more.
struct Stack {
    let host: PrivateHost
    let networks: HostNetworks
    let project: String
    let group: UInt32

    init(_ host: PrivateHost, _ project: String = "shop", root: String? = nil) throws {
        self.host = host
        networks = try HostNetworks(root: root ?? host.root)
        self.project = project
        group = try networks.reserveGroup(project: project)
    }

    func network(_ name: String, _ change: (inout NetworkRequest) -> Void = { _ in }) throws -> NetworkState {
        var request = NetworkRequest(name: name)
        change(&request)
        return try networks.ensureNetwork(request, project: project, group: group)
    }

    /// A container on the given networks, set up as its child would.
    func container(_ name: String, on states: [NetworkState]) throws -> (FakeContainer, [IPv4Address]) {
        let container = try FakeContainer(name)
        var links: [ContainerLink] = []
        for (i, state) in states.enumerated() {
            let address = try networks.assignAddress(network: state, project: project, container: name)
            try networks.attach(
                EndpointAttachment(
                    container: name, network: state, address: address, namespace: .pid(container.pid),
                    linkName: "eth\(i)"), project: project, group: group)
            links.append(
                ContainerLink(
                    name: "eth\(i)", address: address, prefix: state.subnet.prefix,
                    gateway: state.isInternal ? nil : state.gateway))
        }
        try container.send(containerRouteMessages(links: links))
        return (container, links.compactMap(\.address))
    }
}
