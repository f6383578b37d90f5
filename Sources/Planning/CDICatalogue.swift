// SPDX-License-Identifier: Apache-2.0
//
// Devices of the Container Device Interface (CNCF container-device-interface, SPEC.md): files in JSON or YAML that say what
// a container needs for a device of a name such as nvidia.com/gpu=0. Pure: whoever reads the files gives their bytes.
// Hooks are programs of the host; none is ever started, so a device that needs one is refused.

public import Basics
import ContainerModel
import YAMLTree

/// What this host's CDI files offer.
public struct CDICatalogue: Sendable {
    /// One file; of two that name the same device the one of the higher priority counts.
    public struct File: Sendable {
        public var path: String
        public var bytes: [UInt8]
        /// Of its directory: a later one is the higher.
        public var priority: Int

        public init(path: String, bytes: [UInt8], priority: Int) {
            self.path = path
            self.bytes = bytes
            self.priority = priority
        }
    }

    /// What is done to a container.
    struct Edits {
        var environment: [String] = []
        var devices: [DeviceGrant] = []
        var mounts: [MountRequest] = []
        var groups: [String] = []
        /// Programs it wants started, and what else can't be done, in words.
        var unsupported: [String] = []
    }

    private struct Device {
        var edits: Edits
        /// Those of its whole file.
        var shared: Edits
        var path: String
        var priority: Int
        /// Another file of the same priority has it too.
        var conflict: String?
    }

    /// By kind, in the order of the files, then by name.
    private var devices: [String: [String: Device]] = [:]
    private var order: [String: [String]] = [:]

    public init() {}

    /// - Throws: for a file that can't be understood.
    public init(files: [File]) throws(Failure) {
        for file in files { try add(file) }
    }

    var kinds: [String] { devices.keys.sorted() }

    /// The names of a kind's devices, as their files have them.
    func names(of kind: String) -> [String] { order[kind] ?? [] }

    /// - Throws: when there is no such device, or it wants what can't be given.
    func edits(for names: [String]) throws(Failure) -> Edits {
        var all = Edits()
        var files: Set<String> = []
        for name in names {
            let (kind, own) = split(name)
            guard let device = devices[kind]?[own] else {
                let known = order.flatMap { kind, names in names.map { "\(kind)=\($0)" } }.sorted()
                throw Failure(
                    "there is no CDI device \(quoted(name))",
                    cause: known.isEmpty ? "no CDI file of this host names a device" : nil,
                    advice: known.isEmpty
                        ? "put the vendor's specification into /etc/cdi"
                        : nearest(to: name, among: known).map { "did you mean \(quoted($0))?" }
                            ?? "known: \(known.prefix(8).joined(separator: ", "))")
            }
            if let conflict = device.conflict {
                throw Failure(
                    "CDI device \(quoted(name)) is there twice", cause: "in \(device.path) and \(conflict)",
                    advice: "remove one of them")
            }
            all.append(device.edits)
            if files.insert(device.path).inserted { all.append(device.shared) }
            if let first = (device.edits.unsupported + device.shared.unsupported).first {
                throw Failure(
                    "CDI device \(quoted(name)) can't be given", cause: "\(device.path) \(first)",
                    advice:
                        "generate the specification without it; for NVIDIA's, `nvidia-ctk cdi generate --disable-hooks=all`"
                )
            }
        }
        return all
    }

    /// `vendor/class` and the name after `=`.
    private func split(_ name: String) -> (String, String) {
        let cut = name.firstIndex(of: "=") ?? name.endIndex
        return (String(name[..<cut]), String(name[cut...].dropFirst()))
    }

    // MARK: Reading

    private mutating func add(_ file: File) throws(Failure) {
        let documents = try readYAML(file.bytes, file: file.path)
        guard let root = documents.first?.mapping, documents.count == 1 else {
            throw Failure("cannot read the CDI file \(file.path)", cause: "it is no mapping")
        }
        guard root["cdiVersion"]?.text != nil, let kind = root["kind"]?.text,
            kind.split(separator: "/", omittingEmptySubsequences: false).filter({ !$0.isEmpty }).count == 2
        else {
            throw Failure(
                "cannot read the CDI file \(file.path)",
                cause: "it has no `cdiVersion`, or no `kind` of the form vendor/class",
                advice: "see the vendor's tool that wrote it")
        }
        let shared = try edits(root["containerEdits"], file.path)
        for item in root["devices"]?.items ?? [] {
            guard let device = item.mapping, let name = device["name"]?.text, !name.isEmpty else {
                throw Failure(
                    "cannot read the CDI file \(file.path)", cause: "a device in it has no `name`",
                    at: item.place.location)
            }
            var own = Device(
                edits: try edits(device["containerEdits"], file.path), shared: shared, path: file.path,
                priority: file.priority)
            if let other = devices[kind]?[name] {
                if other.priority > file.priority { continue }
                if other.priority == file.priority { own.conflict = other.path }
            } else {
                order[kind, default: []].append(name)
            }
            devices[kind, default: [:]][name] = own
        }
    }

    private func edits(_ node: Node?, _ path: String) throws(Failure) -> Edits {
        var edits = Edits()
        guard let mapping = node?.mapping else { return edits }
        for pair in mapping.pairs {
            let items = pair.value.items ?? []
            switch pair.key {
            case "env": edits.environment += items.compactMap(\.text)
            case "deviceNodes":
                for item in items { edits.devices.append(try deviceNode(item, path)) }
            case "mounts":
                for item in items {
                    let (mount, problem) = try mount(item, path)
                    edits.mounts.append(mount)
                    if let problem { edits.unsupported.append(problem) }
                }
            case "additionalGids", "additionalGIDs":
                edits.groups += items.compactMap(\.text).filter { $0 != "0" }
            case "hooks":
                for item in items {
                    let program = item.mapping?["path"]?.text ?? "a program"
                    edits.unsupported.append(
                        "wants \(program) run for it (a hook), and no program of the host is")
                }
            default: edits.unsupported.append("wants `\(pair.key)`, which is not known here")
            }
        }
        return edits
    }

    private func deviceNode(_ node: Node, _ path: String) throws(Failure) -> DeviceGrant {
        guard let mapping = node.mapping, let target = mapping["path"]?.text, target.hasPrefix("/") else {
            throw Failure(
                "cannot read the CDI file \(path)", cause: "a device node in it has no `path`",
                at: node.place.location)
        }
        let letters = mapping["permissions"]?.text ?? ""
        guard let access = letters.isEmpty ? .all : DeviceAccess(letters) else {
            throw Failure(
                "cannot read the CDI file \(path)", cause: "it has the permissions \(quoted(letters))",
                advice: "of r, w and m", at: node.place.location)
        }
        var grant = DeviceGrant(path: mapping["hostPath"]?.text ?? target, target: target, access: access)
        func number(_ key: String) -> UInt32? {
            guard let text = mapping[key]?.text else { return nil }
            return text.hasPrefix("0o") || text.hasPrefix("0") && text.utf8.count > 1
                ? UInt32(text.drop { $0 == "0" || $0 == "o" }, radix: 8) : UInt32(text)
        }
        grant.uid = number("uid")
        grant.gid = number("gid")
        grant.mode = number("fileMode")
        return grant
    }

    private func mount(_ node: Node, _ path: String) throws(Failure) -> (MountRequest, String?) {
        guard let mapping = node.mapping, let source = mapping["hostPath"]?.text,
            let target = mapping["containerPath"]?.text, source.hasPrefix("/"), target.hasPrefix("/")
        else {
            throw Failure(
                "cannot read the CDI file \(path)",
                cause: "a mount in it has no `hostPath` or `containerPath`",
                at: node.place.location)
        }
        let options = mapping["options"]?.items?.compactMap(\.text) ?? []
        let known: Set<String> = [
            "ro", "rw", "bind", "rbind", "nosuid", "nodev", "noexec", "private", "rprivate",
        ]
        let strange = options.first { !known.contains($0) }
        var request = MountRequest(
            source: .bind(path: source, createHostPath: false, propagation: nil), target: normalPath(target),
            readOnly: options.contains("ro"))
        if !options.contains("rbind") { request.beneath = MountRequest.MountsBeneath.none }
        return (request, strange.map { "wants a mount with `\($0)`, which is not known here" })
    }
}

extension CDICatalogue.Edits {
    mutating func append(_ other: CDICatalogue.Edits) {
        environment += other.environment
        devices += other.devices
        mounts += other.mounts
        groups += other.groups
    }
}
