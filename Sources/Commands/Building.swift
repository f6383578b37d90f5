// SPDX-License-Identifier: Apache-2.0
//
// Building: a service's `build` as the image builder wants it, and what the builder says as progress.

internal import Basics
internal import ComposeModel
internal import DockerfileSyntax
internal import ImageBuild
internal import Images
internal import Kernel

/// Builds images for one session.
struct StepRunning {
    private let runner: StepRunner

    init(_ session: Session) { runner = stepRunner(root: session.root) }

    func build(
        _ build: Service.Build, serviceName: String, tags: [String], serviceContexts: [String: String],
        noCache: Bool,
        store: ImageStore, _ progress: Progress
    ) throws(Failure) {
        var request = try Self.request(of: build)
        request.tags = tags
        request.noCache = noCache
        for (name, text) in build.additionalContexts {
            if let reference = serviceContexts[name] {
                request.namedContexts[name] = .image(reference)
            } else {
                request.namedContexts[name] = try NamedContext(name: name, text: text)
            }
        }
        _ = try ImageBuild.build(request, store: store, runner: runner) { event in
            show(event, of: serviceName, progress)
        }
    }

    private static func request(of build: Service.Build) throws(Failure) -> BuildRequest {
        var request: BuildRequest
        if let text = build.dockerfileInline {
            request = BuildRequest(
                context: build.context, dockerfile: Array(text.utf8), dockerfilePath: "dockerfile_inline")
        } else {
            let path = build.dockerfile ?? "\(build.context)/Dockerfile"
            let bytes: [UInt8]
            do throws(SyscallError) {
                bytes = try readFile(path)
            } catch {
                throw Failure(
                    "cannot read the Dockerfile \(path)", error,
                    advice: error.errno == .noEntry ? "name it with `build.dockerfile`" : nil)
            }
            request = BuildRequest(context: build.context, dockerfile: bytes, dockerfilePath: path)
        }
        request.arguments = build.args
        request.target = build.target
        request.labels = build.labels
        return request
    }
}

/// One event of a build as lines of progress.
private func show(_ event: BuildEvent, of service: String, _ progress: Progress) {
    switch event {
    case .began(let number, let total, _, let text):
        let line = text.split(separator: "\n", maxSplits: 1).first.map(String.init) ?? ""
        progress.detail("[\(service) \(number)/\(total)] \(line)")
    case .output(_, let line): progress.detail("  \(line)")
    case .ended(let number, .cached): progress.detail("[\(service) \(number)] cached")
    case .ended(_, .done): break
    case .warning(let warning): progress.notice("\(warning.location): warning: \(warning.text)")
    }
}

func runBuild(_ session: Session) throws(Failure) -> Int32 {
    let project = try session.project()
    let names = session.arguments.operands
    try checkServices(names, project)
    for name in names where project.services[name]?.build == nil {
        throw Failure(
            "service \"\(name)\" can't be built", cause: "it has no `build`",
            at: project.services[name]?.marks.element)
    }
    let progress = try session.progress("build")
    let wish = ImageWish(
        build: true, noCache: session.arguments.has(.noCache),
        services: names.isEmpty ? Set(project.services.keys) : Set(names))
    let resolution = try ImageResolution(session, project, wish, progress)
    defer { progress.end() }
    try resolution.buildAll()
    if resolution.built == 0 { progress.notice("nothing to build: no service has `build`") }
    return 0
}
