// SPDX-License-Identifier: Apache-2.0
//
// The file as stages and instructions. Which instruction may stand where is decided here; how each reads its
// arguments is in InstructionParser.

public import Basics

extension Dockerfile {
    /// The instructions' names, for suggestions.
    static let instructionNames = [
        "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL",
        "MAINTAINER", "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
    ]

    /// Parses a Dockerfile; `path` is what messages call it.
    ///
    /// Fails with the place and a caret for whatever is not the language, and by name for what is not supported.
    public static func parse(_ bytes: [UInt8], path: String) throws(Failure) -> Dockerfile {
        let source = SourceText(bytes, path: path)
        try refuseForeignBytes(source)
        var reader = LineReader(source)
        var parser = InstructionParser(source: source)
        var file = Dockerfile(escape: "\\", globalArguments: [], stages: [], warnings: [])
        var undescribed: [Warning?] = []
        while let line = try reader.nextInstruction() {
            // Reading an instruction may take heredocs from the reader, and no comment.
            let above = reader
            switch try parser.parse(line, &reader) {
            case .stage(var stage):
                stage.index = file.stages.count
                undescribed.append(
                    above.checkDescription(of: stage.name.map { [$0] } ?? [], "this stage"))
                file.stages.append(stage)
            case .instruction(let instruction):
                if case .arg(let all) = instruction.action {
                    undescribed.append(above.checkDescription(of: all.map(\.name), "this argument"))
                }
                if file.stages.isEmpty {
                    guard case .arg = instruction.action else {
                        throw Failure(
                            "`\(instruction.text.prefix { $0 != " " })` stands before the first `FROM`",
                            cause: "only `ARG` may come before a stage begins",
                            advice: "begin with `FROM image` or `FROM scratch`", at: instruction.location)
                    }
                    file.globalArguments.append(instruction)
                } else {
                    file.stages[file.stages.count - 1].instructions.append(instruction)
                }
            }
        }
        guard !file.stages.isEmpty else {
            throw Failure(
                "\(path) has no `FROM`", cause: "the file holds no stage",
                advice: "begin with `FROM image` or `FROM scratch`")
        }
        file.escape = Unicode.Scalar(reader.escape)
        file.check = reader.check
        file.warnings = (reader.warnings + parser.warnings + undescribed.compactMap { $0 } + file.lint())
            .filter { !file.check.skips($0.rule) }
            .sorted { ($0.location.line, $0.location.column) < ($1.location.line, $1.location.column) }
        return file
    }

    /// Parses one instruction that an image's `ONBUILD` keeps.
    public static func parseTrigger(_ text: String, of image: String) throws(Failure) -> Instruction {
        guard let instruction = try parseInstruction(text, path: "ONBUILD of \(image)") else {
            throw Failure(
                "cannot build on `\(image)`", cause: "its ONBUILD trigger `\(text)` is no instruction")
        }
        if case .onBuild = instruction.action {
            throw Failure(
                "cannot build on `\(image)`", cause: "its ONBUILD trigger `\(text)` is a trigger again")
        }
        return instruction
    }

    /// Parses a text that is one instruction; nil when it is none, or several, or begins a stage.
    public static func parseInstruction(_ text: String, path: String) throws(Failure) -> Instruction? {
        let source = SourceText(Array(text.utf8), path: path)
        try refuseForeignBytes(source)
        var reader = LineReader(source)
        var parser = InstructionParser(source: source)
        guard let line = try reader.nextInstruction(),
            case .instruction(let instruction) = try parser.parse(line, &reader),
            try reader.nextInstruction() == nil
        else { return nil }
        return instruction
    }

    private static func refuseForeignBytes(_ source: SourceText) throws(Failure) {
        if !source.bytes.contains(0), String(validating: source.bytes, as: UTF8.self) != nil { return }
        for (number, range) in source.lines.enumerated() {
            let line = source.bytes[range]
            if line.contains(0) || String(validating: line, as: UTF8.self) == nil {
                throw Failure(
                    "\(source.path) is not a text file", cause: "line \(number + 1) is not UTF-8",
                    at: source.location(line: number, offset: 0))
            }
        }
    }
}
