// SPDX-License-Identifier: Apache-2.0
//
// LongMountReader: the long form of a service's `volumes` (05-services.md): a type, and options that belong to it.

internal import Basics
internal import ComposeModel
internal import YAMLTree

/// A mount while it is read: its options come in any order, and what its source is follows from its type.
private struct MountDraft {
    var mount = Service.Mount(source: .anonymous, target: "")
    var source: String?
    var createsHostPath = true
    var propagation: String?
    var size: ByteSize?
    var mode: UInt32?
}

/// Kinds of mounts, those of other systems last.
private let mountTypes = (known: ["volume", "bind", "tmpfs", "image"], foreign: ["npipe", "cluster"])

extension Field {
    /// nil after a complaint that leaves nothing to mount.
    func longMount(_ around: Surroundings) -> Service.Mount? {
        guard let mapping = node.mapping, let type = mountType(mapping) else { return nil }
        var draft = MountDraft()
        var target: String?
        for (key, keyPlace, field) in fields() {
            switch key {
            case "source": draft.source = field.nonEmptyString()
            case "target": target = field.string().flatMap(field.target)
            case "read_only": draft.mount.readOnly = field.bool() ?? false
            case "consistency": draft.mount.consistency = field.nonEmptyString()
            case type: field.readOptions(into: &draft)
            case _ where mountTypes.known.contains(key):
                if field.node.mapping?.pairs.isEmpty == false {
                    error("has options for \(key), but its type is \(type)", at: keyPlace)
                }
            default: continue
            }
        }
        if mapping["target"] == nil {
            error("has no `target`", advice: "`target` is a path in the container")
        }
        guard let target, let source = mountSource(type, draft, mapping, around) else { return nil }
        draft.mount.target = target
        draft.mount.source = source
        return draft.mount
    }

    private func mountType(_ mapping: Mapping) -> String? {
        guard let type = mapping["type"]?.text else {
            error("has no `type`", advice: "volume, bind, tmpfs or image")
            return nil
        }
        if mountTypes.foreign.contains(type) {
            refuse(
                "has the type \(type), which is not supported",
                advice: "volume, bind, tmpfs and image are supported", at: mapping["type"]?.place)
        } else if !mountTypes.known.contains(type) {
            error(
                "has the unknown type \"\(type)\"",
                advice: nearest(to: type, among: mountTypes.known).map { "did you mean \"\($0)\"?" }
                    ?? "volume, bind, tmpfs and image are supported", at: mapping["type"]?.place)
            return nil
        }
        return type
    }

    private func readOptions(into draft: inout MountDraft) {
        for (option, _, field) in fields() {
            switch option {
            case "propagation":
                draft.propagation = field.string()
                if let given = draft.propagation, !mountPropagations.contains(given) {
                    field.wrongForm(expected: "one of \(mountPropagations.joined(separator: ", "))")
                }
            case "create_host_path": draft.createsHostPath = field.bool() ?? true
            case "selinux": draft.mount.selinux = field.oneOf(["z", "Z"])
            case "recursive":
                draft.mount.recursive = field.oneOf(["enabled", "disabled", "writable", "readonly"])
            case "labels": draft.mount.labels = field.labels()
            case "nocopy": draft.mount.noCopy = field.bool() ?? false
            case "subpath": draft.mount.subpath = field.nonEmptyString()
            case "size": draft.size = field.bytes()
            case "mode": draft.mode = field.mode()
            default: continue
            }
        }
    }

    private func mountSource(
        _ type: String, _ draft: MountDraft, _ mapping: Mapping, _ around: Surroundings
    ) -> Service.Mount.Source? {
        let place = mapping["source"]?.place ?? self.place
        switch type {
        case "bind":
            guard let source = draft.source else {
                error("has no `source`", advice: "`source` is a path on the host")
                return nil
            }
            return .bind(
                path: around.absolute(source, at: place), createHostPath: draft.createsHostPath,
                propagation: draft.propagation)
        case "tmpfs":
            if draft.source != nil { error("is a tmpfs and has no `source`", at: place) }
            return .tmpfs(size: draft.size, mode: draft.mode, uid: nil, gid: nil)
        case "image":
            guard let source = draft.source else {
                error("has no `source`", advice: "`source` is an image")
                return nil
            }
            return .image(source)
        case _ where mountTypes.foreign.contains(type): return .foreign(type: type, source: draft.source)
        default:
            guard let source = draft.source else {
                checkAnonymous(draft.mount)
                return .anonymous
            }
            guard isResourceName(source) else {
                error("names the volume \"\(source)\"", advice: "use `type: bind` for a path", at: place)
                return nil
            }
            return .volume(source)
        }
    }

    private func checkAnonymous(_ mount: Service.Mount) {
        if mount.subpath != nil { error("has a `subpath`, which needs a named volume") }
        if !mount.labels.isEmpty {
            log.note(
                "`\(path.text).volume.labels` has no effect",
                cause: "an anonymous volume is its container's own, and listed nowhere", at: place)
        }
    }
}
