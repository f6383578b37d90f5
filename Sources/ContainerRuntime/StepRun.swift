// SPDX-License-Identifier: Apache-2.0
//
// One program of an image build, run to its end in a container of its own that takes nothing but the layers beneath and
// writes nothing but its upper directory: with seccomp, capabilities and masks as services have them, in the cgroup it is given, and
// the end of the builder as its own end.

public import Basics
internal import CLinux
public import ContainerModel
internal import Kernel
public import LaunchPlanning

/// What a build step's container is made of.
public struct StepContainer: Sendable {
    /// Topmost first; empty when the upper is all there is.
    public var lowers: [String]
    public var upper: String
    public var work: String
    /// An empty directory to mount the root at, in the step's namespace only.
    public var mountPoint: String
    /// True: the host's network with its resolver's files; false: a loopback of its own.
    public var hostNetwork: Bool
    /// Where the step's processes go: v1 `tasks` files it writes itself into, and a v2 directory to be born in.
    public var cgroupTaskFiles: [String] = []
    public var cgroupDirectory: String?

    public init(lowers: [String], upper: String, work: String, mountPoint: String, hostNetwork: Bool) {
        self.lowers = lowers
        self.upper = upper
        self.work = work
        self.mountPoint = mountPoint
        self.hostNetwork = hostNetwork
    }
}

/// Runs `request` in the step's container; `output` takes what it writes to stdout and stderr, as it comes.
public func runStep(
    _ request: ContainerRequest, in step: StepContainer, host: HostFacts, filters: inout SeccompFilters,
    output: (UnsafeRawBufferPointer) -> Void
) throws(Failure) -> ProcessEnd {
    let doing = "cannot run \"\(request.arguments.joined(separator: " "))\""
    let roots = [step.upper] + step.lowers
    let context = try processContext(
        named: "build", request, terminal: false, roots: roots, host: host, filters: &filters)
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
    if step.hostNetwork {
        for path in ["/etc/resolv.conf", "/etc/hosts"] where exists(path) {
            prepared.mounts.append(
                ResolvedMount(
                    source: .path(path, isDirectory: false, recursive: false, propagation: 0), target: path,
                    readOnly: true,
                    title: path))
        }
    }
    let stubs = mountStubs(roots: roots, hostNetwork: step.hostNetwork)
    let program = containerProgram(
        for: request, prepared: prepared, host: host, intoCgroup: step.cgroupDirectory != nil,
        ownNetwork: !step.hostNetwork, sysfs: !step.hostNetwork,
        endsWithParent: true)
    defer { removeStubs(stubs, upper: step.upper) }
    let null = try naming(doing) { () throws(SyscallError) in try openFile("/dev/null", flags: O_RDWR) }
    let pipe = try naming(doing) { () throws(SyscallError) in try makePipe() }
    let reader = SharedFD(try naming(doing) { () throws(SyscallError) in try pipe.first.duplicate() })
    let place = try naming(doing) { () throws(SyscallError) in
        try openFile(step.cgroupDirectory ?? "/", flags: O_RDONLY | O_DIRECTORY)
    }
    let child = try DirectChild(
        program,
        descriptors: [null.raw, pipe.second.raw, pipe.second.raw]
            + (step.cgroupDirectory == nil ? [] : [place.raw]))
    // The child alone holds the writing end now: its end is the end of the output.
    _ = consume pipe
    try child.waitForExec()
    return try naming(doing) { () throws(SyscallError) in
        var buffer = [UInt8](repeating: 0, count: 16384)
        while true {
            let count = try retrying("read") {
                buffer.withUnsafeMutableBytes { read(reader.raw, $0.baseAddress, $0.count) }
            }
            if count == 0 { return try child.wait() }
            buffer.withUnsafeBytes { output(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        }
    }
}

/// Mount points that only the runtime needed: the image's author did not ask for them, so no layer keeps them.
private func mountStubs(roots: [String], hostNetwork: Bool) -> [(path: String, isDirectory: Bool)] {
    let files = hostNetwork ? ["etc/resolv.conf", "etc/hosts"] : []
    let wanted = files.map { ($0, false) } + ["etc", "proc", "sys", "dev"].map { ($0, true) }
    return wanted.filter { path, _ in !roots.contains { exists("\($0)/\(path)") } }
}

private func removeStubs(_ stubs: [(path: String, isDirectory: Bool)], upper: String) {
    for (path, isDirectory) in stubs {
        // Only what is still empty: the step may have made something of it.
        guard let status = try? fileStatus("\(upper)/\(path)") else { continue }
        if isDirectory, status.isDirectory { try? removeDirectory("\(upper)/\(path)") }
        if !isDirectory, status.isRegular, status.st_size == 0 { try? removeFile("\(upper)/\(path)") }
    }
}
