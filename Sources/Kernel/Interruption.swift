// SPDX-License-Identifier: Apache-2.0
//
// Something that must be taken back before a signal ends the process, for clients whose work is spread over threads:
// SIGINT, SIGTERM and SIGHUP are blocked and waited for on a thread that does nothing else. The controller has its loop.

internal import CLinux

/// While it lives, the signals that ask this process to end first run `body`, then end it as they would have.
public final class Interruption {
    private static let signals: [Int32] = [SIGINT, SIGTERM, SIGHUP]
    /// Those that nobody else had blocked before.
    private let blocked: [Int32]
    private let stopping: SharedFD
    private var thread: JoinableThread?

    /// To be made before other threads are: they inherit which signals are blocked.
    public init(_ body: @escaping () -> Void) throws(SyscallError) {
        var before = sigset_t()
        pthread_sigmask(SIG_BLOCK, nil, &before)
        blocked = Self.signals.filter { sigismember(&before, $0) == 0 }
        let signals = try SignalStream(Self.signals)
        let pipe = try makePipe()
        let stopped = SharedFD(try pipe.first.duplicate())
        stopping = SharedFD(try pipe.second.duplicate())
        thread = JoinableThread {
            while true {
                guard let ready = try? waitReadable([signals.raw, stopped.raw], atMost: nil), !ready[1]
                else { return }
                guard let signal = signals.next() else { continue }
                body()
                unblockSignals(Self.signals)
                kill(getpid(), signal)
            }
        }
    }

    deinit {
        _ = try? writeAll(stopping.raw, [0])
        thread?.join()
        // One that came last takes effect here, unless somebody else listens for it.
        unblockSignals(blocked)
    }
}

/// In this thread.
public func unblockSignals(_ signals: [Int32]) {
    var set = sigset_t()
    sigemptyset(&set)
    for signal in signals { sigaddset(&set, signal) }
    pthread_sigmask(SIG_UNBLOCK, &set, nil)
}
