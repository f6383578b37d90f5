// SPDX-License-Identifier: Apache-2.0
//
// What can be said of a project's keeper and controller when they don't answer: looked up in /proc and in what the
// keeper wrote down, from the client's side.

internal import Basics
internal import CLinux
internal import Kernel
internal import Records

/// Field 3 of /proc/PID/stat; proc_pid_stat(5).
struct ProcessState {
    let letter: Character

    init?(of pid: Int32) {
        guard let text = try? readText("/proc/\(pid)/stat"), let close = text.lastIndex(of: ")"),
            let letter = text[close...].split(separator: " ").dropFirst().first?.first
        else { return nil }
        self.letter = letter
    }

    var isStopped: Bool { letter == "T" || letter == "t" }

    var sentence: String {
        switch letter {
        case "T": "is stopped (state T)"
        case "t": "is stopped by a debugger (state t)"
        case "D": "waits in the kernel (state D)"
        case "R": "is busy (state R)"
        case "Z": "has ended (state Z)"
        default: "sleeps (state \(letter))"
        }
    }
}

/// `crashes.json`, which the keeper writes when a controller ended.
private struct CrashRecord: Codable {
    var failures: Int
    var kind: Int32
    var status: Int32
    /// Nanoseconds since 1970.
    var time: Int64
    /// Nanoseconds until the next one is started.
    var delay: Int64
}

/// Why a project's controller does not answer: cause and advice.
func silence(of place: ProjectPlace) -> (cause: String?, advice: String?) {
    guard let keeper = runningKeeper(of: place) else {
        return ("nobody holds it: its keeper is gone", nil)
    }
    let keeperState = ProcessState(of: keeper)
    if let controller = controller(of: keeper), let state = ProcessState(of: controller) {
        return (
            "process \(controller) \(state.sentence)",
            state.isStopped ? "continue it with kill -CONT \(controller)" : nil
        )
    }
    if let keeperState, keeperState.isStopped {
        return (
            "there is none, and its keeper, process \(keeper), \(keeperState.sentence)",
            "continue it with kill -CONT \(keeper)"
        )
    }
    return (crashLoop(of: place) ?? "there is none at the moment", nil)
}

/// What is wrong with keeper or controller of a project that answers all the same.
public func engineWarnings(_ place: ProjectPlace) -> [String] {
    var warnings: [String] = []
    if let keeper = runningKeeper(of: place), let state = ProcessState(of: keeper), state.isStopped {
        warnings.append(
            "the keeper of project \"\(place.project)\", process \(keeper), \(state.sentence): nothing can be started "
                + "until kill -CONT \(keeper)")
    }
    if let loop = crashLoop(of: place) {
        warnings.append("the controller of project \"\(place.project)\": \(loop)")
    }
    return warnings
}

/// In words, when controllers ended again and again in the last minute.
private func crashLoop(of place: ProjectPlace) -> String? {
    guard let record = (try? readRecord(CrashRecord.self, place.runDirectory + "/crashes.json")) ?? nil,
        record.failures >= 3, realtimeNanoseconds() - record.time < 60_000_000_000 + record.delay
    else { return nil }
    let pause = Duration.nanoseconds(record.delay).composeText
    return
        "it ended \(record.failures) times in a row, the last one \(endSentence(record.kind, record.status)); "
        + "each next one waits, now \(pause); see \(place.runDirectory)/engine.log"
}

private func controller(of keeper: Int32) -> Int32? {
    guard let home = try? readLink("/proc/\(keeper)/ns/pid") else { return nil }
    for name in (try? directoryEntries("/proc")) ?? [] {
        guard let pid = Int32(name), let text = try? readText("/proc/\(pid)/stat"),
            let close = text.lastIndex(of: ")")
        else { continue }
        let fields = text[close...].split(separator: " ")
        // Containers are in pid namespaces of their own.
        if fields.count > 2, Int32(fields[2]) == keeper, fields[1] != "Z",
            (try? readLink("/proc/\(pid)/ns/pid")) == home
        {
            return pid
        }
    }
    return nil
}
