// SPDX-License-Identifier: Apache-2.0
//
// Which stages a target needs, and what every `FROM` and `--from` means. Pure.

internal import Basics
internal import DockerfileSyntax

/// Where files or a root file system come from.
enum Origin: Hashable {
    case scratch
    /// The build context.
    case context
    case stage(Int)
    case directory(name: String, path: String)
    /// A reference for the image store.
    case image(String)
}

struct StageGraph {
    let stages: [Stage]
    let target: Int
    /// The stages to build, ascending; a stage only needs earlier ones.
    let needed: [Int]
    /// By stage.
    let bases: [Origin]
    private let namedContexts: [String: NamedContext]

    init(
        _ file: Dockerfile, target wanted: String?, namedContexts: [String: NamedContext],
        expand: (Word) throws(Failure) -> String
    ) throws(Failure) {
        stages = file.stages
        self.namedContexts = namedContexts
        target = try StageGraph.find(wanted, in: file)
        var bases: [Origin] = []
        for stage in file.stages {
            let text = try expand(stage.base)
            guard !text.isEmpty else {
                throw Failure(
                    "`FROM` names no image",
                    cause: "`\(stage.base.text)` is empty once its variables are replaced",
                    advice: "declare the variable with a default: ARG NAME=value, before the first FROM",
                    at: stage.base.location)
            }
            bases.append(
                StageGraph.origin(text, before: stage.index, in: file.stages, namedContexts, isBase: true))
        }
        self.bases = bases
        var pending = [target]
        var found: Set<Int> = []
        while let index = pending.popLast() {
            guard found.insert(index).inserted else { continue }
            if case .stage(let base) = bases[index] { pending.append(base) }
            for from in file.stages[index].instructions.flatMap(\.action.origins) {
                let origin = StageGraph.origin(
                    from.text, before: index, in: file.stages, namedContexts, isBase: false)
                if case .stage(let source) = origin { pending.append(source) }
                if case .image = origin { try StageGraph.refuseLaterStage(from, at: index, in: file.stages) }
            }
        }
        needed = found.sorted()
    }

    /// The stages that must be there before a stage is begun.
    func prerequisites(of stage: Int) -> Set<Int> {
        var result: Set<Int> = []
        if case .stage(let base) = bases[stage] { result.insert(base) }
        for from in stages[stage].instructions.flatMap(\.action.origins) {
            if case .stage(let source) = origin(of: from, in: stage) { result.insert(source) }
        }
        return result
    }

    /// What a `--from` in a stage means.
    func origin(of from: Word?, in stage: Int) -> Origin {
        guard let from else { return .context }
        return StageGraph.origin(from.text, before: stage, in: stages, namedContexts, isBase: false)
    }

    /// The most stages that can be under way at once.
    var width: Int {
        var level: [Int: Int] = [:]
        for stage in needed {
            level[stage] = (prerequisites(of: stage).map { level[$0] ?? 0 }.max() ?? -1) + 1
        }
        var counts: [Int: Int] = [:]
        for each in level.values { counts[each, default: 0] += 1 }
        // Stages of different depth may meet too, so the count of those without prerequisites is a floor.
        return max(counts.values.max() ?? 1, 1)
    }

    private static func find(_ wanted: String?, in file: Dockerfile) throws(Failure) -> Int {
        guard let wanted else { return file.stages.count - 1 }
        if let index = file.stages.lastIndex(where: { $0.name == wanted.lowercased() }) { return index }
        if let index = Int(wanted), file.stages.indices.contains(index) { return index }
        let names = file.stages.compactMap(\.name)
        let near = nearest(to: wanted.lowercased(), among: names)
        throw Failure(
            "cannot build the target `\(wanted)`", cause: "the Dockerfile has no stage of that name",
            advice: near.map { "did you mean `\($0)`?" }
                ?? (names.isEmpty ? nil : "its stages are \(names.joined(separator: ", "))"))
    }

    /// Named contexts hide stages and images of the same name, as in Docker; then comes the latest earlier stage.
    private static func origin(
        _ text: String, before stage: Int, in stages: [Stage], _ contexts: [String: NamedContext],
        isBase: Bool
    ) -> Origin {
        switch contexts[text] {
        case .directory(let path): return .directory(name: text, path: path)
        case .image(let reference): return .image(reference)
        case nil: break
        }
        if text == "scratch" { return .scratch }
        if let index = stages[..<stage].lastIndex(where: { $0.name == text.lowercased() }) {
            return .stage(index)
        }
        if !isBase, let index = Int(text), index >= 0, index < stage { return .stage(index) }
        return .image(text)
    }

    private static func refuseLaterStage(_ from: Word, at stage: Int, in stages: [Stage]) throws(Failure) {
        let later =
            stages[stage...].contains { $0.name == from.text.lowercased() }
            || Int(from.text).map { $0 >= stage } ?? false
        guard later else { return }
        throw Failure(
            "`--from=\(from.text)` names a stage that does not come before this one",
            cause: "a stage can only copy from earlier ones", at: from.location)
    }
}

extension Action {
    /// What stages, contexts and images an instruction takes files from by name.
    var origins: [Word] {
        switch self {
        case .copy(let copy): copy.from.map { [$0] } ?? []
        case .run(let run): run.mounts.compactMap(\.from)
        default: []
        }
    }
}
