// SPDX-License-Identifier: Apache-2.0
//
// Conversation: one request followed to its end, with its progress on the screen and an ear for Ctrl-C.

internal import Basics
internal import CLinux
internal import Controller
internal import Kernel

/// How a request ended that did not fail.
struct Answer {
    var changed = false
    /// Of an `up` that had nothing to do: services that run, and those whose work is done.
    var unchanged: (running: Int, completed: Int)?
    /// `text` events, joined.
    var text = ""
    var plan: ShownPlan?
    /// A signal came and the caller wanted to stop there.
    var interrupted = false
    /// Another controller had to be asked, since the first left before it began.
    var askedAgain = false
}

/// SIGINT, SIGTERM as a descriptor; made once by the commands that answer to Ctrl-C in their own way.
func interruptSignals() throws(Failure) -> SignalStream {
    do throws(SyscallError) {
        return try SignalStream([2, 15])
    } catch {
        throw Failure("cannot listen for Ctrl-C", error)
    }
}

/// How long a command waits for another before it says so.
private let patience = Duration.seconds(1)

/// Follows a request until `done`. `failed` is thrown, with all that was drawn left on the screen.
/// - Parameter signals: with it, the first signal ends the wait with `interrupted`; without, Ctrl-C ends the process.
func follow(
    _ client: ControlClient, _ place: ProjectPlace, _ progress: Progress, signals: SignalStream? = nil
) throws(Failure) -> Answer {
    defer { progress.end() }
    var answer = Answer()
    var first = 0
    var begun = false
    /// When it will be said that another command is at work.
    var toldAt: Int64?
    while true {
        while let (event, _) = try client.nextBuffered() {
            if case .queued = event {
                toldAt = monotonicNanoseconds() + patience.nanoseconds
            } else {
                begun = true
                toldAt = nil
            }
            if try take(event, &answer, &first, progress) { return answer }
        }
        if let at = toldAt, monotonicNanoseconds() >= at {
            progress.notice("waiting for another command of project \"\(place.project)\" to end")
            toldAt = nil
        }
        let ready: [Bool]
        do throws(SyscallError) {
            ready = try waitReadable(
                [client.descriptor, signals?.raw ?? -1],
                atMost: toldAt == nil ? progress.untilTick : min(patience, progress.untilTick ?? patience))
        } catch {
            throw Failure("cannot wait for the controller", error)
        }
        if ready[1], signals?.next() != nil {
            answer.interrupted = true
            return answer
        }
        if ready[0], try !client.fill() {
            if !begun, try client.sendAgain() {
                answer.askedAgain = true
                continue
            }
            throw lostController(place)
        }
        progress.tick()
    }
}

/// The controller hung up without a last event.
func lostController(_ place: ProjectPlace) -> Failure {
    Failure(
        "lost the controller of project \"\(place.project)\"", cause: "it closed the control socket",
        advice: "run the command again; what runs keeps running")
}

/// True at the last event.
func take(_ event: ControlEvent, _ answer: inout Answer, _ first: inout Int, _ progress: Progress)
    throws(Failure) -> Bool
{
    switch event {
    case .planned(let operations):
        first = progress.add(
            operations.map {
                ProgressTask(kind: $0.kind, name: $0.name, doing: $0.doing, done: $0.done)
            })
    case .operation(let index, let state):
        switch state {
        case .started:
            linux_fault_operation()
            progress.update(first + index, .working)
        case .finished:
            linux_fault_operation()
            progress.update(first + index, .done)
        case .failed: progress.update(first + index, .failed)
        }
    case .notice(let text): progress.notice(text)
    case .text(let text): answer.text += text
    case .plan(let text, let json, let operations):
        answer.plan = ShownPlan(text: text, json: json, operations: operations)
    case .failed(let failure): throw failure
    case .done(let changed):
        answer.changed = changed
        return true
    case .unchanged(let running, let completed):
        answer.unchanged = (running, completed)
        return true
    case .queued, .status, .event, .execStarted, .exited: break
    }
    return false
}

/// A kernel's call in the user's words.
func kernel<Result: ~Copyable>(_ doing: String, _ body: () throws(SyscallError) -> Result) throws(Failure)
    -> Result
{
    do throws(SyscallError) {
        return try body()
    } catch {
        throw Failure(doing, error)
    }
}
