// SPDX-License-Identifier: Apache-2.0
//
// `covey oci ps`: a container's processes in the columns ps(1) gives them, by the options it knows them by. Which processes
// are shown is the container's matter: options that choose some (-e, a, x) choose nothing here.

internal import Basics
internal import CLinux
internal import Kernel
internal import OCIRuntime

func runOCIProcesses(_ session: Session) throws(Failure) -> Int32 {
    let options = Array(session.arguments.operands.dropFirst())
    let columns = try ProcessColumns(options)
    let processes = try containerProcesses(session.arguments.operands.first ?? "", session.ociSettings())
    if session.arguments.last(.format) == "json" {
        session.out.line("[" + processes.map(String.init).joined(separator: ",") + "]")
    } else {
        let moment = ProcessMoment(now: realtimeNanoseconds(), booted: bootTime(), users: userNames())
        let rows = processes.compactMap { ProcessEntry($0) }.map { columns.row($0, moment) }
        session.out.write(psTable(columns.names, rows))
    }
    return 0
}

/// What a row needs beside its process.
private struct ProcessMoment {
    var now: Int64
    var booted: Int64
    var users: [UInt32: String]
}

private enum ProcessColumns {
    /// -f, and without options: UID PID PPID C STIME TTY TIME CMD
    case full
    /// -e: PID TTY TIME CMD
    case short
    /// x: PID TTY STAT TIME COMMAND
    case states
    /// u: USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND
    case users

    init(_ options: [String]) throws(Failure) {
        var letters: Set<String> = []
        for option in options {
            let isUnix = option.hasPrefix("-")
            for letter in isUnix ? option.dropFirst() : option[...] {
                // As procps reads it: x is BSD's with a dash as well, f without one is another thing.
                letters.insert(isUnix && letter != "x" ? "-\(letter)" : "\(letter)")
            }
            if option == "-" || option.isEmpty { letters.insert(option) }
        }
        let known: Set<String> = ["-e", "-A", "-a", "-f", "a", "x", "u"]
        if let other = letters.subtracting(known).sorted().first {
            throw Failure(
                "cannot list processes by the option \"\(other)\"",
                cause: "it is none of ps(1)'s that are served",
                advice: "use -e, -f, a, x and u; --format json gives the numbers for ps(1) itself")
        }
        self =
            letters.contains("u")
            ? .users
            : letters.isEmpty || letters.contains("-f")
                ? .full : letters.contains("x") || letters.contains("a") ? .states : .short
    }

    var names: [String] {
        switch self {
        case .full: ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
        case .short: ["PID", "TTY", "TIME", "CMD"]
        case .states: ["PID", "TTY", "STAT", "TIME", "COMMAND"]
        case .users:
            ["USER", "PID", "%CPU", "%MEM", "VSZ", "RSS", "TTY", "STAT", "START", "TIME", "COMMAND"]
        }
    }

    func row(_ process: ProcessEntry, _ moment: ProcessMoment) -> [String] {
        let user = moment.users[process.uid] ?? "\(process.uid)"
        let full = processColumns(process, now: moment.now, booted: moment.booted)
        let seconds = process.ticks / ticksPerSecond
        let time = "\(seconds / 60):\(seconds % 60 < 10 ? "0" : "")\(seconds % 60)"
        switch self {
        case .full: return [user] + full.dropFirst()
        case .short: return [full[1], full[5], full[6], process.name]
        case .states: return [full[1], full[5], process.states, time, process.command]
        case .users:
            let page = Int64(sysconf(Int32(_SC_PAGESIZE)))
            let all = max(1, Int64(sysconf(Int32(_SC_PHYS_PAGES))))
            return [
                user, full[1], full[3], "\(process.pages * 100 / all)", "\(process.virtualBytes / 1024)",
                "\(process.pages * page / 1024)", full[5], process.states, full[4], time, process.command,
            ]
        }
    }
}

/// Numbers stand at their column's right as ps(1) has them, all else at its left.
private func psTable(_ names: [String], _ rows: [[String]]) -> String {
    let lines = [names] + rows.map { $0.map { escaped($0) } }
    let numbers: Set<String> = ["PID", "PPID", "C", "%CPU", "%MEM", "VSZ", "RSS"]
    let widths = names.indices.map { column in
        max(numbers.contains(names[column]) ? 7 : 0, lines.map { $0[column].count }.max() ?? 0)
    }
    return lines.map { row in
        row.indices.map { column in
            let room = String(repeating: " ", count: widths[column] - row[column].count)
            if numbers.contains(names[column]) { return room + row[column] }
            return column == row.count - 1 ? row[column] : row[column] + room
        }.joined(separator: " ") + "\n"
    }.joined()
}

/// The host's names: the processes are shown as the host sees them.
private func userNames() -> [UInt32: String] {
    var names: [UInt32: String] = [:]
    for line in ((try? readText("/etc/passwd")) ?? "").split(separator: "\n") {
        let fields = line.split(separator: ":", omittingEmptySubsequences: false)
        guard fields.count > 2, let uid = UInt32(fields[2]), names[uid] == nil else { continue }
        names[uid] = String(fields[0])
    }
    return names
}
