// SPDX-License-Identifier: Apache-2.0
//
// `linux.resources` of config.json (config-linux.md, "Control groups"), also by itself as `update` takes it.

/// Limits of a container's cgroup; what is nil or empty is left as it is.
public struct RuntimeResources: Hashable, Sendable {
    public struct DeviceRule: Hashable, Sendable {
        public var allow: Bool
        /// `a`, `c` or `b`; nil is `a`.
        public var type: String?
        /// nil or negative: any.
        public var major: Int64?
        public var minor: Int64?
        /// Of `r`, `w`, `m`; nil is all.
        public var access: String?
    }

    public struct Memory: Hashable, Sendable {
        public var limit: Int64?
        public var reservation: Int64?
        public var swap: Int64?
        public var kernel: Int64?
        public var kernelTCP: Int64?
        public var swappiness: UInt64?
        public var disableOOMKiller: Bool?
        public var checkBeforeUpdate: Bool?
    }

    public struct CPU: Hashable, Sendable {
        public var shares: UInt64?
        public var quota: Int64?
        public var burst: UInt64?
        public var period: UInt64?
        public var realtimeRuntime: Int64?
        public var realtimePeriod: UInt64?
        public var cpus: String?
        public var mems: String?
        public var idle: Int64?
    }

    public struct Throttle: Hashable, Sendable {
        public var major: Int64
        public var minor: Int64
        public var rate: UInt64
    }

    public struct DeviceWeight: Hashable, Sendable {
        public var major: Int64
        public var minor: Int64
        public var weight: UInt16?
        public var leafWeight: UInt16?
    }

    public struct BlockIO: Hashable, Sendable {
        public var weight: UInt16?
        public var leafWeight: UInt16?
        public var weightDevice: [DeviceWeight] = []
        public var readBytes: [Throttle] = []
        public var writeBytes: [Throttle] = []
        public var readOperations: [Throttle] = []
        public var writeOperations: [Throttle] = []
    }

    public struct HugePageLimit: Hashable, Sendable {
        /// `2MB`.
        public var pageSize: String
        public var limit: UInt64
    }

    public struct Network: Hashable, Sendable {
        public var classID: UInt32?
        public var priorities: [Priority] = []
        public struct Priority: Hashable, Sendable {
            public var name: String
            public var priority: UInt32
        }
    }

    public struct RDMALimit: Hashable, Sendable {
        public var device: String
        public var handles: UInt32?
        public var objects: UInt32?
    }

    public var devices: [DeviceRule] = []
    public var memory = Memory()
    public var cpu = CPU()
    public var pids: Int64?
    public var blockIO = BlockIO()
    public var hugePages: [HugePageLimit] = []
    public var network = Network()
    public var rdma: [RDMALimit] = []
    public var unified: [RuntimeConfig.StringPair] = []

    public init() {}
}

extension RuntimeResources {
    init(_ object: ConfigObject) throws(RuntimeConfigError) {
        self.init()
        for found in try object.objects("devices") {
            devices.append(
                .init(
                    allow: try found.required("allow", found.bool("allow")),
                    type: try found.choice("type", ["a", "b", "c", ""]).flatMap { $0.isEmpty ? nil : $0 },
                    major: try found.number("major", Int64.self),
                    minor: try found.number("minor", Int64.self),
                    access: try found.deviceAccess()))
        }
        if let found = try object.object("memory") {
            memory = Memory(
                limit: try found.number("limit", Int64.self),
                reservation: try found.number("reservation", Int64.self),
                swap: try found.number("swap", Int64.self), kernel: try found.number("kernel", Int64.self),
                kernelTCP: try found.number("kernelTCP", Int64.self),
                swappiness: try found.number("swappiness", UInt64.self),
                disableOOMKiller: try found.bool("disableOOMKiller"),
                checkBeforeUpdate: try found.bool("checkBeforeUpdate"))
            _ = try found.bool("useHierarchy")  // v2 and today's v1 know nothing else
        }
        if let found = try object.object("cpu") {
            cpu = CPU(
                shares: try found.number("shares", UInt64.self), quota: try found.number("quota", Int64.self),
                burst: try found.number("burst", UInt64.self),
                period: try found.number("period", UInt64.self),
                realtimeRuntime: try found.number("realtimeRuntime", Int64.self),
                realtimePeriod: try found.number("realtimePeriod", UInt64.self),
                cpus: try found.string("cpus").flatMap { $0.isEmpty ? nil : $0 },
                mems: try found.string("mems").flatMap { $0.isEmpty ? nil : $0 },
                idle: try found.number("idle", Int64.self))
        }
        if let found = try object.object("pids") {
            pids = try found.required("limit", found.number("limit", Int64.self))
        }
        if let found = try object.object("blockIO") { blockIO = try BlockIO(found) }
        for found in try object.objects("hugepageLimits") {
            let size = try found.required("pageSize", found.string("pageSize"))
            guard isPageSize(size) else {
                throw found.wrong("pageSize", "\"\(size)\" is no size such as 2MB")
            }
            hugePages.append(
                .init(
                    pageSize: size, limit: try found.required("limit", found.number("limit", UInt64.self))))
        }
        if let found = try object.object("network") {
            network.classID = try found.number("classID", UInt32.self)
            for priority in try found.objects("priorities") {
                network.priorities.append(
                    .init(
                        name: try priority.required("name", priority.string("name")),
                        priority: try priority.required(
                            "priority", priority.number("priority", UInt32.self))))
            }
        }
        for (device, found) in try object.members("rdma") {
            if !found.has("hcaHandles"), !found.has("hcaObjects") {
                throw found.wrong("hcaHandles", "hcaHandles or hcaObjects is needed")
            }
            rdma.append(
                .init(
                    device: device, handles: try found.number("hcaHandles", UInt32.self),
                    objects: try found.number("hcaObjects", UInt32.self)))
        }
        unified = try object.pairs("unified")
    }
}

/// `^[1-9][0-9]*[KMG]B$`.
private func isPageSize(_ text: String) -> Bool {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    return digits.first != nil && digits.first != "0"
        && ["KB", "MB", "GB"].contains(String(text.dropFirst(digits.count)))
}

extension ConfigObject {
    fileprivate func deviceAccess() throws(RuntimeConfigError) -> String? {
        guard let text = try string("access"), !text.isEmpty else { return nil }
        // Of all devices there is all access, whatever is written.
        if ["", "a"].contains(try string("type") ?? "") { return nil }
        guard text.allSatisfy({ "rwma".contains($0) }) else {
            throw wrong("access", "\"\(text)\" has other letters than r, w, m and a")
        }
        return text.contains("a") ? nil : text
    }
}

extension RuntimeResources.BlockIO {
    fileprivate init(_ object: ConfigObject) throws(RuntimeConfigError) {
        weight = try object.number("weight", UInt16.self)
        leafWeight = try object.number("leafWeight", UInt16.self)
        for found in try object.objects("weightDevice") {
            if !found.has("weight"), !found.has("leafWeight") {
                throw found.wrong("weight", "weight or leafWeight is needed")
            }
            weightDevice.append(
                .init(
                    major: try found.required("major", found.number("major", Int64.self)),
                    minor: try found.required("minor", found.number("minor", Int64.self)),
                    weight: try found.number("weight", UInt16.self),
                    leafWeight: try found.number("leafWeight", UInt16.self)))
        }
        readBytes = try throttles(object, "throttleReadBpsDevice")
        writeBytes = try throttles(object, "throttleWriteBpsDevice")
        readOperations = try throttles(object, "throttleReadIOPSDevice")
        writeOperations = try throttles(object, "throttleWriteIOPSDevice")
    }
}

private func throttles(_ object: ConfigObject, _ name: String) throws(RuntimeConfigError)
    -> [RuntimeResources.Throttle]
{
    var result: [RuntimeResources.Throttle] = []
    for found in try object.objects(name) {
        result.append(
            .init(
                major: try found.required("major", found.number("major", Int64.self)),
                minor: try found.required("minor", found.number("minor", Int64.self)),
                rate: try found.number("rate", UInt64.self) ?? 0))
    }
    return result
}
