// SPDX-License-Identifier: Apache-2.0
//
// A container that tells when it is ready (sd_notify(3)). Who calls us may be told so at the socket NOTIFY_SOCKET names; that
// one is not the container's to write to: by it a service's main process, its descriptors and its watchdog are changed. So
// the container has a socket of ours, in a directory that is mounted read-only where the caller's socket is outside, and of
// all it says `READY=1` is passed on, with its process's number as it is out here. So have it runc and crun; the place is
// crun's. What waits for an answer (sd_notify_barrier(3)) has it once its descriptor is closed, which is at the reading.
//
// The directory is made by `create`, the socket by whoever starts the program; that one waits until it is ready or has ended.

internal import Basics
internal import CLinux
internal import Kernel
internal import LaunchPlanning
internal import OCIFormats

/// Where a container finds its socket.
struct ReadinessPlace {
    private let directory: String
    private let inside: String

    /// nil where nobody asks, where the configuration has a socket of its own for it, and where ours has no place: in a mount
    /// namespace that is joined our directory isn't there, and beneath a bind of the host's lies the caller's socket itself.
    init?(_ settings: RuntimeSettings, _ store: ContainerStore, _ config: RuntimeConfig) {
        guard let caller = settings.readinessSocket, let process = config.process,
            !process.environment.contains(where: { $0.hasPrefix("NOTIFY_SOCKET=") }),
            !config.linux.namespaces.contains(where: { $0.kind == .mount && $0.path != nil }),
            !config.mounts.contains(where: { mount in
                (mount.type == "bind" || MountOptions(mount.options).bind)
                    && "\(caller)/".hasPrefix("\(mount.destination)/")
            })
        else { return nil }
        directory = store.readinessDirectory
        // An abstract name is no place in a file system.
        inside = caller.hasPrefix("/") ? caller : "/run/notify"
    }

    var variable: String { "NOTIFY_SOCKET=\(inside)/notify" }

    var mount: RuntimeConfig.Mount {
        RuntimeConfig.Mount(
            destination: inside, type: "bind", source: directory,
            options: ["bind", "nosuid", "noexec", "nodev", "ro"])
    }

    func ensure() throws(Failure) {
        try naming("cannot make the notification socket's directory") { () throws(SyscallError) in
            try makeDirectory(directory, mode: 0o755)
            // Whatever the umask is: the container's user walks through it.
            try retrying("chmod", directory) { chmod(directory, 0o755) }
        }
    }
}

/// Our socket, and who is told.
final class ReadinessRelay {
    let socket: SharedFD
    private let caller: String
    private let warn: @Sendable (String) -> Void
    private var isReady = false

    /// nil where nobody asks.
    init?(_ settings: RuntimeSettings, _ store: ContainerStore) throws(Failure) {
        guard let caller = settings.readinessSocket, exists(store.readinessDirectory) else { return nil }
        self.caller = caller
        warn = settings.warn
        socket = try naming("cannot make the notification socket") { () throws(SyscallError) in
            SharedFD(try bindDatagrams("\(store.readinessDirectory)/notify"))
        }
    }

    /// Reads what has come; true once the container is ready. Not all of it at once: one that never stops sending must not
    /// keep us from its signals and its end.
    func receive(from pid: Int32) -> Bool {
        for _ in 0..<16 {
            guard
                let message = try? receiveMessage(socket.raw, capacity: 4096, flags: Int32(MSG_DONTWAIT))
            else { break }
            let lines = message.bytes.split(separator: UInt8(ascii: "\n"))
            if !isReady, lines.contains(where: { $0.elementsEqual("READY=1".utf8) }) {
                pass(pid)
                break
            }
        }
        return isReady
    }

    private func pass(_ pid: Int32) {
        isReady = true
        do throws(SyscallError) {
            try sendDatagram(Array("READY=1".utf8), to: caller)
            try sendDatagram(Array("MAINPID=\(pid)".utf8), to: caller)
        } catch {
            warn("cannot tell \(caller) that the container is ready: \(error)")
        }
    }

    /// Until it is ready, or its process has ended.
    func wait(for pid: Int32, _ pidfd: SharedFD) throws(Failure) {
        while true {
            let ready = try naming("cannot wait for the container's readiness") { () throws(SyscallError) in
                try waitReadable([socket.raw, pidfd.raw], atMost: nil)
            }
            if ready[0], receive(from: pid) { return }
            // What it wrote last was read with that: 16 messages are more than a socket's queue has (max_dgram_qlen, 10).
            if ready[1] { return }
        }
    }
}

extension RuntimeSettings {
    fileprivate var readinessSocket: String? {
        activation.readinessSocket.flatMap { $0.isEmpty ? nil : $0 }
    }
}

extension ContainerStore {
    fileprivate var readinessDirectory: String { "\(directory)/notify" }
}
