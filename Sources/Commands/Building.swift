// SPDX-License-Identifier: Apache-2.0
//
// Building: a service's `build` and the command line's wishes as the image builder wants them.

internal import Basics
internal import CLinux
internal import ComposeModel
internal import DockerfileSyntax
internal import ImageBuild
internal import Images
internal import Kernel

/// What the command line adds to what the files say of every build.
struct BuildWish {
    var noCache = false
    var arguments: [String: String] = [:]
    var secrets: [String: [UInt8]] = [:]
    var agents: [String: AgentSource] = [:]
    var checksOnly = false
    var pulls = false
    var memory: ByteSize?
    var cacheSources: [CacheReference] = []
    var cacheTargets: [CacheReference] = []
}

/// Builds images for one session.
final class StepRunning {
    private let host: StepHost
    private let session: Session

    init(_ session: Session) {
        self.session = session
        host = StepHost(root: session.root)
    }

    /// Takes the builds' network away; a later build makes another.
    func finish() { host.close() }

    func build(
        _ build: Service.Build, of project: Project, serviceName: String, tags: [String],
        serviceContexts: [String: String], wish: BuildWish, store: ImageStore, _ progress: Progress
    ) throws(Failure) {
        let given = try agents(of: build, wish)
        defer { withExtendedLifetime(given) {} }
        let agents = given.sockets
        let remotes = BuildRemotes(session, store)
        // Checked out contexts are there until the image is.
        var repositories: [CheckedOutContext] = []
        defer { withExtendedLifetime(repositories) {} }
        let keepsGit = wish.arguments(of: build)["BUILDKIT_CONTEXT_KEEP_GIT_DIR"] == "1"
        let checkedOut = try remotes.context(
            build.context, "the build context", agents: agents, keepsGit: keepsGit)
        if let checkedOut { repositories.append(checkedOut) }
        var request = try request(of: build, checkedOut, project, wish)
        request.agents = agents
        request.tags = tags
        for (name, text) in build.additionalContexts {
            if let reference = serviceContexts[name] {
                request.namedContexts[name] = .image(reference)
                request.builtImages.insert(reference)
            } else if let other = try remotes.context(
                text, "the additional context `\(name)`", agents: agents, keepsGit: keepsGit)
            {
                repositories.append(other)
                request.namedContexts[name] = .directory(other.path)
            } else {
                request.namedContexts[name] = try NamedContext(name: name, text: text)
            }
        }
        let display = BuildDisplay(serviceName, progress)
        // Ctrl-C ends the build with this process; the steps' network would stay.
        let host = host
        let interruption = try? Interruption { host.close() }
        defer { withExtendedLifetime(interruption) {} }
        do throws(Failure) {
            _ = try ImageBuild.build(
                request, store: store, runner: host.runner, remote: remotes.sources(agents: agents)
            ) { display.show($0) }
        } catch {
            display.fail()
            throw error
        }
    }

    private func agents(of build: Service.Build, _ wish: BuildWish) throws(Failure) -> BuildAgents {
        var agents = wish.agents
        for (id, path) in build.ssh { agents[id] = try AgentSource(id, path, session) }
        return try BuildAgents(agents, root: session.root)
    }

    private func request(
        of build: Service.Build, _ repository: CheckedOutContext?, _ project: Project, _ wish: BuildWish
    ) throws(Failure) -> BuildRequest {
        var request: BuildRequest
        let context = repository?.path ?? build.context
        if let text = build.dockerfileInline {
            request = BuildRequest(
                context: context, dockerfile: Array(text.utf8), dockerfilePath: "dockerfile_inline")
        } else {
            let name = build.dockerfile ?? "Dockerfile"
            let path = name.hasPrefix("/") && repository == nil ? name : "\(context)/\(name)"
            let bytes: [UInt8]
            do throws(SyscallError) {
                if repository == nil {
                    bytes = try readFile(path)
                } else {
                    // In a repository of anybody's a link is a link within it.
                    let top = try openFile(context, flags: O_PATH | O_DIRECTORY)
                    let file = try openat2(top.raw, name, flags: O_RDONLY, resolve: .inRoot)
                    bytes = try readAll(file.raw)
                }
            } catch {
                throw Failure(
                    "cannot read the Dockerfile \(path)", error,
                    advice: error.errno == .noEntry ? "name it with `build.dockerfile`" : nil)
            }
            request = BuildRequest(context: context, dockerfile: bytes, dockerfilePath: path)
        }
        request.arguments = wish.arguments(of: build)
        // As Docker's builder takes it from the shell that builds.
        if request.arguments["SOURCE_DATE_EPOCH"] == nil,
            let epoch = session.invocation.variable("SOURCE_DATE_EPOCH"), !epoch.isEmpty
        {
            request.arguments["SOURCE_DATE_EPOCH"] = epoch
        }
        request.target = build.target
        request.labels = build.labels
        request.noCache = wish.passesCacheBy(build)
        request.noCacheStages = Set(build.noCacheFilter)
        request.checksOnly = wish.checksOnly
        request.pulls = wish.pulls(build)
        request.limits.memory = wish.memory?.bytes
        request.limits.processes = try session.positive("COVEY_STEP_PROCESSES").map { Int($0) }
        request.parallel = try parallelLimit(session.invocation.environment)
        if !wish.checksOnly { try caches(of: build, project, wish, &request) }
        request.network = try network(build.network)
        request.allowsInsecure = build.privileged || build.entitlements.contains("security.insecure")
        request.extraHosts = build.extraHosts.map { ($0.name, $0.address) }
        request.limits.sharedMemory = build.shmSize?.bytes
        request.limits.ulimits = build.ulimits.mapValues { StepUlimit(soft: $0.soft, hard: $0.hard) }
        request.secrets = wish.secrets.mapValues { BuildSecret($0) }
        for grant in build.secrets {
            guard let source = project.secrets[grant.source] else { continue }
            var secret = BuildSecret(try bytes(of: source, "secret \"\(grant.source)\""))
            secret.mode = grant.mode ?? secret.mode
            secret.uid = grant.uid ?? 0
            secret.gid = grant.gid ?? 0
            request.secrets[buildSecretID(of: grant)] = secret
        }
        return request
    }

    private func caches(
        of build: Service.Build, _ project: Project, _ wish: BuildWish, _ request: inout BuildRequest
    ) throws(Failure) {
        func read(_ texts: [String], isTarget: Bool) throws(Failure) -> [CacheReference] {
            var all: [CacheReference] = []
            for text in texts {
                var reference = try CacheReference(text, isTarget: isTarget)
                // Paths of a file count from the project, those of the command line from where it was given.
                if case .directory(let path, let tag) = reference.place, !path.hasPrefix("/") {
                    reference.place = .directory("\(project.directory)/\(path)", tag: tag)
                }
                all.append(reference)
            }
            return all
        }
        let places = BuildCaches(session)
        for reference in wish.cacheSources + (try read(build.cacheFrom, isTarget: false)) {
            request.cacheSources.append(places.source(reference))
        }
        for reference in wish.cacheTargets + (try read(build.cacheTo, isTarget: true)) {
            request.cacheTargets.append(places.target(reference))
        }
    }

    private func network(_ name: String?) throws(Failure) -> StepNetwork {
        switch name {
        case nil, "default": return .outbound
        case "host": return .host
        case "none": return .none
        case let name?:
            throw Failure(
                "cannot build on the network \"\(name)\"",
                cause: "a build has a network of its own, the host's or none",
                advice: "use `default`, `host` or `none`")
        }
    }
}

func runBuild(_ session: Session) throws(Failure) -> Int32 {
    let project = try session.project()
    let arguments = session.arguments
    let names = arguments.operands
    try checkServices(names, project)
    for name in names where project.services[name]?.build == nil {
        throw Failure(
            "service \"\(name)\" can't be built", cause: "it has no `build`",
            at: project.services[name]?.marks.element)
    }
    var chosen = names.isEmpty ? Set(project.services.keys) : Set(names)
    if arguments.has(.withDependencies) { chosen = withDependencies(names, project) }
    var wish = ImageWish(build: true, services: chosen)
    wish.building = try buildWish(session)
    if arguments.has(.printOnly) {
        let text = BakeText(
            project: project, wish: wish.building, secrets: arguments.all(.secret),
            agents: arguments.all(.ssh))
        session.out.line(text.text(of: chosen))
        return 0
    }
    let progress = try session.progress(arguments.has(.check) ? "check" : "build")
    progress.showsDetails = !arguments.has(.quiet)
    let resolution = try ImageResolution(session, project, wish, progress)
    defer { progress.end() }
    try resolution.buildAll()
    if resolution.built == 0 { progress.notice("nothing to build: no service has `build`") }
    if wish.building.checksOnly { return progress.warnings > 0 ? 1 : 0 }
    if arguments.has(.push) { try pushBuilt(session, project, chosen, progress) }
    return 0
}

/// The images of services that name one, under that name and their further tags, as Docker Compose does it.
private func pushBuilt(
    _ session: Session, _ project: Project, _ chosen: Set<String>, _ progress: Progress
) throws(Failure) {
    let transfer = try ImageTransfer(session, try session.imageStore(), progress)
    var pushed: Set<String> = []
    for name in chosen.sorted() {
        guard let service = project.services[name], let build = service.build, let image = service.image
        else { continue }
        for reference in [image] + build.tags where pushed.insert(reference).inserted {
            _ = try transfer.push(reference)
        }
    }
    if pushed.isEmpty { progress.notice("nothing to push: no service has both `build` and `image`") }
}

private func buildWish(_ session: Session) throws(Failure) -> BuildWish {
    let arguments = session.arguments
    var wish = BuildWish()
    wish.noCache = arguments.has(.noCache)
    wish.checksOnly = arguments.has(.check)
    wish.pulls = arguments.has(.pull)
    try refuseForeignFlags(arguments)
    if let text = arguments.last(.memory) {
        // Zero is no limit, as for services.
        wish.memory = try memoryLimit(text)
    }
    for text in arguments.all(.cacheFrom) {
        wish.cacheSources.append(try cacheReference(text, isTarget: false, session))
    }
    for text in arguments.all(.cacheTo) {
        wish.cacheTargets.append(try cacheReference(text, isTarget: true, session))
    }
    for text in arguments.all(.buildArgument) {
        let name = String(text.prefix { $0 != "=" })
        guard !name.isEmpty else {
            throw Failure("cannot understand --build-arg \(text)", cause: "it has no name")
        }
        if name.count < text.count {
            wish.arguments[name] = String(text.dropFirst(name.count + 1))
        } else if let value = session.invocation.variable(name) {
            // As with Docker: the name alone takes the shell's own value, and nothing when there is none.
            wish.arguments[name] = value
        }
    }
    for text in arguments.all(.secret) {
        let (id, bytes) = try secret(text, session)
        wish.secrets[id] = bytes
    }
    for text in arguments.all(.ssh) {
        let id = String(text.prefix { $0 != "=" })
        wish.agents[id] = try AgentSource(id, String(text.dropFirst(id.count + 1)), session)
    }
    return wish
}

/// What asks for things that Covey's builder has not: said, not passed over.
private func refuseForeignFlags(_ arguments: Arguments) throws(Failure) {
    if let name = arguments.last(.builder) {
        throw Failure(
            "cannot build with the builder \"\(name)\"",
            cause: "there is one builder, Covey's own, and it needs no name", advice: "leave --builder out")
    }
    for flag in [FlagName.provenance, .sbom] {
        guard let value = arguments.last(flag), value != "false" else { continue }
        throw Failure(
            "cannot build with --\(flag.rawValue) \(value)",
            cause: "images carry no attestations", advice: "leave it out, or say --\(flag.rawValue) false")
    }
}

private func memoryLimit(_ text: String) throws(Failure) -> ByteSize? {
    guard let size = ByteSize(text), size.bytes >= 0 else {
        throw Failure(
            "cannot understand --memory \(text)", cause: "it is no size", advice: "write it as 512m or 2g")
    }
    // The kernel counts whole pages; what is less starts nothing (as Docker's least).
    guard size.bytes == 0 || size.bytes >= 6 << 20 else {
        throw Failure("cannot limit steps to --memory \(text)", cause: "6m is the least")
    }
    return size.bytes == 0 ? nil : size
}

private func cacheReference(_ text: String, isTarget: Bool, _ session: Session) throws(Failure)
    -> CacheReference
{
    var reference = try CacheReference(text, isTarget: isTarget)
    if case .directory(let path, let tag) = reference.place {
        reference.place = .directory(session.invocation.absolute(path), tag: tag)
    }
    return reference
}

/// `id=NAME[,src=FILE|,env=VARIABLE]`, as docker build has it.
private func secret(_ text: String, _ session: Session) throws(Failure) -> (String, [UInt8]) {
    let doing = "cannot understand --secret \(text)"
    var (id, source, variable): (String?, String?, String?)
    for part in text.split(separator: ",") {
        let name = part.prefix { $0 != "=" }
        let value = String(part.dropFirst(name.count + 1))
        switch name {
        case "id": id = value
        case "src", "source": source = value
        case "env": variable = value
        case "type": if value == "env" { variable = variable ?? id }
        default: throw Failure(doing, cause: "it has no option `\(name)`", advice: "write id=NAME,src=FILE")
        }
    }
    guard let id, !id.isEmpty else {
        throw Failure(doing, cause: "it has no id", advice: "write id=NAME,src=FILE")
    }
    if let source {
        do throws(SyscallError) { return (id, try readFile(session.invocation.absolute(source))) } catch {
            throw Failure("cannot read the secret `\(id)`", error)
        }
    }
    guard let value = session.invocation.variable(variable ?? id) else {
        throw Failure("cannot read the secret `\(id)`", cause: "the variable \(variable ?? id) is not set")
    }
    return (id, Array(value.utf8))
}
