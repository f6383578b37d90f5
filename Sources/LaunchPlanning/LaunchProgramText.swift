// SPDX-License-Identifier: Apache-2.0
//
// How a launch program is printed: `covey debug launch` and the golden tests.

internal import CLaunch

extension LaunchProgram: CustomStringConvertible {
    public var description: String {
        var lines = ["clone \(cloneFlagNames.joined(separator: " "))"]
        if let cgroup { lines.append("into cgroup #\(cgroup.number)") }
        if let pidNamespace { lines.append("into pid namespace #\(pidNamespace.number)") }
        for (index, name) in given.enumerated() { lines.append("given #\(index) \(name)") }
        for (index, step) in steps.enumerated() {
            var words = ["\(index)", operationNames[step.code] ?? "operation-\(step.code)"]
            for slot in step.slots where slot >= 0 { words.append("#\(slot)") }
            words += step.texts.filter { !$0.isEmpty }
            if !step.numbers.isEmpty {
                words.append("[" + step.numbers.map(number).joined(separator: " ") + "]")
            }
            if step.flags != 0 { words.append("flags=\(step.flags)") }
            if !step.blob.isEmpty { words.append(blobText(step)) }
            lines.append(words.joined(separator: " "))
        }
        return lines.joined(separator: "\n")
    }

    private func number(_ value: UInt64) -> String {
        value < 4096 ? "\(value)" : "0x" + String(value, radix: 16)
    }

    private func blobText(_ step: Step) -> String {
        let code = launch_code(step.code)
        guard !step.blobIsPrivate, [L_FSMOUNT, L_LEGACY_MOUNT, L_WRITE, L_EXEC].contains(code) else {
            return "(\(step.blob.count) bytes)"
        }
        let parts = step.blob.split(separator: 0, omittingEmptySubsequences: false).map {
            String(decoding: $0, as: UTF8.self)
        }
        if code == L_EXEC {
            // Candidates and arguments; of the environment, which may hold secrets, the names only.
            let shown = parts.prefix(Int(step.numbers[0] + step.numbers[1]))
            let names = parts.dropFirst(shown.count).filter { !$0.isEmpty }.map {
                $0.prefix { $0 != "=" } + "=…"
            }
            return (shown + names.map(String.init)).map { "\"\($0)\"" }.joined(separator: " ")
        }
        if code == L_FSMOUNT {
            return stride(from: 0, to: parts.count - 1, by: 2)
                .map { parts[$0 + 1].isEmpty ? parts[$0] : "\(parts[$0])=\(parts[$0 + 1])" }.joined(
                    separator: ",")
        }
        return "\"" + parts.filter { !$0.isEmpty }.joined(separator: " ") + "\""
    }

    private var cloneFlagNames: [String] {
        let names: [(UInt64, String)] = [
            (0x2_0000, "mount"), (0x200_0000, "cgroup"), (0x400_0000, "uts"), (0x800_0000, "ipc"),
            (0x1000_0000, "user"), (0x2000_0000, "pid"), (0x4000_0000, "net"),
        ]
        return names.filter { cloneFlags & $0.0 != 0 }.map(\.1)
    }
}

private let operationNames: [UInt32: String] = [
    L_PROPAGATION.rawValue: "propagation", L_FSMOUNT.rawValue: "fsmount", L_OPEN_TREE.rawValue: "open-tree",
    L_MOUNT_ATTR.rawValue: "mount-attributes", L_ATTACH.rawValue: "attach",
    L_ATTACH_HOST.rawValue: "attach-host",
    L_LEGACY_MOUNT.rawValue: "mount", L_READONLY_PATH.rawValue: "read-only", L_MASK_PATH.rawValue: "mask",
    L_MKNOD.rawValue: "mknod", L_MKDIR.rawValue: "mkdir", L_SYMLINK.rawValue: "symlink",
    L_ENSURE_DIRECTORY.rawValue: "ensure-directory", L_OPEN.rawValue: "open", L_WRITE.rawValue: "write",
    L_PIVOT.rawValue: "pivot-root", L_HOSTNAME.rawValue: "hostname", L_NETLINK.rawValue: "netlink",
    L_SOCKET.rawValue: "socket", L_SEND.rawValue: "send", L_TELL.rawValue: "tell", L_AWAIT.rawValue: "await",
    L_JOIN.rawValue: "join", L_CLONE.rawValue: "clone", L_RLIMIT.rawValue: "rlimit",
    L_UMASK.rawValue: "umask",
    L_GROUPS.rawValue: "groups", L_IDENTITY.rawValue: "identity", L_BOUNDING.rawValue: "bounding",
    L_CAPABILITIES.rawValue: "capabilities", L_KEEP_CAPABILITIES.rawValue: "keep-capabilities",
    L_SETSID.rawValue: "setsid", L_PTY.rawValue: "pty", L_CONTROLLING_TTY.rawValue: "controlling-tty",
    L_RESET_SIGNALS.rawValue: "reset-signals", L_NO_NEW_PRIVILEGES.rawValue: "no-new-privileges",
    L_SECCOMP.rawValue: "seccomp", L_DUMPABLE.rawValue: "dumpable", L_PARENT_DEATH.rawValue: "parent-death",
    L_CHDIR.rawValue: "chdir", L_DUPLICATE.rawValue: "duplicate", L_CLOSE_OTHERS.rawValue: "close-others",
    L_CLOSE_ON_EXEC.rawValue: "close-on-exec", L_INIT.rawValue: "init", L_EXEC.rawValue: "exec",
    L_EXIT.rawValue: "exit", L_DEVICE.rawValue: "device", L_AMBIENT.rawValue: "ambient",
    L_KEYRING.rawValue: "keyring", L_SCHEDULER.rawValue: "scheduler", L_IO_PRIORITY.rawValue: "io-priority",
    L_AFFINITY.rawValue: "affinity", L_PERSONALITY.rawValue: "personality", L_HOOK.rawValue: "hook",
    L_WAIT_START.rawValue: "wait-start", L_FIND.rawValue: "find", L_OWNER.rawValue: "owner",
    L_WRITE_SLOT.rawValue: "write-slot", L_UNSHARE.rawValue: "unshare",
    L_STUB.rawValue: "stub", L_UNMOUNT.rawValue: "unmount",
]
