// SPDX-License-Identifier: Apache-2.0
//
// ServiceEnvironment: `env_file`, `environment` and `label_file` put into a service, once it is known to be switched on. The
// grammar of such a file is EnvironmentFile.swift's.

internal import Basics
internal import ComposeModel
internal import YAMLTree

struct ServiceEnvironment {
    let around: Surroundings
    let files: FileAccess
    /// False: files are kept by name, and variables without a value as they are.
    let resolves: Bool
    private let shared = SharedFiles()

    /// What many services name is read once: by format and path.
    private final class SharedFiles {
        var readings: [String: Reading] = [:]
    }

    /// What a file said, to whoever has these answers to what it asked.
    private struct Reading {
        let bytes: [UInt8]
        var variables: [String: String] = [:]
        var answers: [String: String?] = [:]
    }

    init(around: Surroundings, files: FileAccess, resolves: Bool) {
        self.around = around
        self.files = files
        self.resolves = resolves
    }

    /// `env_file`s in order, then `environment`; a name without a value is the client's, or unset. Labels alike.
    func resolve(_ service: inout Service, _ draft: ServiceDraft) {
        guard resolves else {
            service.envFiles = draft.envFiles.map(\.file)
            service.labelFiles = draft.labelFiles.map(\.path)
            for (key, value, _) in draft.environment {
                if let value {
                    service.environment[key] = value
                } else {
                    service.unsetEnvironment.insert(key)
                }
            }
            return
        }
        for (file, place) in draft.envFiles {
            let above = service.environment
            let read = variables(file.path, required: file.required, raw: file.isRaw, place) {
                around.variable($0, at: place) ?? above[$0]
            }
            if service.environment.isEmpty {
                service.environment = read
            } else {
                service.environment.merge(read) { $1 }
            }
        }
        for (key, value, place) in draft.environment {
            if let value = value ?? around.variable(key, at: place) {
                service.environment[key] = value
                service.unsetEnvironment.remove(key)
            } else {
                service.environment[key] = nil
                service.unsetEnvironment.insert(key)
            }
        }
        var labels: [String: String] = [:]
        for (path, place) in draft.labelFiles {
            let read = variables(path, required: true, raw: false, place) { _ in nil }
            labels.merge(read) { $1 }
        }
        if !labels.isEmpty { service.labels = labels.merging(service.labels) { $1 } }
    }

    private func variables(
        _ path: String, required: Bool, raw: Bool, _ place: Place, _ lookup: @escaping (String) -> String?
    ) -> [String: String] {
        do throws(Failure) {
            let path = joinedPath(around.origins[place].directory, path)
            let key = "\(raw) \(path)"
            let known = shared.readings[key]
            if let known, known.answers.allSatisfy({ lookup($0.key) == $0.value }) { return known.variables }
            let bytes = if let known { Optional(known.bytes) } else { try files.read(path) }
            if let bytes {
                var reading = Reading(bytes: bytes)
                var answers: [String: String?] = [:]
                reading.variables = try EnvironmentFile.read(bytes, name: path, raw: raw) { name in
                    let answer = lookup(name)
                    answers[name] = .some(answer)
                    return answer
                }
                reading.answers = answers
                shared.readings[key] = reading
                return reading.variables
            }
            if required {
                around.log.error(
                    "the environment file \(path) does not exist",
                    advice: "create it, or give `required: false`", at: place)
            }
        } catch {
            around.log.add(error)
        }
        return [:]
    }
}
