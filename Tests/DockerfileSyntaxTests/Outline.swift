// SPDX-License-Identifier: Apache-2.0
//
// A parsed Dockerfile as text, for golden comparison.

import Basics
import DockerfileSyntax

func outline(_ file: Dockerfile) -> String {
    var lines = file.globalArguments.map { "global \(outline($0))" }
    for stage in file.stages {
        var line = "stage \(stage.index) \(stage.base.text)"
        if let name = stage.name { line += " as \(name)" }
        if let platform = stage.platform { line += " on \(platform.text)" }
        lines.append(line)
        lines += stage.instructions.map(outline)
    }
    lines += file.warnings.map {
        "warning \($0.location.line):\($0.location.column) \($0.rule?.rawValue ?? "-") \($0.text)"
    }
    return lines.joined(separator: "\n")
}

func outline(_ instruction: Instruction) -> String {
    let place = "\(instruction.location.line):\(instruction.location.column)"
    switch instruction.action {
    case .arg(let arguments):
        return "\(place) arg "
            + arguments.map { $0.name + ($0.value.map { "=<\($0.text)>" } ?? "") }.joined(separator: " ")
    case .env(let values):
        return "\(place) env " + values.map { "<\($0.name.text)>=<\($0.value.text)>" }.joined(separator: " ")
    case .label(let values):
        return "\(place) label "
            + values.map { "<\($0.name.text)>=<\($0.value.text)>" }.joined(separator: " ")
    case .copy(let copy): return "\(place) copy \(outline(copy))"
    case .add(let copy): return "\(place) add \(outline(copy))"
    case .run(let run):
        return "\(place) run \(outline(run.command))"
            + (run.network == .standard ? "" : run.network == .none ? " offline" : " host")
            + run.mounts.map {
                " mount "
                    + $0.options.map { "\($0.name.text)=\($0.value?.text ?? "")" }.joined(separator: ",")
            }
            .joined() + run.heredocs.map(outline).joined()
    case .command(let command): return "\(place) cmd \(outline(command))"
    case .entrypoint(let command): return "\(place) entrypoint \(outline(command))"
    case .shell(let words): return "\(place) shell \(words)"
    case .workdir(let word): return "\(place) workdir <\(word.text)>"
    case .user(let word): return "\(place) user <\(word.text)>"
    case .expose(let words): return "\(place) expose \(words.map(\.text))"
    case .volume(let words): return "\(place) volume \(words.map(\.text))"
    case .stopSignal(let word): return "\(place) stopsignal <\(word.text)>"
    case .healthcheck(.none): return "\(place) healthcheck none"
    case .healthcheck(.check(let options, let command)):
        var text = "\(place) healthcheck \(outline(command))"
        for (name, value) in [
            ("interval", options.interval), ("timeout", options.timeout),
            ("start-period", options.startPeriod), ("start-interval", options.startInterval),
        ] {
            if let value { text += " \(name)=\(value.composeText)" }
        }
        if let retries = options.retries { text += " retries=\(retries)" }
        return text
    case .maintainer(let name): return "\(place) maintainer <\(name)>"
    case .onBuild(let text): return "\(place) onbuild <\(text)>"
    }
}

private func outline(_ command: CommandLine) -> String {
    switch command {
    case .shell(let text): "sh <\(text)>"
    case .exec(let words): "exec \(words)"
    }
}

private func outline(_ copy: CopyInstruction) -> String {
    var text = "\(copy.sources.map(\.text)) -> <\(copy.destination.text)>"
    if let from = copy.from { text += " from=\(from.text)" }
    if let owner = copy.owner { text += " chown=\(owner.text)" }
    if let mode = copy.mode { text += " chmod=\(mode.text)" }
    if copy.isLinked { text += " link" }
    if copy.keepsParents { text += " parents" }
    if !copy.excludes.isEmpty { text += " exclude=\(copy.excludes.map(\.text))" }
    if let checksum = copy.checksum { text += " checksum=\(checksum.text)" }
    if copy.keepsGitDirectory { text += " git" }
    if let unpacks = copy.unpacks { text += " unpack=\(unpacks)" }
    return text + copy.files.map(outline).joined()
}

private func outline(_ heredoc: Heredoc) -> String {
    " heredoc \(heredoc.name)\(heredoc.expands ? "" : " quoted") <"
        + heredoc.content.split(separator: "\n", omittingEmptySubsequences: false).joined(separator: "⏎")
        + ">"
}
