// SPDX-License-Identifier: Apache-2.0
//
// RUN: a program over the layers so far. A script given as a heredoc with a `#!` line is put into the root for as
// long as it runs, as it has to be somewhere the program can open.

internal import Basics
internal import DockerfileSyntax
internal import Kernel

extension StageRun {
    static let scriptName = ".covey-heredoc"

    func runStep(_ run: RunInstruction, _ instruction: Instruction, _ words: Substitution) throws(Failure) {
        if run.isInsecure, !session.request.allowsInsecure {
            throw Failure(
                "`RUN --security=insecure` is not allowed in this build",
                cause: "it would have all rights on this host",
                advice: "allow it with `entitlements: [security.insecure]` of the service's `build`",
                at: instruction.location)
        }
        var script: [UInt8]?
        let arguments = runArguments(run, state, &script)
        let environment = state.runEnvironment
        let user = state.config.user ?? ""
        let directory = state.workingDirectory
        let network = stepNetwork(run)
        var mounts: [PlannedMount] = []
        for mount in run.mounts { mounts.append(try plan(mount, words)) }
        var key = KeyBuilder()
        key.add("run")
        key.add(arguments)
        if let script { key.add(script) }
        key.add(environment)
        key.add(directory)
        key.add(user)
        key.add(network.rawValue)
        if run.isInsecure { key.add("insecure") }
        for mount in mounts { key.add(mount.identity) }
        // What the program sees of the build's own settings. Memory and processes only end it, or do not.
        for host in session.request.extraHosts { key.add(["host", host.name, host.address]) }
        if let bytes = session.request.limits.sharedMemory { key.add(["shm", "\(bytes)"]) }
        for (name, limit) in session.request.limits.ulimits.sorted(by: { $0.key < $1.key }) {
            key.add(["ulimit", name, "\(limit.soft)", "\(limit.hard)"])
        }
        // Proxies reach the program and are, undeclared, no part of what it makes.
        var effective = Environment(environment)
        for (name, value) in session.proxies() where effective[name] == nil { effective[name] = value }
        try changeFiles(key, instruction) { (area: StepArea) throws(Failure) in
            let scriptPath = "\(area.upper)/\(StageRun.scriptName)"
            if let script {
                do throws(SyscallError) { try writeFile(scriptPath, script, mode: 0o755) } catch {
                    throw Failure("cannot write the heredoc of \(place(instruction))", error)
                }
            }
            let prepared = try prepare(mounts, user: user)
            for (name, value) in prepared.variables { effective[name] = value }
            let (step, session) = (number, session)
            let lines = OutputLines { session.tell(.output(number: step, line: $0)) }
            var request = StepRequest(
                lowers: area.lowers, upper: area.upper, work: area.work, arguments: arguments,
                environment: effective.list, workingDirectory: directory, user: user, network: network,
                output: { $0.isEmpty ? session.tell(.alive) : lines.take($0) })
            request.isPrivileged = run.isInsecure
            request.mounts = prepared.mounts
            request.extraHosts = session.request.extraHosts
            request.limits = session.request.limits
            let end = try session.runner.run(request)
            // The caches' locks are part of it.
            withExtendedLifetime(prepared) {}
            lines.finish()
            guard end.code == 0 else { throw failure(instruction, arguments, end, lines.last) }
            if script != nil {
                do throws(SyscallError) { try removeFile(scriptPath) } catch {
                    if error.errno != .noEntry {
                        throw Failure("cannot remove the heredoc of \(place(instruction))", error)
                    }
                }
            }
        }
    }

    /// The step's own word goes before the build's.
    private func stepNetwork(_ run: RunInstruction) -> StepNetwork {
        switch run.network {
        case .standard: session.request.network
        case .none: .none
        case .host: .host
        }
    }

    /// What to execute. A lone heredoc is the script itself; one among other words is text for the shell.
    private func runArguments(_ run: RunInstruction, _ state: StageState, _ script: inout [UInt8]?)
        -> [String]
    {
        guard case .shell(let text) = run.command, !run.heredocs.isEmpty else {
            return state.arguments(of: run.command)
        }
        if run.heredocs.count == 1, isLoneHeredoc(text), let heredoc = run.heredocs.first {
            if heredoc.content.hasPrefix("#!") {
                script = Array(heredoc.content.utf8)
                return ["/\(StageRun.scriptName)"]
            }
            return state.shell + [heredoc.content]
        }
        var full = text
        for heredoc in run.heredocs { full += "\n\(heredoc.raw)\(heredoc.name)" }
        return state.shell + [full]
    }

    private func isLoneHeredoc(_ text: String) -> Bool {
        text.hasPrefix("<<") && !text.contains(where: \.isWhitespace)
    }

    private func failure(
        _ instruction: Instruction, _ arguments: [String], _ end: StepEnd, _ last: [String]
    ) -> Failure {
        let code = end.code
        var cause = "`\(arguments.joined(separator: " ").firstLine)` "
        cause +=
            code > 128 && code < 128 + 65 ? "was killed by signal \(code - 128)" : "exited with code \(code)"
        if last.isEmpty {
            cause += " and wrote nothing"
        } else {
            cause += "; its last lines:" + last.map { "\n    | \($0)" }.joined()
        }
        var advice: String?
        if end.metMemoryLimit { advice = "it ran out of memory: --memory says how much a step may have" }
        if let limit = end.metProcessLimit {
            advice =
                "it was refused more than \(limit) processes and threads; COVEY_STEP_PROCESSES moves the limit"
        }
        if code == 127 { advice = "127 means the shell or the program was not found in the image" }
        if code == 126 { advice = "126 means the program could not be executed" }
        return Failure("\(place(instruction)) failed", cause: cause, advice: advice, at: instruction.location)
    }
}
