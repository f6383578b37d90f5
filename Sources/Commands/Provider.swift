// SPDX-License-Identifier: Apache-2.0
//
// Provider: one run of the program that looks after a service in Covey's place, by Docker Compose's protocol
// (docker/compose, docs/extension.md):
//
//   TYPE compose --project-name=NAME up --option=value … SERVICE      and the same with `down` and `stop`
//
// It says what it does in lines of JSON on its standard output: {"type": …, "message": …}, type being `info`, `error`,
// `debug`, `setenv` (NAME=value for those who depend on the service, with SERVICE_ before it), `rawsetenv` (as it is) or
// `get-service-config`, which is answered on its standard input with the service as `config` has it.

internal import Basics
internal import CLinux
internal import JSONFormat
internal import Kernel

struct ProviderRun {
    let service: String
    let program: String
    let arguments: [String]
    let environment: [String: String]
    let directory: String
    /// The service as one line of JSON.
    let definition: String

    /// Variables for whoever depends on the service, in the order they came.
    struct Outcome: Equatable {
        var variables: [(name: String, value: String)] = []
        static func == (a: Outcome, b: Outcome) -> Bool {
            a.variables.map { "\($0)=\($1)" } == b.variables.map { "\($0)=\($1)" }
        }
    }

    /// Runs it to its end.
    /// - Parameter tell: what it says of its progress.
    func run(errors: Int32, _ tell: (String) -> Void) throws(Failure) -> Outcome {
        let doing = "cannot provide service \"\(service)\""
        var outcome = Outcome()
        var told: [String] = []
        var failure: Failure?
        let code: Int
        do throws(SyscallError) {
            let input = try makePipe()
            let output = try makePipe()
            let pid = try spawnProgram(
                program, arguments,
                environment: environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" },
                directory: directory, streams: (input.first.raw, output.second.raw, errors))
            let reader = try output.first.duplicate()
            let writer = try input.second.duplicate()
            // The program alone holds the other ends now: its end is the end of what is read.
            _ = consume input
            _ = consume output
            var line: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 4096)
            while true {
                let count = try retrying("read") {
                    buffer.withUnsafeMutableBytes { read(reader.raw, $0.baseAddress, $0.count) }
                }
                for byte in count > 0 ? buffer[..<count] : [10] {
                    if byte != 10 {
                        line.append(byte)
                        if line.count < 1 << 20 { continue }
                    }
                    do throws(Failure) {
                        if try take(line, &outcome, &told, tell), failure == nil {
                            try? writeAll(writer.raw, Array((definition + "\n").utf8))
                        }
                    } catch {
                        if failure == nil { failure = error }
                    }
                    line = []
                }
                if count == 0 { break }
                if failure != nil { kill(pid, SIGTERM) }
            }
            code = try waitForProgram(pid)
        } catch {
            throw Failure(doing, error)
        }
        if let failure { throw failure }
        guard code == 0, told.isEmpty else {
            throw Failure(
                doing, cause: told.isEmpty ? "\(program) ended with \(code)" : told.joined(separator: "; "),
                advice: "it was run as: \(([program] + arguments.dropFirst()).joined(separator: " "))")
        }
        return outcome
    }

    /// One line; true when it asks for the service's definition.
    private func take(
        _ line: [UInt8], _ outcome: inout Outcome, _ errors: inout [String], _ tell: (String) -> Void
    ) throws(Failure) -> Bool {
        if line.allSatisfy({ $0 == 0x20 || $0 == 0x0d }) { return false }
        guard let value = try? parseJSON(line), case .string(let type)? = value["type"] else {
            throw Failure(
                "cannot understand what the provider of service \"\(service)\" says",
                cause: "no JSON object with a `type`: \(String(decoding: line.prefix(200), as: UTF8.self))")
        }
        if type == "get-service-config" { return true }
        guard case .string(let message)? = value["message"] else {
            throw Failure(
                "cannot understand what the provider of service \"\(service)\" says",
                cause: "a message of type \"\(type)\" has no `message`")
        }
        switch type {
        case "info": tell(message)
        case "error": errors.append(message)
        case "debug": break
        case "setenv", "rawsetenv":
            guard let equals = message.firstIndex(of: "="), equals != message.startIndex else {
                throw Failure(
                    "cannot understand what the provider of service \"\(service)\" says",
                    cause: "\"\(message)\" is not NAME=value")
            }
            let name = String(message[..<equals])
            outcome.variables.append(
                (
                    type == "setenv" ? variablePrefix(service) + name : name,
                    String(message[message.index(after: equals)...])
                ))
        default:
            throw Failure(
                "cannot understand what the provider of service \"\(service)\" says",
                cause: "there is no message of type \"\(type)\"")
        }
        return false
    }
}

/// `my-db` → `MY_DB_`.
func variablePrefix(_ service: String) -> String {
    String(service.uppercased().map { $0.isLetter || $0.isNumber ? $0 : "_" }) + "_"
}

/// The program of a provider's type: what PATH has, else Docker's plug-in of that name.
func providerProgram(_ type: String, path: String) throws(Failure) -> String {
    let places =
        path.split(separator: ":").map { "\($0)/\(type)" }
        + [
            "/usr/local/lib/docker/cli-plugins", "/usr/local/libexec/docker/cli-plugins",
            "/usr/lib/docker/cli-plugins", "/usr/libexec/docker/cli-plugins",
        ].map { "\($0)/docker-\(type)" }
    guard !type.contains("/"), !type.isEmpty, let found = places.first(where: { access($0, X_OK) == 0 })
    else {
        throw Failure(
            "there is no provider \"\(type)\"",
            cause: "no program of that name is in PATH, and no plug-in docker-\(type) is installed")
    }
    return found
}
