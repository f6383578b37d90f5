// SPDX-License-Identifier: Apache-2.0
//
// `top`: the processes of each container, by the host's numbers. The cgroup says which they are.

internal import Basics
internal import Cgroups
internal import Controller
internal import Kernel

func runTop(_ session: Session) throws(Failure) -> Int32 {
    let place = try session.place()
    let containers = try session.containers(place)
    let wanted = session.arguments.operands
    try checkKnown(wanted, among: containers.map(\.service), session)
    let cgroups = try projectCgroups(place, containers)
    let (now, booted) = (realtimeNanoseconds(), bootTime())
    var rows: [[String]] = []
    for container in containers
    where container.state.isUp && (wanted.isEmpty || wanted.contains(container.service)) {
        for pid in cgroups.container(container.name).processes.sorted() {
            guard let process = ProcessEntry(pid) else { continue }
            rows.append(
                [container.service, "\(container.index)"] + processColumns(process, now: now, booted: booted))
        }
    }
    if rows.isEmpty, !wanted.isEmpty {
        throw Failure(
            "nothing of \(wanted.map { "\"\($0)\"" }.joined(separator: ", ")) runs",
            advice: "see `covey ps -a`; `covey start` starts it")
    }
    session.out.write(
        table(["SERVICE", "#", "UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"], rows))
    return 0
}

/// UID to CMD, as ps(1) has them.
func processColumns(_ process: ProcessEntry, now: Int64, booted: Int64) -> [String] {
    let started = booted + process.startTicks * 1_000_000_000 / ticksPerSecond
    let seconds = process.ticks / ticksPerSecond
    let share = process.ticks * 100_000_000_000 / ticksPerSecond / max(1_000_000_000, now - started)
    func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
    // Hours and minutes within a day, the day before that; all in UTC.
    let moment = rfc3339(nanoseconds: started)
    let isToday = now - started < 86_400 * 1_000_000_000
    return [
        "\(process.uid)", "\(process.pid)", "\(process.parent)", "\(share)",
        String(isToday ? moment.dropFirst(11).prefix(5) : moment.prefix(10)), process.terminalName,
        "\(two(seconds / 3600)):\(two(seconds / 60 % 60)):\(two(seconds % 60))", process.command,
    ]
}

/// When the kernel started, nanoseconds since 1970.
func bootTime() -> Int64 {
    for line in ((try? readText("/proc/stat")) ?? "").split(separator: "\n") where line.hasPrefix("btime ") {
        return (Int64(line.dropFirst(6)) ?? 0) * 1_000_000_000
    }
    return 0
}
