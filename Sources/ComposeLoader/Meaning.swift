// SPDX-License-Identifier: Apache-2.0
//
// Meaning: what a declaration comes to once its relative paths are absolute and the variables it only names are looked
// up, so that two of other directories can be held against each other (compose-go resolves an included project before it
// compares). The readers of the merged tree are asked, which know what is a path; what they complain of is told when
// they read it for good.

internal import Basics
internal import ComposeModel
internal import YAMLTree

extension Assembly {
    /// A top-level declaration as `config` would print it, with what its variables say.
    func meaning(of pair: Mapping.Pair, in section: String) -> String {
        let scratch = Diagnostics()
        let around = Surroundings(
            projectName: "", home: origins.all[0].variables["HOME"], origins: origins, resolvesPaths: true,
            normalizes: false, log: scratch)
        let field = Field(node: pair.value, path: Path(pair.key, in: Path(section)), log: scratch)
        let resources = ResourceReader(around: around)
        let rendering = Rendering(isJSON: false, isEscaped: false)
        var document: Value?
        switch section {
        case "services":
            // A range of a dozen characters is thousands of ports, which are the same everywhere.
            let rest = pair.value.mapping?.pairs.filter { $0.key != "ports" } ?? []
            let service = Field(
                node: Node(.mapping(Mapping(rest)), at: pair.value.place), path: field.path, log: scratch)
            let draft = ServiceReader.read(pair.key, pair.keyPlace, service, around)
            ServiceEnvironment(around: around, files: files, resolves: true).resolve(&draft.service, draft)
            // Files that have been read count by name, too.
            draft.service.envFiles = draft.envFiles.map(\.file)
            draft.service.labelFiles = draft.labelFiles.map(\.path)
            document = rendering.document(of: draft.service)
        case "volumes":
            document = rendering.document(of: resources.volume(pair.key, pair.keyPlace, field))
        case "configs", "secrets":
            guard let source = resources.file(pair.key, pair.keyPlace, field) else { break }
            var said: [Value] = [rendering.document(of: source)]
            if case .environment(_, let value) = source.content {
                said.append(value.map { .text($0) } ?? .null)
            }
            document = .list(said)
        // Networks and models have no paths, and all their variables were put in.
        default: break
        }
        return document?.yaml() ?? ""
    }
}
