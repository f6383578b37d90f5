// SPDX-License-Identifier: Apache-2.0
//
// The SSH agents of a build: sockets of agents that run here, and agents of our own for key files, as BuildKit's client has
// them. Steps and git see a socket in either case.

internal import Basics
internal import CLinux
internal import ImageBuild
internal import Kernel
internal import SSHAgent

/// What was named for an agent's id.
enum AgentSource {
    case socket(String)
    case keys(KeyRing)

    /// - text: the path of an agent's socket, or of key files with commas between them; nothing for SSH_AUTH_SOCK.
    init(_ id: String, _ text: String, _ session: Session) throws(Failure) {
        let doing = "cannot use the SSH agent `\(id)`"
        var text = text
        if text.isEmpty {
            guard let own = session.invocation.variable("SSH_AUTH_SOCK"), !own.isEmpty else {
                throw Failure(
                    doing, cause: "SSH_AUTH_SOCK is not set: no agent runs here",
                    advice: "start one: eval $(ssh-agent); ssh-add; or name a key file, \(id)=PATH")
            }
            text = own
        }
        let whole = session.invocation.absolute(text)
        let names = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        guard exists(whole) || !names.contains("") else {
            throw Failure(
                doing, cause: "`\(text)` has a comma with no path beside it",
                advice: "name an agent's socket, or key files with commas between them")
        }
        let paths = exists(whole) ? [whole] : names.map { session.invocation.absolute($0) }
        var files: [SecretBytes] = []
        for path in paths {
            if let file = try AgentSource.keyFile(path, doing) {
                files.append(file)
            } else if paths.count == 1 {
                self = .socket(path)
                return
            } else {
                throw Failure(
                    doing, cause: "\(path) is an agent's socket, and others are named beside it",
                    advice: "name one socket, or key files")
            }
        }
        do throws(KeyFileError) {
            self = .keys(try KeyRing(files))
        } catch {
            // Which of several it is: those before it could be read alone.
            let path = paths.first { path in
                guard let file = try? AgentSource.keyFile(path, doing) else { return true }
                return (try? KeyRing([file])) == nil
            }
            let name = path ?? text
            throw Failure(
                doing, cause: "\(name): \(error.cause)", advice: error.advice(for: name))
        }
    }

    /// A key's file; nil for a socket.
    private static func keyFile(_ path: String, _ doing: String) throws(Failure) -> SecretBytes? {
        let status: stat
        do throws(SyscallError) { status = try fileStatus(path, follow: true) } catch {
            throw Failure(doing, error)
        }
        if status.st_mode & 0o170000 == 0o140000 { return nil }
        guard status.isRegular else {
            throw Failure(
                doing, cause: "\(path) is neither a socket nor a file",
                advice: "name an agent's socket or a key file")
        }
        do throws(SyscallError) {
            // As much as BuildKit reads; a key of 16384 bits has 13 kB.
            return try SecretBytes(file: path, limit: 100 << 10)
        } catch {
            throw Failure(doing, error)
        }
    }
}

/// The agents while a build needs them; those of key files end with the value.
final class BuildAgents {
    /// By id.
    private(set) var sockets: [String: String] = [:]
    private var servers: [AgentServer] = []
    /// For the servers' sockets.
    private var area: WorkArea?

    init(_ sources: [String: AgentSource], root: String) throws(Failure) {
        for (id, source) in sources {
            switch source {
            case .socket(let path): sockets[id] = path
            case .keys(let keys):
                do throws(SyscallError) {
                    let area: WorkArea
                    if let made = self.area {
                        area = made
                    } else {
                        area = try WorkArea(under: "\(root)/buildcache")
                    }
                    self.area = area
                    let server = try AgentServer(keys, in: try area.directory("agent"))
                    servers.append(server)
                    sockets[id] = server.path
                } catch {
                    throw Failure("cannot serve the SSH agent `\(id)`", error)
                }
            }
        }
    }
}
