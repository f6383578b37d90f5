// SPDX-License-Identifier: Apache-2.0
//
// LaunchPlanning: a container request and host facts → launch program. Pure: it opens nothing and asks nobody; what it
// must know of the host is in its arguments. The program's layout is CLaunch's; its running is ContainerRuntime's.

internal import CLaunch

/// A numbered descriptor of a launch program.
public struct Slot: Hashable, Sendable {
    public let number: Int32
    public init(_ number: Int32) { self.number = number }
}

/// A list of operations for the child between clone3(2) and execve(2), with what each is about in the user's words.
public struct LaunchProgram: Sendable {
    /// One operation; the fields mean what CLaunch.h says beside its code.
    public struct Step: Sendable {
        public var code: UInt32
        public var slots: [Int32]
        public var texts: [String]
        public var blob: [UInt8]
        public var flags: UInt32
        public var numbers: [UInt64]
        /// "mounting volume \"data\" at /data"
        public var doing: String
        /// Not to be printed: a secret may be in it.
        public var blobIsPrivate = false
    }

    public internal(set) var steps: [Step] = []
    /// CLONE_* flags of clone3(2).
    public var cloneFlags: UInt64
    /// Names of the descriptors handed over, in slot order; slot 0 is the sync socket.
    public let given: [String]
    /// Slot of the cgroup directory for CLONE_INTO_CGROUP.
    public var cgroup: Slot?
    /// Slot of the pid namespace the child is born in: a pidfd or an nsfs file.
    public var pidNamespace: Slot?
    /// Each step is told before it is done.
    public var isTraced = false
    /// It is run by a process that is executed anew, from a binary nobody can write to: no stub will stand before that.
    public var isApart = false
    private var nextSlot: Int32

    public init(cloneFlags: UInt64, given: [String], cgroup: Slot? = nil) {
        self.cloneFlags = cloneFlags
        self.given = given
        self.cgroup = cgroup
        nextSlot = Int32(given.count)
    }

    /// A slot that an operation fills.
    mutating func newSlot() -> Slot {
        defer { nextSlot += 1 }
        return Slot(nextSlot)
    }

    mutating func add(
        _ code: launch_code, _ doing: String, slots: [Slot?] = [], texts: [String?] = [], blob: [UInt8] = [],
        flags: UInt32 = 0, numbers: [UInt64] = []
    ) {
        steps.append(
            Step(
                code: code.rawValue, slots: slots.map { $0?.number ?? -1 }, texts: texts.map { $0 ?? "" },
                blob: blob,
                flags: flags, numbers: numbers, doing: doing))
    }

    /// What the operation a child reported was about.
    public func doing(at index: Int) -> String {
        steps.indices.contains(index) ? steps[index].doing : "starting"
    }

    /// What it has too much of to be run; nil where it fits. All of these grow with the mounts and devices asked for.
    public var excess: String? {
        if Int(nextSlot) > LAUNCH_SLOTS {
            return "\(nextSlot) descriptors, of which there are \(LAUNCH_SLOTS)"
        }
        if steps.count > LAUNCH_OPERATIONS {
            return "\(steps.count) steps, of which there are \(LAUNCH_OPERATIONS)"
        }
        return nil
    }

    /// The flat buffer CLaunch reads.
    public func encoded() -> [UInt8] {
        let headSize = MemoryLayout<launch_head>.size
        let stepSize = MemoryLayout<launch_operation>.size
        var data: [UInt8] = []
        let dataStart = headSize + steps.count * stepSize
        var operations: [UInt8] = []
        operations.reserveCapacity(steps.count * stepSize)
        func place(_ bytes: some Collection<UInt8>, terminated: Bool) -> UInt32 {
            // Filters are read as 8-byte instructions: keep every piece aligned.
            while (dataStart + data.count) % 8 != 0 { data.append(0) }
            let offset = UInt32(dataStart + data.count)
            data += bytes
            if terminated { data.append(0) }
            return offset
        }
        for step in steps {
            var operation = launch_operation()
            operation.code = step.code
            operation.slot = step.slots.first ?? -1
            operation.slot2 = step.slots.count > 1 ? step.slots[1] : -1
            operation.slot3 = step.slots.count > 2 ? step.slots[2] : -1
            let texts = step.texts.map { $0.isEmpty ? 0 : place($0.utf8, terminated: true) }
            operation.text = (
                texts.first ?? 0, texts.count > 1 ? texts[1] : 0, texts.count > 2 ? texts[2] : 0
            )
            if !step.blob.isEmpty {
                operation.blob = place(step.blob, terminated: false)
                operation.blob_size = UInt32(step.blob.count)
            }
            operation.flags = step.flags
            operation.n = (
                step.numbers.first ?? 0, step.numbers.count > 1 ? step.numbers[1] : 0,
                step.numbers.count > 2 ? step.numbers[2] : 0
            )
            withUnsafeBytes(of: &operation) { operations += $0 }
        }
        var head = launch_head()
        head.magic = LAUNCH_MAGIC
        head.version = LAUNCH_VERSION
        head.size = UInt32(dataStart + data.count)
        head.operation_count = UInt32(steps.count)
        head.operations = UInt32(headSize)
        head.sync_slot = 0
        head.cgroup_slot = cgroup?.number ?? -1
        head.given_slots = UInt32(given.count)
        head.clone_flags = cloneFlags
        head.pid_namespace_slot = pidNamespace?.number ?? -1
        head.flags = (isTraced ? UInt32(LAUNCH_TRACED) : 0) | (isApart ? UInt32(LAUNCH_APART) : 0)
        return withUnsafeBytes(of: &head) { Array($0) } + operations + data
    }
}
