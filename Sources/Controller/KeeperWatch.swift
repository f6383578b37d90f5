// SPDX-License-Identifier: Apache-2.0
//
// Keeper and controller look after each other: the keeper asks every ten seconds whether the controller is there, and a
// controller that is not asked says so. Neither does anything about the other: a stopped process is somebody's decision.

internal import Basics
internal import CLaunch
internal import CLinux
internal import ContainerRuntime
internal import Kernel

/// A question comes every ten; one may be late.
private let longestKeeperSilence = Duration.seconds(15)

extension ProjectController {
    func keeperAsks() {
        do throws(SyscallError) {
            try keeper.pong()
        } catch {
            log("cannot answer the keeper: \(error)")
        }
        if keeperIsSilent {
            keeperIsSilent = false
            sayOfKeeper("it answers again", action: "none needed")
        }
        expectKeeper()
    }

    /// From the start on; without it a keeper that was stopped before its first question would not be missed.
    func expectKeeper() {
        if let keeperTimer { loop.cancel(keeperTimer) }
        keeperTimer = loop.after(longestKeeperSilence) { [unowned self] in
            keeperTimer = nil
            guard !leaving else { return }
            keeperIsSilent = true
            let pid = keeperPID
            let state = ProcessState(of: pid)
            sayOfKeeper(
                "the keeper, process \(pid), does not answer\(state.map { ": it \($0.sentence)" } ?? "")",
                action: "nothing is started or stopped meanwhile"
                    + (state?.isStopped == true ? "; continue it with kill -CONT \(pid)" : ""))
        }
    }

    private func sayOfKeeper(_ cause: String, action: String) {
        tell(.keeper, "drift", place.project, ["cause": cause, "action": action])
        log(cause)
        runOwner?.send(.notice(cause))
    }

    /// How this controller came to be, when it is not its project's first.
    func tellPredecessor() {
        var (kind, status, failures): (Int32, Int32, Int32) = (0, 0, 0)
        guard covey_predecessor(&kind, &status, &failures) != 0 else {
            if containers.values.contains(where: { $0.status.startedAt != nil }) {
                tell(
                    .keeper, "drift", place.project,
                    ["cause": "the keeper was lost", "action": "another one took the containers over"])
            }
            return
        }
        var attributes = [
            "cause": "the one before \(endSentence(kind, status))", "action": "another one took over",
        ]
        if failures > 1 { attributes["failures"] = "\(failures)" }
        tell(.controller, "drift", place.project, attributes)
    }
}

/// As waitid(2) tells it; CLD_EXITED is 1.
func endSentence(_ kind: Int32, _ status: Int32) -> String {
    kind == 1 ? "ended with code \(status)" : "was ended by signal \(status)"
}
