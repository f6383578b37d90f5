// SPDX-License-Identifier: Apache-2.0
//
// MountReader: `volumes` in their short form, and `tmpfs` of a service (05-services.md). The long form is LongMountReader.swift's.

internal import Basics
internal import ComposeModel

let mountPropagations = ["private", "rprivate", "shared", "rshared", "slave", "rslave"]

extension Field {
    /// `volumes` of a service, one per target.
    func mounts(_ around: Surroundings) -> [Service.Mount] {
        elements().compactMap { element in
            var mount = element.node.mapping == nil ? element.shortMount(around) : element.longMount(around)
            mount?.location = element.place.location
            return mount
        }
    }

    /// `[SOURCE:]TARGET[:OPTIONS]`
    private func shortMount(_ around: Surroundings) -> Service.Mount? {
        guard let text = string() else { return nil }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard parts.count <= 3, !parts.contains("") else {
            error("is \"\(text)\"; expected \"[SOURCE:]TARGET[:OPTIONS]\"")
            return nil
        }
        guard parts.count > 1 else {
            return target(text).map { Service.Mount(source: .anonymous, target: $0) }
        }
        guard let target = target(parts[1]) else { return nil }
        let isPath = [".", "/", "~"].contains { parts[0].hasPrefix($0) }
        if !isPath, !isResourceName(parts[0]) {
            error(
                "names the volume \"\(parts[0])\"; a name has letters, digits, \".\", \"_\" and \"-\"",
                advice: "write \"./\(parts[0])\" for a directory")
            return nil
        }
        var mount = Service.Mount(source: .volume(parts[0]), target: target)
        var propagation: String?
        for option in parts.count == 3 ? parts[2].split(separator: ",").map(String.init) : [] {
            switch option {
            case "rw": continue
            case "ro": mount.readOnly = true
            case "nocopy" where !isPath: mount.noCopy = true
            case "z", "Z":
                if isPath { mount.selinux = option }
            // Hints for other systems.
            case "cached", "delegated", "consistent": mount.consistency = option
            case _ where isPath && mountPropagations.contains(option): propagation = option
            default:
                let known = ["ro", "rw", "z", "Z"] + (isPath ? mountPropagations : ["nocopy"])
                error(
                    "has the unknown option \"\(option)\"",
                    advice: nearest(to: option, among: known).map { "did you mean \"\($0)\"?" }
                        ?? "known: \(known.joined(separator: ", "))")
            }
        }
        if isPath {
            mount.source = .bind(
                path: around.absolute(parts[0], at: place), createHostPath: true, propagation: propagation)
        }
        return mount
    }

    /// An absolute path in the container.
    func target(_ text: String) -> String? {
        guard text.hasPrefix("/") else {
            error("mounts at \"\(text)\"; a path in the container must be absolute")
            return nil
        }
        let path = normalPath(text)
        if path == "/" {
            error("mounts over the whole container", advice: "choose a directory below /")
            return nil
        }
        return path
    }

    /// `tmpfs`: `PATH[:size=64m,mode=1770,uid=1,gid=1]`, one or several.
    func temporaries() -> [Service.Mount] {
        let elements = node.text != nil ? [self] : self.elements()
        return elements.compactMap { $0.temporary() }
    }

    private func temporary() -> Service.Mount? {
        guard let text = string() else { return nil }
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(
            String.init)
        guard let target = target(parts[0]) else { return nil }
        var mount = Service.Mount(source: .anonymous, target: target)
        var (size, mode): (ByteSize?, UInt32?) = (nil, nil)
        var (uid, gid): (UInt32?, UInt32?) = (nil, nil)
        for option in parts.count == 2 ? parts[1].split(separator: ",").map(String.init) : [] {
            let pair = option.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                .map(String.init)
            let value = pair.count == 2 ? pair[1] : ""
            var isGood = true
            switch pair[0] {
            case "size":
                size = ByteSize(value)
                isGood = size != nil
            case "mode":
                mode = digits(value, radix: 8)
                isGood = mode.map { $0 <= 0o7777 } ?? false
            case "uid":
                uid = digits(value)
                isGood = uid != nil
            case "gid":
                gid = digits(value)
                isGood = gid != nil
            case "ro": mount.readOnly = true
            // What a tmpfs has anyway.
            case "rw", "nosuid", "nodev": continue
            case "exec": mount.runsPrograms = true
            case "noexec": mount.runsPrograms = false
            default: isGood = false
            }
            if !isGood, ["size", "mode", "uid", "gid"].contains(pair[0]) {
                error("has the option \"\(option)\"", advice: "such as size=64m, mode=1777, uid=0")
            } else if !isGood {
                refuse(
                    "has the option \"\(option)\"",
                    advice: "size=64m, mode=1777, uid=0, gid=0, exec and ro are supported")
            }
        }
        mount.source = .tmpfs(size: size, mode: mode, uid: uid, gid: gid)
        mount.tmpfsText = text
        mount.location = place.location
        return mount
    }
}
