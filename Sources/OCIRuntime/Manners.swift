// SPDX-License-Identifier: Apache-2.0
//
// Where runc and crun differ from the specification, or from each other, whoever calls a runtime by their name relies on
// it: called so, we do as they do. docs/conformance.md, "Called as runc or crun", lists all of it; elsewhere the
// specification holds.

internal import CLinux
internal import JSONFormat
internal import Kernel

public enum Manners: Sendable {
    case specification, runc, crun

    /// `delete` ends a container that waits for its start, which is an error by runtime.md, "Delete".
    var deletesCreated: Bool { self != .specification }

    /// A listener is handed over also when no call is asked about: an agent may wait for it (config-linux.md, "Seccomp",
    /// has it ignored).
    var alwaysHandsListenerOver: Bool { self == .crun }

    /// A cgroup that the bundle doesn't name is called as the container is.
    var namesCgroup: Bool { self != .specification }

    /// What the message to the agent calls its version.
    var listenerVersion: String { self == .crun ? "0.2.0" : ociVersion }

    /// A program that is exec'ed has no_new_privs only when it is asked for, not as the container has it.
    var execsWithOwnPrivileges: Bool { self == .crun }

    /// The file `status` beside the record, which those who know crun read.
    var writesStatus: Bool { self == .crun }
}

extension ContainerRecord {
    /// `status` of crun.
    func crunStatus(detached: Bool) -> [UInt8] {
        // Of the first process: whose ends they are, CRIU's users want to know.
        let descriptors = (0...2).map { number in
            JSONValue.string((try? readLink("/proc/\(pid)/fd/\(number)")) ?? "/dev/null")
        }
        var list: [UInt8] = []
        JSONValue.array(descriptors).write(to: &list)
        var bytes: [UInt8] = []
        JSONValue.object([
            .init("pid", .integer(Int64(pid))), .init("process-start-time", .unsigned(startTime)),
            .init("cgroup-path", .string(cgroupPath)), .init("scope", .string("")),
            .init("rootfs", .string(rootfs)), .init("systemd-cgroup", .bool(false)),
            .init("bundle", .string(bundle)), .init("created", .string(created)),
            .init("owner", .string("root")), .init("detached", .bool(detached)),
            .init("external_descriptors", .string(String(decoding: list, as: UTF8.self))),
        ]).write(to: &bytes)
        return bytes + [UInt8(ascii: "\n")]
    }
}
