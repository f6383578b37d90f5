// SPDX-License-Identifier: Apache-2.0
//
// `commit --change`: instructions that change no file, carried out on an image's config as a Dockerfile on that image would.

public import Basics
internal import DockerfileSyntax
public import OCIFormats

extension ImageConfig {
    /// The config after these instructions, in their order.
    /// - Throws: for one that can't be understood, or would change files.
    public func applying(_ changes: [String]) throws(Failure) -> ImageConfig {
        if changes.isEmpty { return self }
        var state = StageState(self, LayerStack())
        for text in changes {
            let doing = "cannot apply --change \(text)"
            guard let instruction = try Dockerfile.parseInstruction(text, path: "--change") else {
                throw Failure(doing, cause: "it is not one instruction")
            }
            let current = state
            let words = Substitution(escape: "\\") { current.lookUp($0) }
            switch instruction.action {
            case .arg, .copy, .add, .run, .maintainer:
                throw Failure(
                    doing, cause: "it is none of those that only describe the image",
                    advice: "such as CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, USER, VOLUME or WORKDIR")
            case .workdir(let word): state.config.workingDir = state.absolute(try words.expand(word))
            default: try state.apply(instruction.action, words)
            }
        }
        var changed = self
        changed.config = state.config
        changed.config?.env = state.environment.list
        return changed
    }
}
