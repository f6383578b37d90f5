// SPDX-License-Identifier: Apache-2.0
//
// Pausing a container: the freezer of v2 (cgroup-v2.rst, "cgroup.freeze", Linux 5.2), else v1's
// (cgroup-v1/freezer-subsystem.rst), in which a container gets its directory only when it is first paused.

public import Basics
internal import Kernel

extension ProjectCgroup {
    /// Freezes or thaws every process of a container; what is so already stays so.
    ///
    /// Waits up to 0.2 s until all are frozen; a process the kernel can't stop yet freezes as soon as it can be.
    /// - Throws: a failure when this host has no freezer that can be written.
    public mutating func setFrozen(_ frozen: Bool, container name: String) throws(Failure) {
        let doing = frozen ? "cannot pause container \"\(name)\"" : "cannot unpause container \"\(name)\""
        let child = Self.containerPrefix + name
        do throws(SyscallError) {
            if let unified = directories.first(where: {
                $0.hierarchy.unified && $0.has("\(child)/cgroup.freeze")
            }) {
                try unified.write("\(child)/cgroup.freeze", frozen ? "1" : "0")
                for _ in 0..<200
                where unified.value("frozen", in: "\(child)/cgroup.events") != (frozen ? 1 : 0) {
                    pauseBetweenLooks(.milliseconds(1))
                }
                return
            }
            try setLegacyFrozen(frozen, child)
        } catch {
            throw Failure(doing, error)
        }
    }

    private mutating func setLegacyFrozen(_ frozen: Bool, _ child: String) throws(SyscallError) {
        guard let freezer = host.hierarchy(of: "freezer") else {
            throw SyscallError("open", .notSupported, "no writable cgroup hierarchy has a freezer")
        }
        guard frozen else {
            if let directory = directory(in: freezer), directory.has(child) {
                try directory.write("\(child)/freezer.state", "THAWED")
            }
            return
        }
        _ = try makeChild(child, in: freezer)
        // Also those that came in since an earlier pause: a process is where its parent was.
        if let home = membershipHierarchy, home != freezer { try move(child, from: home, to: freezer) }
        guard let directory = directory(in: freezer) else { return }
        for _ in 0..<200 {
            // Written again while it is FREEZING: a process in the midst of ptrace or vfork escapes the first try.
            try directory.write("\(child)/freezer.state", "FROZEN")
            if try directory.read("\(child)/freezer.state").hasPrefix("FROZEN") { return }
            pauseBetweenLooks(.milliseconds(1))
        }
    }
}
