// SPDX-License-Identifier: Apache-2.0
//
// One program of an image build, run to its end in a container of its own that takes nothing but the layers beneath and
// its mounts, and writes nothing but its upper directory and caches: with seccomp, capabilities, masks and network as
// services have them, in the cgroup it is given, and the end of the builder as its own end.

public import Basics
internal import CLinux
public import ContainerModel
public import Kernel
public import LaunchPlanning

/// What a build step's container is made of.
public struct StepContainer {
    /// Topmost first; empty when the upper is all there is.
    public var lowers: [String]
    public var upper: String
    public var work: String
    /// An empty directory to mount the root at, in the step's namespace only.
    public var mountPoint: String
    public var network = Network.isolated
    public var mounts: [ResolvedMount] = []
    /// Files that are kept in memory, with the paths they are found at.
    public var files: [(file: MemoryFile, target: String, title: String)] = []
    /// Agents' sockets, to be offered at a path of the host that a mount leads to.
    public var agents: [StepAgent] = []
    /// An empty directory `files` are put at, in the step's namespace only.
    public var filesAt: String
    /// Where the step's processes go: v1 `tasks` files it writes itself into, and a v2 directory to be born in.
    public var cgroupTaskFiles: [String] = []
    public var cgroupDirectory: String?

    public enum Network {
        /// A loopback of its own.
        case isolated
        case host
        case linked(StepLink)
    }

    public init(lowers: [String], upper: String, work: String, mountPoint: String, filesAt: String) {
        self.lowers = lowers
        self.upper = upper
        self.work = work
        self.mountPoint = mountPoint
        self.filesAt = filesAt
    }
}

/// How a step is connected; whoever keeps networks fills it in.
public struct StepLink {
    /// What the child does about each link of its network namespace.
    public var links: [PreparedLink]
    public var nameServiceRules: [UInt8]
    public var nameServicePort: UInt16
    /// Makes the links of a child that waits for them.
    public var attach: (_ pid: Int32) throws(Failure) -> Void
    /// Answers names on the child's sockets, udp and tcp, while the loop turns and the result lives.
    public var serve: (_ loop: EventLoop, _ udp: SharedFD, _ tcp: SharedFD) throws(SyscallError) -> AnyObject

    public init(
        links: [PreparedLink], nameServiceRules: [UInt8], nameServicePort: UInt16,
        attach: @escaping (Int32) throws(Failure) -> Void,
        serve: @escaping (EventLoop, SharedFD, SharedFD) throws(SyscallError) -> AnyObject
    ) {
        self.links = links
        self.nameServiceRules = nameServiceRules
        self.nameServicePort = nameServicePort
        self.attach = attach
        self.serve = serve
    }
}

/// Runs `request` in the step's container; `output` takes what it writes to stdout and stderr, as it comes,
/// and nothing ten times a second as a sign of life.
public func runStep(
    _ request: ContainerRequest, in step: StepContainer, host: HostFacts, filters: inout SeccompFilters,
    output: @escaping (UnsafeRawBufferPointer) -> Void
) throws(Failure) -> ProcessEnd {
    let doing = "cannot run \"\(request.arguments.joined(separator: " "))\""
    let context = try processContext(
        named: "build", request, terminal: false, roots: [step.upper] + step.lowers, host: host,
        filters: &filters)
    let prepared = prepare(step, context)
    let stubs = try naming(doing) { () throws(SyscallError) in
        try MountStubs(
            prepared.mounts.map { ($0.target, $0.source.isDirectory) }
                + ["/proc", "/sys", "/dev"].map { ($0, true) },
            upper: step.upper, lowers: step.lowers)
    }
    defer { stubs.remove(from: step.upper) }
    var ownNetwork = true
    if case .host = step.network { ownNetwork = false }
    let program = containerProgram(
        for: request, prepared: prepared, host: host, intoCgroup: step.cgroupDirectory != nil,
        ownNetwork: ownNetwork, sysfs: ownNetwork, endsWithParent: true)
    let loop = try naming(doing) { () throws(SyscallError) in try EventLoop() }
    var offers: [AgentOffer] = []
    for agent in step.agents {
        offers.append(try naming(doing) { () throws(SyscallError) in try AgentOffer(agent, loop) })
    }
    let null = try naming(doing) { () throws(SyscallError) in try openFile("/dev/null", flags: O_RDWR) }
    let pipe = try naming(doing) { () throws(SyscallError) in try makePipe() }
    let reader = SharedFD(try naming(doing) { () throws(SyscallError) in try pipe.first.duplicate() })
    var descriptors = [null.raw, pipe.second.raw, pipe.second.raw]
    let place = try naming(doing) { () throws(SyscallError) in
        try openFile(step.cgroupDirectory ?? "/", flags: O_RDONLY | O_DIRECTORY)
    }
    if step.cgroupDirectory != nil { descriptors.append(place.raw) }
    let files = SharedFD(
        try naming(doing) { () throws(SyscallError) in try detachedFiles(step.files.map(\.file)) })
    if prepared.filesAt != nil { descriptors.append(files.raw) }
    let child = try DirectChild(program, descriptors: descriptors)
    // The child alone holds the writing end now: its end is the end of the output.
    _ = consume pipe
    var service: AnyObject?
    if case .linked(let link) = step.network {
        do throws(Failure) {
            try link.attach(child.pid)
            try naming(doing) { () throws(SyscallError) in try child.send(LaunchTag.linksReady) }
        } catch {
            // What failed in the child first says more than that it is gone.
            throw child.end() ?? error
        }
        var sockets: [SharedFD] = []
        try child.waitForExec { if $0 == LaunchTag.nameServiceSockets { sockets = $1 } }
        if sockets.count == 2 {
            service = try naming(doing) { () throws(SyscallError) in
                try link.serve(loop, sockets[0], sockets[1])
            }
        }
    } else {
        try child.waitForExec()
    }
    return try naming(doing) { () throws(SyscallError) in
        try hand(on: reader, to: output, loop)
        withExtendedLifetime((service, offers)) {}
        return try child.wait()
    }
}

/// Turns the loop until nobody holds the other end any more.
private func hand(
    on reader: SharedFD, to output: @escaping (UnsafeRawBufferPointer) -> Void, _ loop: EventLoop
) throws(SyscallError) {
    var buffer = [UInt8](repeating: 0, count: 65536)
    var failure: SyscallError?
    try loop.watch(reader.raw) { _ in
        do throws(SyscallError) {
            let count = try retrying("read") {
                buffer.withUnsafeMutableBytes { read(reader.raw, $0.baseAddress, $0.count) }
            }
            if count == 0 { return loop.stop() }
            buffer.withUnsafeBytes { output(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        } catch {
            failure = error
            loop.stop()
        }
    }
    // The loop holds its timers, and they it: the last one is taken back.
    var next: EventLoop.Timer?
    func beat() {
        next = loop.after(.milliseconds(100)) {
            output(UnsafeRawBufferPointer(start: nil, count: 0))
            beat()
        }
    }
    beat()
    defer {
        loop.unwatch(reader.raw)
        if let next { loop.cancel(next) }
    }
    try loop.run()
    if let failure { throw failure }
}

private func prepare(_ step: StepContainer, _ context: ProcessContext) -> PreparedContainer {
    var prepared = PreparedContainer(
        lowers: step.lowers, upper: step.upper, work: step.work, mountPoint: step.mountPoint)
    // A layer must mean the same without the layers it was made on, and needs no sync: it is moved into the store.
    prepared.overlayOptions = [
        ("redirect_dir", "off"), ("index", "off"), ("metacopy", "off"), ("volatile", ""),
    ]
    prepared.cgroupTaskFiles = step.cgroupTaskFiles
    prepared.identity = context.identity
    prepared.hostname = "build"
    prepared.environment = context.environment
    prepared.capabilities = context.capabilities
    prepared.seccomp = context.seccomp
    prepared.mounts = step.mounts
    if !step.files.isEmpty { prepared.filesAt = step.filesAt }
    for (number, entry) in step.files.enumerated() {
        prepared.mounts.append(
            ResolvedMount(
                source: .path(
                    "\(step.filesAt)/\(number)", isDirectory: false, recursive: false, propagation: 0),
                target: entry.target, readOnly: true, title: entry.title))
    }
    if case .linked(let link) = step.network {
        prepared.links = link.links
        prepared.nameServiceRules = link.nameServiceRules
        prepared.nameServicePort = link.nameServicePort
        prepared.awaitsLinks = true
    }
    return prepared
}

extension ResolvedMount.Source {
    fileprivate var isDirectory: Bool {
        if case .path(_, let isDirectory, _, _) = self { return isDirectory }
        return true
    }
}
