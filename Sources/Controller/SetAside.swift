// SPDX-License-Identifier: Apache-2.0
//
// Containers without a readable record, after a power cut or somebody's hand. What they were made from can be made anew;
// their anonymous volumes cannot: before anything of that name is removed those go to `aside/<container>` of the project's
// directory, with whatever stands where the record was, and wait there for a person. `ps` and `up` tell of them until they are
// gone; `down` takes them along, as it takes all anonymous volumes.

internal import Basics
internal import ContainerRuntime
internal import Kernel
internal import Records

/// What is told of a container until it is mended.
struct Disorder {
    let text: String
    /// It is over when there is nothing here any more.
    let path: String
}

extension ProjectController {
    private var asideDirectory: String { place.directory + "/aside" }

    /// What is in disorder now, in words.
    func toldDisorders() -> [String] {
        disorders.removeAll { !exists($0.path) }
        return disorders.map(\.text)
    }

    /// A container could not be taken over.
    func note(_ failure: Failure, ofUntaken name: String) {
        log("container \(name) is not taken over: \(failure)")
        guard containers[name] == nil else { return }
        let cause = [failure.doing, failure.cause].compactMap { $0 }.joined(separator: ": ")
        disorders.append(
            Disorder(
                text:
                    "container \"\(name)\" is not looked after: \(cause); `covey up` makes it anew and puts its "
                    + "anonymous volumes aside", path: directories(of: name).record))
    }

    /// What earlier controllers put aside.
    func adoptSetAside() {
        for name in ((try? directoryEntries(asideDirectory)) ?? []).sorted() {
            noteSetAside(name, "\(asideDirectory)/\(name)")
        }
    }

    private func noteSetAside(_ name: String, _ path: String) {
        disorders.append(
            Disorder(
                text:
                    "anonymous volumes of container \"\(name)\", whose record could not be read, lie in \(path): take "
                    + "what you need of them and remove the directory", path: path))
    }

    /// Before a container's directory goes that no container is known of.
    func setVolumesAside(of name: String) throws(Failure) {
        let directories = directories(of: name)
        // One that was never started, and whose record was not written yet, has nothing but what its image has.
        guard exists(directories.record) || exists(directories.upper) else { return }
        do throws(SyscallError) {
            guard try holdsSomething(directories.anonymousVolumes) else { return }
            try ensureDirectory(asideDirectory, mode: 0o700)
            var aside = "\(asideDirectory)/\(name)"
            var number = 1
            while exists(aside) {
                number += 1
                // No container's name has this sign.
                aside = "\(asideDirectory)/\(name)~\(number)"
            }
            try ensureDirectory(aside, mode: 0o700)
            try moveFile(directories.anonymousVolumes, to: aside + "/volumes")
            if exists(directories.record) {
                try moveFile(directories.record, to: aside + "/container.json")
            }
            disorders.removeAll { $0.path == directories.record }
            noteSetAside(name, aside)
            if let told = disorders.last {
                log(told.text)
                runOwner?.send(.notice(told.text))
            }
        } catch {
            throw Failure(
                "cannot put the anonymous volumes of container \"\(name)\" aside", error,
                advice: "move \(directories.state) away: its record can't be read")
        }
    }

    /// One of the volumes has a file.
    private func holdsSomething(_ volumes: String) throws(SyscallError) -> Bool {
        do throws(SyscallError) {
            for number in try directoryEntries(volumes) {
                if try !directoryEntries("\(volumes)/\(number)").isEmpty { return true }
            }
        } catch {
            if error.errno != .noEntry { throw error }
        }
        return false
    }
}
