// SPDX-License-Identifier: Apache-2.0
//
// DesiredProject: a loaded project becomes what is sent to the controller: configs and secrets are read, images
// are made sure of, all is lowered. The bytes are the same for the same project, so that an unchanged one is
// recognised without being understood.

internal import Basics
internal import ComposeModel
internal import ContainerModel
internal import ContainerRuntime
internal import Controller
internal import JSONFormat
internal import Kernel
internal import Planning

/// The desired state with the contents of its configs and secrets.
func lowered(_ session: Session, _ project: Project, images: ProjectImages) throws(Failure) -> Lowered {
    var contents = try fileContents(session, project)
    contents.images = images.further.mapValues(\.facts)
    return try lower(
        project, images: images.services, stepImages: images.further, contents: contents)
}

/// What `up` and `plan` send: the desired state's JSON, then contents of configs and secrets in digest order.
func desiredBlobs(_ lowered: Lowered) throws(Failure) -> [[UInt8]] {
    let description: [UInt8]
    do {
        description = try encodeJSON(lowered.desired)
    } catch {
        throw Failure("cannot write the desired state", cause: "\(error)")
    }
    return [description] + lowered.blobs.sorted { $0.key < $1.key }.map(\.value)
}

/// The bytes of the configs and secrets that some service uses.
private func fileContents(_ session: Session, _ project: Project) throws(Failure) -> FileContents {
    var contents = FileContents()
    if project.services.values.contains(where: \.asksForInterfaces) {
        contents.devices = try CDICatalogue(files: interfaceFiles(session))
    }
    for service in project.services.values {
        for path in service.seccompProfiles where contents.profiles[path] == nil {
            contents.profiles[path] = try profile(path, of: service, project)
        }
        for grant in service.configs where contents.configs[grant.source] == nil {
            guard let source = project.configs[grant.source] else { continue }
            contents.configs[grant.source] = try bytes(of: source, "config \"\(grant.source)\"")
        }
        for grant in service.secrets where contents.secrets[grant.source] == nil {
            guard let source = project.secrets[grant.source] else { continue }
            contents.secrets[grant.source] = try bytes(of: source, "secret \"\(grant.source)\"")
        }
    }
    return contents
}

/// The CDI files of this host: /etc/cdi and /var/run/cdi, or the directories of COVEY_CDI.
private func interfaceFiles(_ session: Session) throws(Failure) -> [CDICatalogue.File] {
    let directories = session.invocation.variable("COVEY_CDI") ?? "/etc/cdi:/var/run/cdi"
    var files: [CDICatalogue.File] = []
    for (priority, directory) in directories.split(separator: ":").enumerated() {
        for name in ((try? directoryEntries(String(directory))) ?? []).sorted()
        where [".json", ".yaml"].contains(where: name.hasSuffix) {
            let path = "\(directory)/\(name)"
            do throws(SyscallError) {
                files.append(CDICatalogue.File(path: path, bytes: try readFile(path), priority: priority))
            } catch {
                throw Failure("cannot read the CDI file \(path)", error)
            }
        }
    }
    return files
}

/// A seccomp profile, from the project's directory on, as Docker Compose reads it.
private func profile(_ path: String, of service: Service, _ project: Project) throws(Failure) -> [UInt8] {
    let title = "the seccomp profile \"\(path)\" of service \"\(service.name)\""
    let place = service.marks["security_opt"]
    let bytes: [UInt8]
    do throws(SyscallError) {
        bytes = try readFile(path.hasPrefix("/") ? path : "\(project.directory)/\(path)")
    } catch {
        throw Failure("cannot read \(title)", error, at: place)
    }
    do throws(Failure) {
        try SeccompFilters.check(profile: bytes, named: title)
    } catch {
        throw Failure(error.doing, cause: error.cause, advice: error.advice, at: place)
    }
    return bytes
}

func bytes(of source: FileSource, _ title: String) throws(Failure) -> [UInt8] {
    switch source.content {
    case .content(let text): return Array(text.utf8)
    case .environment(let name, let value):
        guard let value else {
            throw Failure(
                "cannot read \(title)", cause: "the variable \(name) is not set",
                advice: "set it before running covey", at: source.marks["environment"])
        }
        return Array(value.utf8)
    case .external:
        throw Failure(
            "cannot read \(title)", cause: "it is external, and there is no store of them on one host",
            advice: "give it a `file`", at: source.marks["external"])
    case .file(let path):
        do throws(SyscallError) {
            return try readFile(path)
        } catch {
            throw Failure("cannot read \(title)", error, at: source.marks["file"])
        }
    }
}

/// `--scale SERVICE=N` put into the project.
func applyScale(_ session: Session, to project: inout Project) throws(Failure) {
    for text in session.arguments.all(.scale) { _ = try applyScale(text, to: &project) }
}

/// `SERVICE=N` put into the project; the service's name.
func applyScale(_ text: String, to project: inout Project) throws(Failure) -> String {
    guard let equals = text.lastIndex(of: "="), equals != text.startIndex,
        case let number = text[text.index(after: equals)...], !number.isEmpty,
        number.utf8.allSatisfy({ (48...57).contains($0) })
    else {
        throw Failure("cannot understand the scale \(text)", cause: "it is not of the form SERVICE=N")
    }
    let bounds = Service.replicaBounds
    guard let count = Int(number), bounds.contains(count) else {
        throw Failure(
            "cannot understand the scale \(text)",
            cause: "a service has from \(bounds.lowerBound) to \(bounds.upperBound) containers")
    }
    let name = String(text[..<equals])
    try checkServices([name], project)
    project.services[name]?.replicas = count
    return name
}

/// Every name is a service that is switched on.
func checkServices(_ names: [String], _ project: Project) throws(Failure) {
    for name in names where project.services[name] == nil {
        if project.disabledServices[name] != nil {
            throw Failure(
                "service \"\(name)\" is switched off", cause: "none of its profiles is active",
                advice: "add --profile with one of its profiles")
        }
        let near = nearest(to: name, among: project.services.keys.sorted())
        throw Failure(
            "no service \"\(name)\" in project \"\(project.name)\"",
            cause: near.map { "there is a service \"\($0)\"" },
            advice: "run `covey config --services` for all of them")
    }
}

/// The named services with all they depend on; all when none is named.
func withDependencies(_ names: [String], _ project: Project) -> Set<String> {
    guard !names.isEmpty else { return Set(project.services.keys) }
    var found: Set<String> = []
    var waiting = names
    while let name = waiting.popLast() {
        guard found.insert(name).inserted, let service = project.services[name] else { continue }
        waiting += service.dependsOn.keys
    }
    return found
}
