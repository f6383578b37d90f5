// SPDX-License-Identifier: Apache-2.0
//
// The records of networks, addresses, link groups and host ports, as JSON files under <root>/networks and
// <root>/leases. All are read and written under one host lock, each file replaced whole. They are not synced to
// disk: what they speak of does not survive a reboot either.

public import Basics
internal import Kernel
public import Netlink
internal import Records

/// A network as it was made.
public struct NetworkState: Hashable, Codable, Sendable {
    /// The real name.
    public var name: String
    public var project: String
    /// The bridge's link name.
    public var bridge: String
    /// The bridge's index; 0 in a record, filled from the kernel.
    public var index: UInt32
    public var subnet: Subnet
    public var gateway: IPv4Address
    /// The part of the subnet that addresses are given from.
    public var range: Subnet
    public var isInternal: Bool
    public var group: UInt32
    /// Of bridge and links, given or taken from the link the default route went out by; nil for 1500, as nearly everywhere.
    public var mtu: UInt32?
    /// nil: IPv4 alone.
    public var ipv6: IPv6State?
    /// True: IPv6 alone. The subnet is then nobody's but ours: hardware addresses are made from its addresses, and no
    /// link has one.
    public var withoutIPv4: Bool?
    /// Addresses no container is given, by the names of who has them.
    public var auxiliary: [String: String]?
    /// True: its project went and had declared it external, so that no teardown takes it.
    public var isKept: Bool?

    public var hasIPv4: Bool { withoutIPv4 != true }

    /// False when only its record is: after a reboot, or when somebody removed its bridge.
    public var isThere: Bool { index != 0 }

    /// Whether a container may have this address; one that it had before the network was made anew it may not.
    public func mayGive(_ address: IPv4Address) -> Bool { subnet.contains(address) && address != gateway }
}

/// IPv6 of a network as it was made.
public struct IPv6State: Hashable, Codable, Sendable {
    public var subnet: IPv6Subnet
    public var gateway: IPv6Address
    /// The part of the subnet that addresses are given from; nil for all of it.
    public var range: IPv6Subnet?

    /// Whether a container may have this address.
    public func mayGive(_ address: IPv6Address) -> Bool { subnet.contains(address) && address != gateway }
}

/// The files; every method expects the host lock to be held.
struct NetworkRecords {
    let root: String

    var lockPath: String { "\(root)/leases/lock" }
    private var networksPath: String { "\(root)/networks" }
    private func networkPath(_ name: String) -> String { "\(networksPath)/\(fileName(name)).json" }
    private func addressPath(_ name: String) -> String { "\(root)/leases/addresses-\(fileName(name)).json" }
    private var groupsPath: String { "\(root)/leases/groups.json" }
    private var portsPath: String { "\(root)/leases/ports.json" }

    func ensureDirectories() throws(SyscallError) {
        try ensureDirectory(networksPath, mode: 0o700)
        try ensureDirectory("\(root)/leases", mode: 0o700)
    }

    func networks() throws(Failure) -> [NetworkState] {
        let names: [String]
        do throws(SyscallError) {
            names = try directoryEntries(networksPath)
        } catch {
            if error.errno == .noEntry { return [] }
            throw Failure("cannot list networks", error)
        }
        var result: [NetworkState] = []
        for name in names where name.hasSuffix(".json") {
            if let state = try read(NetworkState.self, "\(networksPath)/\(name)") { result.append(state) }
        }
        return result
    }

    func network(_ name: String) throws(Failure) -> NetworkState? {
        try read(NetworkState.self, networkPath(name))
    }
    func save(_ state: NetworkState) throws(Failure) {
        var record = state
        record.index = 0
        try write(record, networkPath(state.name))
    }
    /// With the leases of its project; those of others stay, whose containers have the addresses still.
    func removeNetwork(_ name: String, of project: String) throws(Failure) {
        try remove(networkPath(name))
        try save(try addresses(name).filter { $0.value.project != project }, network: name)
    }

    /// Address → the container that has it.
    func addresses(_ network: String) throws(Failure) -> [String: AddressLease] {
        try read([String: AddressLease].self, addressPath(network)) ?? [:]
    }
    /// Tells one state of a network's leases from another: the file is replaced whole. nil when there are none.
    func stamp(ofAddresses network: String) -> [Int64]? {
        guard let status = try? fileStatus(addressPath(network)) else { return nil }
        return [Int64(status.st_ino), Int64(status.st_mtim.tv_sec), Int64(status.st_mtim.tv_nsec)]
    }
    func save(_ addresses: [String: AddressLease], network: String) throws(Failure) {
        if addresses.isEmpty { return try remove(addressPath(network)) }
        try write(addresses, addressPath(network))
    }

    /// Takes leases out of the file of each network, also of one that is gone.
    func removeLeases(where isGone: (AddressLease) -> Bool) throws(Failure) {
        let directory = "\(root)/leases"
        let names: [String]
        do throws(SyscallError) {
            names = try directoryEntries(directory)
        } catch {
            throw Failure("cannot list the leases of addresses", error)
        }
        for name in names where name.hasPrefix("addresses-") && name.hasSuffix(".json") {
            let path = "\(directory)/\(name)"
            let leases = try read([String: AddressLease].self, path) ?? [:]
            let kept = leases.filter { !isGone($0.value) }
            if kept.isEmpty {
                try remove(path)
            } else if kept.count != leases.count {
                try write(kept, path)
            }
        }
    }

    /// Project → link group.
    func groups() throws(Failure) -> [String: UInt32] { try read([String: UInt32].self, groupsPath) ?? [:] }
    func save(groups: [String: UInt32]) throws(Failure) {
        if groups.isEmpty { return try remove(groupsPath) }
        try write(groups, groupsPath)
    }

    func ports() throws(Failure) -> [PortLease] { try read([PortLease].self, portsPath) ?? [] }
    func save(ports: [PortLease]) throws(Failure) {
        if ports.isEmpty { return try remove(portsPath) }
        try write(ports, portsPath)
    }

    private func read<Value: Decodable>(_ type: Value.Type, _ path: String) throws(Failure) -> Value? {
        try readRecord(
            type, path,
            advice:
                "if no project is up, remove it; otherwise run `covey down` with the version that wrote it")
    }

    private func write(_ value: some Encodable, _ path: String) throws(Failure) {
        try writeRecord(value, path)
    }

    /// Files that who wrote them did not live to put in their place. Under the host's lock, so nobody is writing one.
    func removeUnfinished() {
        for directory in [networksPath, "\(root)/leases"] {
            for name in (try? directoryEntries(directory)) ?? [] where name.contains(".json.tmp.") {
                try? removeFile("\(directory)/\(name)")
            }
        }
    }

    private func remove(_ path: String) throws(Failure) {
        do throws(SyscallError) {
            try removeFile(path)
        } catch {
            throw Failure("cannot remove \(path)", error)
        }
    }

    /// A name as a file name: anything but letters, digits, `_`, `-` and an inner `.` becomes %XX.
    private func fileName(_ name: String) -> String {
        var result: [UInt8] = []
        for byte in name.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
                result.append(byte)
            case UInt8(ascii: ".") where !result.isEmpty: result.append(byte)
            default:
                let hex = Array("0123456789ABCDEF".utf8)
                result += [UInt8(ascii: "%"), hex[Int(byte >> 4)], hex[Int(byte & 15)]]
            }
        }
        return String(decoding: result, as: UTF8.self)
    }
}

/// Who has an address. What it is called makes it no other.
struct AddressLease: Hashable, Codable, Sendable {
    var project: String
    var container: String
    /// On that network, besides its own name: for containers of other projects. On its IPv4 lease alone.
    var names: [String]?

    static func == (one: AddressLease, other: AddressLease) -> Bool {
        one.project == other.project && one.container == other.container
    }

    func hash(into hasher: inout Hasher) {
        hasher.combine(project)
        hasher.combine(container)
    }
}

/// Who published a host port.
struct PortLease: Hashable, Codable, Sendable {
    var address: IPv4Address
    var port: UInt16
    var proto: String
    var project: String
    var service: String
}
