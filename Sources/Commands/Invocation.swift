// SPDX-License-Identifier: Apache-2.0

internal import Basics
internal import Kernel

/// What the process was given: read once, at the edge; everything below takes it as a value.
struct Invocation {
    /// Without the program's name.
    var arguments: [String]
    var environment: [String: String]
    /// Absolute.
    var directory: String
    var input: Int32 = 0
    var output: Int32 = 1
    var errors: Int32 = 2

    static func current(
        _ arguments: [String], _ environment: [String: String]
    ) throws(Failure) -> Invocation {
        let directory: String
        do throws(SyscallError) {
            directory = try workingDirectory(called: environmentValue("PWD"))
        } catch {
            throw Failure(
                "cannot tell the working directory", error, advice: "change to a directory that exists")
        }
        return Invocation(
            arguments: arguments, environment: environment, directory: directory)
    }

    /// A path the user wrote, absolute, with `.` and `..` taken out by their letters alone.
    func absolute(_ path: String) -> String { joinedPath(directory, path) }

    /// A variable's value; an empty one counts as absent.
    func variable(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
}
