// SPDX-License-Identifier: Apache-2.0
//
// Records: one directory is one record; files are replaced whole, locks are flocks, the layout has a number. What
// the records say belongs to the modules that write them.

public import Basics
internal import CLinux
public import Kernel

/// The two directories all state lives in: `root` outlives a reboot, `run` does not.
public struct StateDirectory: Hashable, Sendable {
    /// COVEY_ROOT, `/var/lib/covey` when unset; absolute.
    public let root: String
    /// COVEY_RUN, `/run/covey` when unset; absolute.
    public let run: String

    /// What this program writes into `layout`; a larger number there was written by a newer one.
    public static let layoutVersion = 1

    public init(root: String, run: String) {
        self.root = root
        self.run = run
    }

    /// The directories an environment names.
    /// - Throws: when one is not absolute: the working directory of a command is no place for state.
    public init(environment: [String: String]) throws(Failure) {
        root = try StateDirectory.absolute(environment["COVEY_ROOT"], "COVEY_ROOT") ?? "/var/lib/covey"
        run = try StateDirectory.absolute(environment["COVEY_RUN"], "COVEY_RUN") ?? "/run/covey"
    }

    private static func absolute(_ value: String?, _ name: String) throws(Failure) -> String? {
        guard var value, !value.isEmpty else { return nil }
        guard value.hasPrefix("/") else {
            throw Failure(
                "cannot use \(name)", cause: "\"\(value)\" is not an absolute path",
                advice: "write it from / on")
        }
        while value.count > 1, value.hasSuffix("/") { value.removeLast() }
        return value
    }

    /// Makes both directories where missing, mode 0700, and checks the layout's number.
    /// - Throws: no right to make them; a layout of a newer program.
    public func ensure() throws(Failure) {
        let path = "\(root)/layout"
        // The common case is one open and read: the number is there, and so are the directories it lies in.
        if let known = try layout(path) {
            guard known <= StateDirectory.layoutVersion else {
                throw Failure(
                    "cannot use the state directory \(root)",
                    cause:
                        "its layout is version \(known); this covey knows up to \(StateDirectory.layoutVersion)",
                    advice: "use the newer covey that wrote it, or another directory with --root")
            }
            return try ensurePrivate(run)
        }
        try ensurePrivate(root)
        try ensurePrivate(run)
        do throws(SyscallError) {
            try replaceFile(path, "\(StateDirectory.layoutVersion)\n".utf8, durable: true)
        } catch {
            throw Failure("cannot write \(path)", error)
        }
    }

    private func layout(_ path: String) throws(Failure) -> Int? {
        let text: String
        do throws(SyscallError) {
            text = try readText(path)
        } catch {
            if error.errno == .noEntry { return nil }
            throw Failure("cannot read \(path)", error, advice: rights(error))
        }
        guard let number = Int(text.filter { $0 != "\n" }) else {
            throw Failure(
                "cannot use the state directory \(root)",
                cause: "\(path) holds \"\(text.prefix(40))\", not a number",
                advice: "if the directory is Covey's, write \(StateDirectory.layoutVersion) into it")
        }
        return number
    }

    private func ensurePrivate(_ path: String) throws(Failure) {
        do throws(SyscallError) {
            if !exists(path) { try ensureDirectory(path, mode: 0o700) }
        } catch {
            throw Failure("cannot make the state directory \(path)", error, advice: rights(error))
        }
    }

    private func rights(_ error: SyscallError) -> String? {
        error.errno == .access || error.errno == .notPermitted
            ? "run covey as root, or name a directory of your own with --root and --run" : nil
    }

    /// The first of the locks (host, project, container): what concerns all projects changes under it.
    public func lockHost() throws(Failure) -> FileLock {
        do throws(SyscallError) { return try FileLock("\(root)/lock") } catch {
            throw Failure("cannot lock \(root)/lock", error)
        }
    }

    public var images: String { "\(root)/images" }
    public var layers: String { "\(root)/layers" }
    public var volumes: String { "\(root)/volumes" }
    public var networks: String { "\(root)/networks" }
    public var leases: String { "\(root)/leases" }
    /// A project's part of the root and of the run directory.
    public func project(_ name: String) -> String { "\(root)/projects/\(name)" }
    public func runtime(_ project: String) -> String { "\(run)/\(project)" }
}

/// The kernel's identity of this boot; what a record in the run directory is only good for.
public func currentBootID() throws(Failure) -> String {
    do throws(SyscallError) {
        return try readText("/proc/sys/kernel/random/boot_id").filter { $0 != "\n" }
    } catch {
        throw Failure("cannot tell this boot from the last", error, advice: "mount /proc")
    }
}
