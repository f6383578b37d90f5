// SPDX-License-Identifier: Apache-2.0
//
// The entry libFuzzer calls: bytes become a Dockerfile, whose words are expanded and whose mounts and patterns are read,
// or an ignore file, when they begin with a NUL. `Tests/fuzz/dockerfile` builds and runs this.

import Basics
import DockerfileSyntax

@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let input = Array(UnsafeBufferPointer(start: start, count: count))
    do throws(Failure) {
        if input.first == 0 {
            let patterns = try IgnorePatterns(parsing: Array(input.dropFirst()), path: ".dockerignore")
            for path in ["a", "a/b/c.txt", ".git/x", "ü/ /*"] {
                _ = patterns.ignores(path)
                _ = patterns.mayKeepSomething(below: path)
            }
            return 0
        }
        let file = try Dockerfile.parse(input, path: "Dockerfile")
        for warning in file.warnings { precondition(!warning.text.isEmpty && warning.location.line > 0) }
        var words = Substitution(escape: file.escape) { $0.count % 2 == 0 ? "value of \($0) /x" : nil }
        words.undefined = { precondition(!$0.isEmpty) }
        for instruction in file.globalArguments + file.stages.flatMap(\.instructions) {
            try tryOut(instruction, words)
        }
    } catch {
        // Messages cut lines and point into them: making one is part of the trial.
        precondition(!error.description.isEmpty)
    }
    return 0
}

private func tryOut(_ instruction: Instruction, _ words: Substitution) throws(Failure) {
    precondition(instruction.location.line > 0 && !instruction.text.isEmpty)
    switch instruction.action {
    case .copy(let copy), .add(let copy):
        for word in copy.sources + [copy.destination] { _ = try words.expand(word) }
        for file in copy.files { _ = try words.expandContent(Word(file.content, at: file.location)) }
        _ = try IgnorePatterns(excluding: copy.excludes)
    case .env(let values), .label(let values):
        for each in values { _ = try words.expand(each.value) }
    case .expose(let all): for word in all { _ = try words.expandAndSplit(word) }
    case .run(let run):
        for mount in run.mounts {
            _ = try mount.settled { (word: Word) throws(Failure) -> String in try words.expand(word) }
        }
    case .onBuild(let text):
        // What was accepted as a trigger is one when it is read again.
        _ = try Dockerfile.parseTrigger(text, of: "image")
    default: break
    }
}
