// SPDX-License-Identifier: Apache-2.0
//
// How a process ended that is no child of the keeper: three places to ask, for one that is not reaped yet, for one that
// is, and for one the keeper reaped before it was lost itself.

internal import CLinux
internal import ContainerRuntime
internal import Kernel
internal import Records

/// What the keeper wrote beside the container's status when it reaped it.
private struct ExitRecord: Codable {
    var pid: Int32
    /// CLD_*, as waitid(2) says it.
    var kind: Int32
    var status: Int32
    var time: Int64
}

/// What the keeper wrote of a container's process before it was lost.
func endInRecord(_ directory: String, _ pid: Int32?) -> (end: ProcessEnd, at: Int64)? {
    guard let record = (try? readRecord(ExitRecord.self, directory + "/exit.json")) ?? nil, record.pid == pid
    else { return nil }
    // CLD_EXITED is 1.
    return (record.kind == 1 ? .exited(record.status) : .signalled(record.status), record.time)
}

extension ProjectController {
    /// Tells how a process that is no child of the keeper ended, once it has; nil when nobody knows.
    func followEnd(
        of pid: Int32?, _ startTime: UInt64?, _ pidfd: SharedFD, _ told: @escaping (ProcessEnd?) -> Void
    ) throws(SyscallError) {
        // Readable once the process has ended (pidfd_open(2)); its parent may still have to reap it.
        try loop.watch(pidfd.raw) { [unowned self] _ in
            loop.unwatch(pidfd.raw)
            lookForEnd(pid, startTime, pidfd, looks: 100, told)
        }
    }

    private func lookForEnd(
        _ pid: Int32?, _ startTime: UInt64?, _ pidfd: SharedFD, looks: Int,
        _ told: @escaping (ProcessEnd?) -> Void
    ) {
        let end = endOfZombie(pid, startTime) ?? endOfReaped(pidfd)
        // Gone, and a kernel that can't tell: looking again helps nobody.
        if end != nil || looks == 0 || pid.flatMap(processStartTime) != startTime {
            return told(end ?? endOfReaped(pidfd))
        }
        loop.after(.milliseconds(10)) { [unowned self] in
            lookForEnd(pid, startTime, pidfd, looks: looks - 1, told)
        }
    }
}

/// How a process ended that its parent has not reaped yet: the last field of /proc/PID/stat, proc_pid_stat(5).
func endOfZombie(_ pid: Int32?, _ startTime: UInt64?) -> ProcessEnd? {
    guard let pid, let text = try? readText("/proc/\(pid)/stat"), let close = text.lastIndex(of: ")") else {
        return nil
    }
    let fields = text[close...].split(whereSeparator: \.isWhitespace)
    guard fields.count == 51, fields[1] == "Z", UInt64(fields[20]) == startTime,
        let status = Int32(fields[50])
    else { return nil }
    return processEnd(status)
}

/// From a status as waitpid(2) gives it.
private func processEnd(_ status: Int32) -> ProcessEnd {
    linux_wifexited(status) != 0
        ? .exited(linux_wexitstatus(status)) : .signalled(linux_wtermsig(status))
}

/// `struct pidfd_info` of linux/pidfd.h in its first form, 64 bytes: mask, cgroup, eleven ids, exit code.
private let pidfdInfoSize = 64
/// PIDFD_INFO_EXIT, Linux 6.15: known once the process was reaped.
private let pidfdInfoExit: UInt64 = 1 << 3

/// How a process that is no child of ours ended; nil while it is not reaped, or when the kernel can't tell.
func endOfReaped(_ pidfd: SharedFD) -> ProcessEnd? {
    var words = [UInt32](repeating: 0, count: pidfdInfoSize / 4)
    words[0] = UInt32(pidfdInfoExit)
    // PIDFD_GET_INFO: _IOWR(0xFF, 11, struct pidfd_info).
    let request: UInt = 3 << 30 | UInt(pidfdInfoSize) << 16 | 0xff << 8 | 11
    if linux_fault_hides_exits() { return nil }
    let result = words.withUnsafeMutableBytes { linux_ioctl_ptr(pidfd.raw, request, $0.baseAddress) }
    guard result == 0, words[0] & UInt32(pidfdInfoExit) != 0 else { return nil }
    return processEnd(Int32(bitPattern: words[15]))
}

/// Field 22 of /proc/PID/stat: ticks since boot; proc_pid_stat(5).
func processStartTime(_ pid: Int32) -> UInt64? {
    guard let text = try? readText("/proc/\(pid)/stat"), let close = text.lastIndex(of: ")") else {
        return nil
    }
    let fields = text[close...].split(separator: " ")
    return fields.count > 20 ? UInt64(fields[20]) : nil
}
