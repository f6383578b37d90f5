// SPDX-License-Identifier: Apache-2.0
//
// What is kept of a container on disk: its record, written when it is created, and its status, written when it starts
// and ends. The record outlives a reboot; the status carries the boot it is about.

internal import Basics
internal import ContainerModel
internal import ContainerRuntime
internal import Kernel
internal import Records

/// `container.json` in the container's state directory.
struct ContainerRecord: Codable {
    var name: String
    var index: Int
    var service: ServiceRequest
    /// Nanoseconds since 1970.
    var createdAt: Int64
    /// Set when `run` made it.
    var oneOff: OneOff?
}

extension ProjectPlace {
    /// The service a container was made for, and its number; nil where its record can't be read.
    public func origin(ofContainer name: String) -> (service: String, index: Int)? {
        let path = "\(directory)/containers/\(name)/container.json"
        guard let record = try? readRecord(ContainerRecord.self, path) else { return nil }
        return (record.service.name, record.index)
    }

    /// Containers of other projects under this root that mount named volumes, by volume. One that does not run counts: its
    /// next start would find nothing in the volume's place.
    func usersOfVolumes() -> [String: [String]] {
        var users: [String: Set<String>] = [:]
        let projects = "\(root)/projects"
        for other in (try? directoryEntries(projects)) ?? [] where other != project {
            let containers = "\(projects)/\(other)/containers"
            for name in (try? directoryEntries(containers)) ?? [] {
                let record: ContainerRecord?
                do throws(Failure) {
                    record = try readRecord(ContainerRecord.self, "\(containers)/\(name)/container.json")
                } catch {
                    log("\(error)")
                    continue
                }
                for mount in record?.service.container.mounts ?? [] {
                    if case .volume(let volume) = mount.source { users[volume, default: []].insert(name) }
                }
            }
        }
        return users.mapValues { $0.sorted() }
    }
}

/// `status.json` in the container's run directory.
struct ContainerStatusRecord: Codable {
    var bootID: String
    var pid: Int32?
    /// Field 22 of /proc/PID/stat, against a pid that was given again.
    var startTime: UInt64?
    var startedAt: Int64?
    var finishedAt: Int64?
    var end: ProcessEnd?
    var endKnown = true
    var oomKilled = false
    var restarts = 0
    /// Somebody asked for the stop; no policy starts it again.
    var stopRequested = false
    /// Somebody sent the stop signal by hand: as with a stop no policy starts it again, but it may well go on. nil in records
    /// that knew nothing of it.
    var signalledToStop: Bool?
    /// It is stopped only to be started again, in the new namespaces of another container (NamespaceSharing.swift). nil in
    /// records that knew nothing of it.
    var startsAgain: Bool?
    /// Failures in a row before its last start. nil in records that knew nothing of it.
    var restartStreak: Int?
    /// Somebody asked for it: its processes are frozen.
    var paused = false
    /// `kill -s STOP` stopped it: that is wanted. nil in records that knew nothing of it.
    var halted: Bool?
    var addresses: [String: String] = [:]
    var ports: [PublishedPortStatus] = []

    /// While it runs: it is not to for much longer.
    var isStopping: Bool { stopRequested || startsAgain == true }

    /// Its end is somebody's wish.
    var endIsWanted: Bool { isStopping || signalledToStop == true }
}
