// SPDX-License-Identifier: Apache-2.0

public import Basics
internal import Synchronization

/// How far one layer is, for whoever shows it.
public struct LayerTransfer: Hashable, Sendable {
    public enum Phase: Int, Sendable {
        case waiting, moving, finished, alreadyThere, mounted, failed
    }
    public var digest: Digest
    public var size: Int64
    public var moved: Int64 = 0
    public var phase = Phase.waiting
}

/// A layer's progress, counted by the thread that moves it and read by the one that shows it.
final class TransferCounter: Sendable {
    let digest: Digest
    let size: Int64
    private let moved = Atomic<Int64>(0)
    private let phase = Atomic<Int>(0)

    init(_ digest: Digest, _ size: Int64) {
        self.digest = digest
        self.size = size
    }

    func add(_ bytes: Int64) { moved.add(bytes, ordering: .relaxed) }
    func set(moved bytes: Int64) { moved.store(bytes, ordering: .relaxed) }
    func set(_ new: LayerTransfer.Phase) { phase.store(new.rawValue, ordering: .relaxed) }

    var state: LayerTransfer {
        LayerTransfer(
            digest: digest, size: size, moved: moved.load(ordering: .relaxed),
            phase: .init(rawValue: phase.load(ordering: .relaxed)) ?? .waiting)
    }
}

/// The first failures of several jobs.
final class FailureList: Sendable {
    private let failures = Mutex<[Failure]>([])
    func add(_ failure: Failure) { failures.withLock { $0.append(failure) } }
    var isEmpty: Bool { failures.withLock { $0.isEmpty } }
    var all: [Failure] { failures.withLock { $0 } }
}
