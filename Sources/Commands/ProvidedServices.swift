// SPDX-License-Identifier: Apache-2.0
//
// ProvidedServices: what providers were asked to bring up for a project, until they have taken it down. Kept beside the
// projects, not in one: it is written before the project has anything else, and outlives a `down` of its containers when
// a provider's own fails.

internal import Basics
internal import Controller
internal import Kernel
internal import Records

/// A service a program of the host looks after, and what that said when it was brought up.
struct ProvidedService: Hashable, Codable {
    /// The program's name.
    var type: String
    var options: [String: [String]]
    /// `NAME=value` for those who depend on it.
    var variables: [String] = []
    /// Its provider has said that it could not bring it up, and never that it could.
    var isRefused: Bool?
    /// Programs of other types that brought it up before and were not asked to take it down; nil is none.
    var former: [ProvidedService]?

    /// All whose work may be there, the last one first.
    var everyone: [ProvidedService] {
        var last = self
        last.former = nil
        return [last] + (former ?? [])
    }

    init(type: String, options: [String: [String]]) {
        self.type = type
        self.options = options
    }
}

/// The record of one project: `providers/NAME.json` in the state directory, gone when nothing is in it.
struct ProvidedServices {
    private let directory: String
    private var path: String { "\(directory)/\(project).json" }
    private let project: String

    init(_ place: ProjectPlace) {
        directory = "\(place.root)/providers"
        project = place.project
    }

    func all() throws(Failure) -> [String: ProvidedService] {
        try readRecord(
            [String: ProvidedService].self, path,
            advice: "move it away; what providers made for this project is then yours to take down") ?? [:]
    }

    /// Written when this returns, whatever becomes of us and of the machine.
    func keep(_ name: String, _ service: ProvidedService) throws(Failure) {
        try change { $0[name] = service }
    }

    /// Only these have not taken it down.
    func keep(_ name: String, only left: [ProvidedService]) throws(Failure) {
        try change { services in
            services[name] = left.first
            services[name]?.former = left.count > 1 ? Array(left.dropFirst()) : nil
        }
    }

    /// One at a time: two commands may have providers at work.
    private func change(_ change: (inout [String: ProvidedService]) -> Void) throws(Failure) {
        let lock: FileLock
        do throws(SyscallError) {
            try ensureDirectory(directory, mode: 0o700)
            lock = try FileLock(directory: directory)
        } catch {
            throw Failure("cannot keep what providers made in \(directory)", error)
        }
        var services = try all()
        change(&services)
        if services.isEmpty {
            try kernel("cannot remove \(path)") { () throws(SyscallError) in try removeFile(path) }
        } else {
            try writeRecord(services, path, durable: true)
        }
        _ = consume lock
    }
}
