// SPDX-License-Identifier: Apache-2.0
//
// Everything of a container that is made before its first process: directories, streams, generated files, and the
// values its launch program is planned from. All of it is idempotent: a container that is started again finds its
// upper directory as it left it.

public import Basics
internal import CLinux
public import ContainerModel
internal import Kernel
public import LaunchPlanning

/// What the engine knows of a container beside its request.
public struct ContainerSetup: Sendable {
    public var name: String
    public var request: ContainerRequest
    public var directories: ContainerDirectories
    /// Data directory of each named volume.
    public var volumes: [String: String]
    /// Those that are file systems of their own: nobody but the container's child asks them anything, for it may wait.
    public var mountedVolumes: Set<String> = []
    /// Contents of configs and secrets.
    public var contents: [Digest: [UInt8]]
    public var hostsText: String
    public var resolvText: String
    /// Another container's, whose network it shares.
    public var hostname: String?
    /// It ran before in this boot: what it wrote is kept. Else an upper directory that is there is of another boot, or of a
    /// start that was cut off, and goes.
    public var goesOn = false

    public init(name: String, request: ContainerRequest, directories: ContainerDirectories) {
        self.name = name
        self.request = request
        self.directories = directories
        volumes = [:]
        contents = [:]
        hostsText = ""
        resolvText = ""
    }
}

/// Makes directories and files and gathers what the launch program needs; network and cgroup are filled in by the caller.
public func prepareContainer(
    _ setup: ContainerSetup, host: HostFacts, filters: inout SeccompFilters
) throws(Failure) -> PreparedContainer {
    let doing = "cannot prepare container \"\(setup.name)\""
    let request = setup.request
    let directories = setup.directories
    let roots = [directories.upper] + request.image.layers
    do throws(SyscallError) {
        try makeDirectories(directories, topLayer: request.image.layers.first, goesOn: setup.goesOn)
    } catch {
        throw Failure(doing, error)
    }
    if let size = request.rare?.storageSize { try boundStorage(directories, to: size, doing: doing) }
    let context: ProcessContext
    do throws(Failure) {
        context = try processContext(
            named: setup.name, request, hostname: setup.hostname, terminal: request.tty, roots: roots,
            host: host, filters: &filters)
    } catch {
        throw Failure(
            doing, cause: [error.doing, error.cause].compactMap { $0 }.joined(separator: ": "),
            advice: error.advice)
    }
    do throws(SyscallError) {
        try makeStreams(
            directories, owner: context.identity.uid, standardInput: request.stdinOpen && !request.tty)
    } catch {
        throw Failure(doing, error)
    }
    var prepared = PreparedContainer(
        lowers: request.image.layers, upper: directories.upper, work: directories.work,
        mountPoint: directories.mountPoint)
    // An upper never outlives its boot (`makeDirectories`), so syncing it would be for nothing: without this flag each end
    // of a container syncs the whole file system that its upper is on.
    prepared.overlayOptions = [("volatile", "")]
    prepared.identity = context.identity
    prepared.hostname = context.hostname
    prepared.environment = context.environment
    prepared.capabilities = context.capabilities
    prepared.seccomp = context.seccomp
    prepared.mounts = try resolveMounts(setup, hostname: context.hostname, doing: doing)
    try checkLabels(request, doing: doing)
    return prepared
}

/// What a `volatile` overlay's upper held when the power went may be torn, and nothing says so: it is believed within its
/// boot only (Documentation/filesystems/overlayfs.rst, "Volatile mount").
private func makeDirectories(_ directories: ContainerDirectories, topLayer: String?, goesOn: Bool)
    throws(SyscallError)
{
    try ensureDirectory(directories.state, mode: 0o700)
    try ensureDirectory(directories.run, mode: 0o700)
    let isThere = exists(directories.upper)
    if isThere && !goesOn {
        try removeTree(directories.upper)
        try removeTree(directories.work)
    }
    for path in [directories.work, directories.log] {
        try ensureDirectory(path, mode: 0o700)
    }
    if isThere && goesOn {
        // The mark by which the kernel refuses a second mount; within a boot nothing was lost.
        return try removeTree("\(directories.work)/work/incompat/volatile")
    }
    // The upper's own owner and mode become those of the container's `/`.
    try makeDirectory(directories.upper)
    if let topLayer {
        let status = try fileStatus(topLayer, follow: true)
        try retrying("chown", directories.upper) { chown(directories.upper, status.st_uid, status.st_gid) }
        try retrying("chmod", directories.upper) { chmod(directories.upper, status.st_mode & 0o7777) }
    }
}

/// FIFOs: nobody's death closes them, and whoever comes next opens them by path again (docs/ARCHITECTURE.md).
private func makeStreams(_ directories: ContainerDirectories, owner: UInt32, standardInput: Bool)
    throws(SyscallError)
{
    let paths =
        [directories.standardOutput, directories.standardError]
        + (standardInput ? [directories.standardInput] : [])
    for path in paths {
        do throws(SyscallError) {
            try retrying("mkfifo", path) { mkfifo(path, 0o600) }
        } catch {
            if error.errno != .exists { throw error }
        }
        // A program that is not root may open /dev/stdout anew.
        if owner != 0 { try retrying("chown", path) { chown(path, owner, 0) } }
    }
}

/// Security modules are the kernel's: what it does not have is said by name.
private func checkLabels(_ request: ContainerRequest, doing: String) throws(Failure) {
    if let profile = request.rare?.appArmorProfile,
        (try? readText("/sys/module/apparmor/parameters/enabled"))?.hasPrefix("Y") != true
    {
        throw Failure(
            doing,
            cause: "it asks for the AppArmor profile \"\(profile)\", and this kernel runs without AppArmor",
            advice: "remove `apparmor=\(profile)` from `security_opt`")
    }
    if let context = request.rare?.seLinuxContext, !exists("/sys/fs/selinux/enforce") {
        throw Failure(
            doing, cause: "it asks for the SELinux context \(context), and this kernel runs without SELinux",
            advice: "remove the `label` from `security_opt`")
    }
}

private func resolveMounts(_ setup: ContainerSetup, hostname: String, doing: String) throws(Failure)
    -> [ResolvedMount]
{
    let directories = setup.directories
    let grants = try grantedFiles(setup, doing: doing)
    do throws(SyscallError) {
        for (path, text) in [
            (directories.hosts, setup.hostsText),
            (directories.hostname, "\(hostname)\n"),
            (directories.resolvConf, setup.resolvText),
        ] where !text.isEmpty {
            try writeFile(path, text.utf8)
        }
        for (index, (grant, content)) in grants.enumerated() {
            try ensureDirectory(directories.files, mode: 0o700)
            let path = "\(directories.files)/\(index)"
            try removeFile(path)
            try writeFile(path, content, mode: 0o600)
            try retrying("chown", path) { chown(path, grant.uid, grant.gid) }
            try retrying("chmod", path) { chmod(path, grant.mode & 0o7777) }
        }
    } catch {
        throw Failure(doing, error)
    }
    var without: Set<String> = []
    if setup.resolvText.isEmpty { without.insert(directories.resolvConf) }
    if setup.hostsText.isEmpty { without.insert(directories.hosts) }
    return try declaredMounts(setup, without: without).map { mount throws(Failure) in
        try mount.resolved(setup, doing: doing)
    }
}

/// Configs and secrets with what they hold. Without it the container is not started: a program that finds its secret empty
/// goes on with none.
private func grantedFiles(_ setup: ContainerSetup, doing: String) throws(Failure) -> [(FileRequest, [UInt8])]
{
    try setup.request.files.map { grant throws(Failure) in
        guard let content = setup.contents[grant.content] else {
            throw Failure(
                doing, cause: "what \(grant.title) holds is not kept any more, or is damaged",
                advice: "run `covey up`, which brings it again")
        }
        return (grant, content)
    }
}

/// One of what a container has mounted beside its root and the kernel's file systems. Its source is looked at only when it
/// is resolved.
enum DeclaredMount {
    /// Written when it was prepared.
    case file(path: String, target: String, title: String, readOnly: Bool)
    case requested(MountRequest)

    var target: String {
        switch self {
        case .file(_, let target, _, _): target
        case .requested(let mount): mount.target
        }
    }

    func resolved(_ setup: ContainerSetup, doing: String) throws(Failure) -> ResolvedMount {
        switch self {
        case .file(let path, let target, let title, let readOnly):
            ResolvedMount(
                source: .path(path, isDirectory: false, recursive: false, propagation: 0), target: target,
                readOnly: readOnly, title: title)
        case .requested(let mount): try resolve(mount, setup: setup, doing: doing)
        }
    }
}

/// All of them, in order.
/// - Parameter without: those of its own files that it has not.
func declaredMounts(_ setup: ContainerSetup, without: Set<String>) -> [DeclaredMount] {
    let directories = setup.directories
    var mounts = [
        (directories.hosts, "/etc/hosts"), (directories.hostname, "/etc/hostname"),
        (directories.resolvConf, "/etc/resolv.conf"),
    ].filter { !without.contains($0.0) }.map {
        DeclaredMount.file(path: $0, target: $1, title: $1, readOnly: false)
    }
    for (index, grant) in setup.request.files.enumerated() {
        mounts.append(
            .file(
                path: "\(directories.files)/\(index)", target: grant.target, title: grant.title,
                readOnly: true))
    }
    return mounts + setup.request.mounts.map { .requested($0) }
}

private func resolve(_ mount: MountRequest, setup: ContainerSetup, doing: String) throws(Failure)
    -> ResolvedMount
{
    switch mount.source {
    case .tmpfs(let size, let mode, let uid, let gid):
        var settings: [(key: String, value: String)] = [("mode", String(mode ?? 0o1777, radix: 8))]
        if let size { settings.append(("size", "\(size.bytes)")) }
        if let uid { settings.append(("uid", "\(uid)")) }
        if let gid { settings.append(("gid", "\(gid)")) }
        return ResolvedMount(
            source: .tmpfs(settings, mount.runsPrograms == true ? .programs : .files), target: mount.target,
            readOnly: mount.readOnly,
            title: "tmpfs")
    case .volume(let name):
        guard let data = setup.volumes[name] else {
            throw Failure(doing, cause: "volume \"\(name)\" was not made")
        }
        return try directoryMount(
            data, mount, title: "volume \"\(name)\"", looks: !setup.mountedVolumes.contains(name),
            doing: doing)
    case .anonymous(let index):
        return try directoryMount(
            "\(setup.directories.anonymousVolumes)/\(index)", mount, title: "anonymous volume", doing: doing)
    case .bind(let path, let createHostPath, let propagation):
        return try bindMount(
            path, createHostPath: createHostPath, propagation: propagation, mount, doing: doing)
    case .image(let reference, _, let layers):
        let title = "image \"\(reference)\""
        if let subpath = mount.subpath {
            return try part(subpath, of: layers, mount, title: title, doing: doing)
        }
        if layers.count == 1, let only = layers.first {
            return try directoryMount(only, mount, title: title, doing: doing)
        }
        guard layers.count > 1 else {
            throw Failure(doing, cause: "\(title) has no files", advice: "mount another image")
        }
        return ResolvedMount(
            source: .layers(layers), target: mount.target, readOnly: true, title: title)
    }
}

/// A directory or a file of an image: the directories of its layers that are merged there, or the one file that is seen.
private func part(
    _ subpath: String, of layers: [String], _ mount: MountRequest, title: String, doing: String
) throws(Failure) -> ResolvedMount {
    let doing = "\(doing): subpath \"\(subpath)\" of \(title)"
    do throws(SyscallError) {
        let top = try OverlayDirectory(layers: layers)
        guard let found = try top.located(Array(subpath.utf8)) else {
            throw SyscallError("openat", .noEntry, subpath)
        }
        switch found.entry {
        case .directory(let directory):
            // Layers never change, so that a directory can be named by its path.
            let paths = try directory.layers.map { layer throws(SyscallError) in try path(of: layer) }
            let source: ResolvedMount.Source =
                paths.count == 1
                ? .path(paths[0], isDirectory: true, recursive: false, propagation: 0) : .layers(paths)
            return ResolvedMount(source: source, target: mount.target, readOnly: true, title: title)
        case .other(let status, let holder):
            guard status.isRegular, let name = found.name else {
                throw SyscallError("openat", .invalid, subpath)
            }
            return ResolvedMount(
                source: .path(
                    "\(try path(of: holder))/\(String(cName: name))", isDirectory: false, recursive: false,
                    propagation: 0),
                target: mount.target, readOnly: true, title: title)
        }
    } catch {
        throw Failure(doing, error, advice: "name a directory or a file that the image has")
    }
}

private func path(of directory: SharedFD) throws(SyscallError) -> String {
    try readLink("/proc/self/fd/\(directory.raw)")
}

/// - Parameter looks: whether a subpath is looked for now, for the sake of the error.
private func directoryMount(
    _ path: String, _ mount: MountRequest, title: String, looks: Bool = true, doing: String
) throws(Failure) -> ResolvedMount {
    if let subpath = mount.subpath {
        // Whoever has the volume may put a link there right after the look, so it is opened again without one and mounted by
        // that descriptor (CVE-2021-30465's kind).
        do throws(SyscallError) {
            if looks {
                let root = try openFile(path, flags: O_PATH | O_DIRECTORY)
                _ = try openat2(
                    root.raw, subpath, flags: O_PATH | O_DIRECTORY, resolve: [.beneath, .noSymlinks])
            }
        } catch {
            throw Failure(
                "\(doing): subpath \"\(subpath)\" of \(title)", error,
                advice: "make the directory in the volume first")
        }
        return ResolvedMount(
            source: .below(root: path, path: subpath), target: mount.target, readOnly: mount.readOnly,
            title: title)
    }
    return ResolvedMount(
        source: .path(path, isDirectory: true, recursive: false, propagation: 0), target: mount.target,
        readOnly: mount.readOnly, title: title)
}

private func bindMount(
    _ path: String, createHostPath: Bool, propagation: String?, _ mount: MountRequest, doing: String
) throws(Failure) -> ResolvedMount {
    let flags = try propagationFlags(propagation, path: path, doing: doing)
    do throws(SyscallError) {
        let status: stat
        do throws(SyscallError) {
            status = try fileStatus(path, follow: true)
        } catch {
            guard error.errno == .noEntry, createHostPath else { throw error }
            try ensureDirectory(path)
            status = try fileStatus(path, follow: true)
        }
        var resolved = ResolvedMount(
            source: .path(
                path, isDirectory: status.isDirectory,
                recursive: mount.beneath != MountRequest.MountsBeneath.none,
                propagation: flags),
            target: mount.target,
            readOnly: mount.readOnly, title: "bind mount of \(path)")
        resolved.writableBeneath = mount.beneath == .writable
        return resolved
    } catch {
        throw Failure(
            "\(doing): bind mount of \(path) at \(mount.target)", error, advice: "create \(path) on the host")
    }
}

/// - Throws: when the host's mount does not share what is asked to be shared (mount_namespaces(7), "SHARED SUBTREES").
private func propagationFlags(_ name: String?, path: String, doing: String) throws(Failure) -> UInt64 {
    guard let name else { return 0 }
    let isRecursive = name.hasPrefix("r") ? Propagation.recursive : 0
    let kind = name.hasPrefix("r") ? String(name.dropFirst()) : name
    let flag: UInt64
    switch kind {
    case "private": return Propagation.isPrivate | isRecursive
    case "slave": flag = Propagation.isSlave
    case "shared": flag = Propagation.isShared
    default: throw Failure(doing, cause: "there is no bind propagation \"\(name)\"", advice: "such as rslave")
    }
    let tags: [String]
    do throws(SyscallError) {
        tags = try MountEntry.holding(path)?.tags ?? []
    } catch {
        throw Failure("\(doing): bind mount of \(path)", error)
    }
    let isFit = tags.contains { $0.hasPrefix("shared:") || kind == "slave" && $0.hasPrefix("master:") }
    guard isFit else {
        throw Failure(
            "\(doing): bind mount of \(path) with propagation \(name)",
            cause: "the host's mount that \(path) is on is not shared",
            advice: "make it so with `mount --make-shared`, or leave `propagation` out")
    }
    return flag | isRecursive
}
