// SPDX-License-Identifier: Apache-2.0

import Basics
import DockerfileSyntax
import Testing

struct Golden: Sendable, CustomTestStringConvertible {
    var text: String
    var expected: String
    init(_ text: String, _ expected: String) {
        self.text = text
        self.expected = expected
    }
    var testDescription: String { text.split(separator: "\n").joined(separator: " ⏎ ") }
}

private func parse(_ text: String) throws -> Dockerfile {
    try Dockerfile.parse(Array(text.utf8), path: "Dockerfile")
}

@Test(
    "a Dockerfile parses to its instructions",
    arguments: [
        Golden("FROM scratch", "stage 0 scratch"),
        Golden("from alpine:3.20 as build", "stage 0 alpine:3.20 as build"),
        Golden("FROM --platform=$TARGETOS/amd64 alpine AS b", "stage 0 alpine as b on $TARGETOS/amd64"),
        Golden("FROM a AS x\nFROM x\n", "stage 0 a as x\nstage 1 x"),
        Golden("ARG V=3\nFROM alpine:$V", "global 1:1 arg V=<3>\nstage 0 alpine:$V"),
        Golden("\u{FEFF}FROM scratch", "stage 0 scratch"),
        Golden("FROM scratch\r\nUSER me\r\n", "stage 0 scratch\n2:1 user <me>"),
        Golden("# a comment\n\n  # another\nFROM scratch\n#end", "stage 0 scratch"),
        Golden("# syntax=docker/dockerfile:1\nFROM scratch", "stage 0 scratch"),
        Golden("# check=skip=all\nFROM scratch", "stage 0 scratch"),
        Golden(
            "# escape=`\nFROM scratch\nRUN a `\n  b\\c", "stage 0 scratch\n3:1 run sh <a   b\\c>"),
        // After the first other line a directive is a comment.
        Golden(
            "FROM scratch\n# escape=`\nRUN a \\\nb", "stage 0 scratch\n3:1 run sh <a b>"),
        Golden("# note\n# escape=`\nFROM a\nRUN x \\\ny", "stage 0 a\n4:1 run sh <x y>"),
        Golden("FROM a\nRUN x && \\  \n  y", "stage 0 a\n2:1 run sh <x &&   y>"),
        Golden("FROM a\nRUN x \\\n# between\n  y", "stage 0 a\n2:1 run sh <x   y>"),
        Golden(
            "FROM a\nRUN x \\\n\n  y",
            "stage 0 a\n2:1 run sh <x   y>\nwarning 3:1 NoEmptyContinuation an empty line within a continued instruction"
        ),
        Golden("FROM a\nRUN echo a\\\\\nUSER u", "stage 0 a\n2:1 run sh <echo a\\\\>\n3:1 user <u>"),
        Golden("FROM a\nRUN x \\", "stage 0 a\n2:1 run sh <x>"),
        Golden("FROM a\n  RUN echo '#' # no comment", "stage 0 a\n2:3 run sh <echo '#' # no comment>"),
        Golden("FROM a\nRUN [\"a\", \"b c\"]", "stage 0 a\n2:1 run exec [\"a\", \"b c\"]"),
        Golden("FROM a\nRUN [ -f /x ] && y", "stage 0 a\n2:1 run sh <[ -f /x ] && y>"),
        Golden(
            "FROM a\nRUN [\"\\u0041\\n\", \"\\ud83d\\ude00\"]", "stage 0 a\n2:1 run exec [\"A\\n\", \"😀\"]"),
        Golden(
            "FROM a\nCMD ['a']",
            "stage 0 a\n2:1 cmd sh <['a']>\n"
                + "warning 2:5 JSONArgsRecommended this looks like a JSON list but is none, and is given to the shell"
        ),
        Golden("FROM a\nRUN --network=none x", "stage 0 a\n2:1 run sh <x> offline"),
        Golden("FROM a\nRUN --network=default x", "stage 0 a\n2:1 run sh <x>"),
        Golden("FROM a\nRUN --network=host x", "stage 0 a\n2:1 run sh <x> host"),
        Golden("FROM a\nRUN --security=sandbox x", "stage 0 a\n2:1 run sh <x>"),
        Golden(
            "FROM a\nRUN --mount=type=cache,dst=/c --mount=type=secret,id=s,required x",
            "stage 0 a\n2:1 run sh <x> mount type=cache,dst=/c mount type=secret,id=s,required="),
        Golden("FROM a\nONBUILD RUN x y", "stage 0 a\n2:1 onbuild <RUN x y>"),
        Golden(
            "FROM a\nONBUILD COPY <<E /x\none\nE\nUSER u",
            "stage 0 a\n2:1 onbuild <COPY <<E /x\none\nE>\n5:1 user <u>"),
        Golden(
            "FROM a\nCOPY --parents --exclude=*.o --exclude=t --link=false a b /c/",
            "stage 0 a\n2:1 copy [\"a\", \"b\"] -> </c/> parents exclude=[\"*.o\", \"t\"]"),
        Golden(
            "FROM a\nADD --checksum=sha256:1 --keep-git-dir=true --unpack=false a b",
            "stage 0 a\n2:1 add [\"a\"] -> <b> checksum=sha256:1 git unpack=false"),
        Golden(
            "FROM a\nRUN <<EOF\necho $a\n  b\nEOF\nUSER u",
            "stage 0 a\n2:1 run sh <<<EOF> heredoc EOF <echo $a⏎  b⏎>\n6:1 user <u>"),
        Golden(
            "FROM a\nRUN cat <<-'E' > /x\n\t\tone\n\tE\n",
            "stage 0 a\n2:1 run sh <cat <<-'E' > /x> heredoc E quoted <one⏎>"),
        Golden(
            "FROM a\nCOPY <<one <<\"two\" /d/\n1\none\n# 2\ntwo",
            "stage 0 a\n2:1 copy [] -> </d/> heredoc one <1⏎> heredoc two quoted <# 2⏎>"),
        Golden("FROM a\nRUN echo $((1<<2))", "stage 0 a\n2:1 run sh <echo $((1<<2))>"),
        Golden("FROM a\nCOPY a b /c/", "stage 0 a\n2:1 copy [\"a\", \"b\"] -> </c/>"),
        Golden("FROM a\nCOPY [\"a b\", \"c\"]", "stage 0 a\n2:1 copy [\"a b\"] -> <c>"),
        Golden(
            "FROM a\nCOPY --from=x --chown=1:2 --chmod=755 --link a b",
            "stage 0 a\n2:1 copy [\"a\"] -> <b> from=x chown=1:2 chmod=755 link"),
        Golden("FROM a\nADD x.tar.gz /", "stage 0 a\n2:1 add [\"x.tar.gz\"] -> </>"),
        Golden("FROM a\nADD --chown=u [\"a\", \"/\"]", "stage 0 a\n2:1 add [\"a\"] -> </> chown=u"),
        Golden("FROM a\nENV A=1 B=\"x y\" C=a\\ b", "stage 0 a\n2:1 env <A>=<1> <B>=<\"x y\"> <C>=<a\\ b>"),
        Golden(
            "FROM a\nENV A one  two=3",
            "stage 0 a\n2:1 env <A>=<one  two=3>\nwarning 2:5 LegacyKeyValueFormat `ENV name value` is an old form; write name=value"
        ),
        Golden("FROM a\nENV A=", "stage 0 a\n2:1 env <A>=<>"),
        Golden("FROM a\nENV A=1 \\\n  B=2", "stage 0 a\n2:1 env <A>=<1> <B>=<2>"),
        Golden("FROM a\nARG a b=$c d=\"1 2\"", "stage 0 a\n2:1 arg a b=<$c> d=<\"1 2\">"),
        Golden("FROM a\nLABEL \"x.y\"=\"1\" z=2", "stage 0 a\n2:1 label <\"x.y\">=<\"1\"> <z>=<2>"),
        Golden(
            "FROM a\nLABEL k v w",
            "stage 0 a\n2:1 label <k>=<v w>\nwarning 2:7 LegacyKeyValueFormat `LABEL name value` is an old form; write name=value"
        ),
        Golden("FROM a\nWORKDIR /a b", "stage 0 a\n2:1 workdir </a b>"),
        Golden("FROM a\nUSER 1000:1000", "stage 0 a\n2:1 user <1000:1000>"),
        Golden("FROM a\nEXPOSE 80 443/tcp $P", "stage 0 a\n2:1 expose [\"80\", \"443/tcp\", \"$P\"]"),
        Golden("FROM a\nVOLUME /a /b", "stage 0 a\n2:1 volume [\"/a\", \"/b\"]"),
        Golden("FROM a\nVOLUME [\"/a b\"]", "stage 0 a\n2:1 volume [\"/a b\"]"),
        Golden(
            "FROM a\nCMD echo hi",
            "stage 0 a\n2:1 cmd sh <echo hi>\nwarning 2:1 JSONArgsRecommended a JSON list is better for `CMD`: "
                + "signals reach the program, not a shell"),
        Golden("FROM a\nCMD []", "stage 0 a\n2:1 cmd exec []"),
        Golden("FROM a\nENTRYPOINT [\"/e\"]", "stage 0 a\n2:1 entrypoint exec [\"/e\"]"),
        Golden("FROM a\nSHELL [\"/bin/ash\", \"-c\"]", "stage 0 a\n2:1 shell [\"/bin/ash\", \"-c\"]"),
        Golden("FROM a\nSTOPSIGNAL SIGINT", "stage 0 a\n2:1 stopsignal <SIGINT>"),
        Golden("FROM a\nHEALTHCHECK NONE", "stage 0 a\n2:1 healthcheck none"),
        Golden(
            "FROM a\nHEALTHCHECK --interval=5s --timeout=3s --start-period=1m --start-interval=1s \\\n"
                + " --retries=4 CMD wget -q x",
            "stage 0 a\n2:1 healthcheck sh <wget -q x> interval=5s timeout=3s start-period=1m "
                + "start-interval=1s retries=4"),
        Golden("FROM a\nHEALTHCHECK CMD [\"/t\"]", "stage 0 a\n2:1 healthcheck exec [\"/t\"]"),
        Golden(
            "FROM a\nMAINTAINER Me",
            "stage 0 a\n2:1 maintainer <Me>\nwarning 2:1 MaintainerDeprecated `MAINTAINER` is deprecated; "
                + "write LABEL org.opencontainers.image.authors=…"),
        Golden(
            "FROM a AS x\nFROM b AS x",
            "stage 0 a as x\nstage 1 b as x\nwarning 2:1 DuplicateStageName stage `x` is defined twice; the later one is meant"
        ),
    ])
func parses(_ golden: Golden) throws {
    #expect(outline(try parse(golden.text)) == golden.expected)
}

@Test(
    "what is not the language is an error with its place",
    arguments: [
        Golden("", "Dockerfile has no `FROM`"),
        Golden("# only a comment", "Dockerfile has no `FROM`"),
        Golden("RUN x\nFROM a", "1:1 `RUN` stands before the first `FROM`"),
        Golden("FROM a\nCOPPY a b", "2:1 `COPPY` is not a Dockerfile instruction; did you mean `COPY`?"),
        Golden("FROM a\nxyzzy", "2:1 `xyzzy` is not a Dockerfile instruction"),
        Golden("FROM", "1:1 `FROM` takes one image, or an image, `AS` and a name"),
        Golden("FROM a b", "1:8 `FROM` takes one image, or an image, `AS` and a name"),
        Golden("FROM a is b", "1:8 `is` stands where `AS` is expected"),
        Golden("FROM a AS 1x", "1:11 `1x` cannot name a stage"),
        Golden("FROM --platfrom=x a", "1:6 `FROM` has no flag `--platfrom`; did you mean `--platform`?"),
        Golden("FROM a\nRUN", "2:1 `RUN` needs at least one argument"),
        Golden("FROM a\nRUN --security=insecur y", "2:16 `--security=insecur` is no security of a step"),
        Golden("FROM a\nRUN --device=x y", "2:5 `RUN --device` is not supported"),
        Golden("FROM a\nRUN --network=lan y", "2:15 `--network=lan` is no network of a step"),
        Golden("FROM a\nCOPY --checksum=x a b", "2:6 `COPY` has no flag `--checksum`"),
        Golden("FROM a\nCOPY --link=maybe a b", "2:13 `--link` takes `true` or `false`"),
        Golden(
            "FROM a\nRUN --mount=type=cach,target=/x y",
            "2:18 `cach` is no type of a mount; did you mean `cache`?"),
        Golden("FROM a\nRUN --mount=type=cache y", "2:13 a mount of type cache needs a `target`"),
        Golden(
            "FROM a\nRUN --mount=type=cache,target=/x,sharing=some y",
            "2:42 `sharing` of a mount is `some`"),
        Golden(
            "FROM a\nRUN --mount=type=tmpfs,target=/x,mode=1 y",
            "2:34 a mount of type tmpfs has no option `mode`"),
        Golden("FROM a\nRUN --mount=type=secret,id=x,mode=9 y", "2:35 `mode` of a mount is `9`"),
        Golden("FROM a\nRUN --mount=from=$x,target=/x y", "2:18 `from` of a mount takes no variable"),
        Golden("FROM a\nONBUILD FROM b", "2:9 `FROM` cannot be a trigger of `ONBUILD`"),
        Golden("FROM a\nONBUILD ONBUILD RUN x", "2:9 `ONBUILD` cannot be a trigger of `ONBUILD`"),
        Golden("FROM a\nONBUILD RUM x", "2:9 `RUM` is not a Dockerfile instruction; did you mean `RUN`?"),
        Golden("# check=skp=all\nFROM a", "1:1 the directive `check` has no option `skp`"),
        Golden("FROM a\nADD --from=x a b", "2:5 `ADD` has no flag `--from`"),
        Golden("FROM a\nCOPY --form=x a b", "2:6 `COPY` has no flag `--form`; did you mean `--from`?"),
        Golden("FROM a\nCOPY --from=$x a b", "2:13 `--from` takes no variable"),
        Golden("FROM a\nCOPY --from a b", "2:6 `--from` needs a value"),
        Golden("FROM a\nCOPY --chown=a --chown=b a b", "2:16 `--chown` is given twice"),
        Golden("FROM a\nCOPY a", "2:1 `COPY` needs at least a source and a destination"),
        Golden("FROM a\nRUN <<EOF\nx", "2:5 the heredoc `EOF` never ends"),
        Golden("FROM a\nCOPY x <<EOF\nx\nEOF", "2:8 `COPY` needs a destination after the heredoc"),
        Golden("FROM a\nENV A=1 B", "2:9 `B` has no `=`"),
        Golden("FROM a\nENV A", "2:5 `A` has no `=`"),
        Golden("FROM a\nENV =1", "2:5 `ENV` has no name before `=`"),
        Golden("FROM a\nSHELL bash -c", "2:7 `SHELL` takes a JSON list"),
        Golden("FROM a\nCMD [\"a\", 1]", "2:11 a list may only hold strings in double quotes"),
        Golden("FROM a\nHEALTHCHECK CDM x", "2:13 `CDM` is no health check"),
        Golden("FROM a\nHEALTHCHECK NONE x", "2:13 `HEALTHCHECK NONE` takes nothing else"),
        Golden("FROM a\nHEALTHCHECK --interval=5 CMD x", "2:24 `--interval` is `5`"),
        Golden("FROM a\nHEALTHCHECK --retries=x CMD x", "2:23 `--retries` is `x`; it takes a whole number"),
        Golden("FROM a\nVOLUME []", "2:1 `VOLUME` names an empty path"),
        Golden("# escape=x\nFROM a", "1:1 the escape directive is `x`"),
        Golden("# escape=`\n# escape=`\nFROM a", "2:1 the directive `escape` is given twice"),
        Golden(
            "FROM a\nRUN x \\\n  y \\\n  z\nRNU q",
            "5:1 `RNU` is not a Dockerfile instruction; did you mean `RUN`?"),
        Golden("FROM a\nENV A=1 \\\n  B", "3:3 `B` has no `=`"),
    ])
func refuses(_ golden: Golden) throws {
    let failure = #expect(throws: Failure.self) { try parse(golden.text) }
    guard let failure else { return }
    var text = failure.location.map { "\($0.line):\($0.column) " } ?? ""
    text += failure.doing
    if let advice = failure.advice, advice.hasPrefix("did you mean") { text += "; \(advice)" }
    #expect(text == golden.expected)
}

@Test("an error shows the line with a caret")
func caret() throws {
    let failure = #expect(throws: Failure.self) { try parse("FROM a\n  COPPY x y\n") }
    #expect(
        failure?.description == """
            Dockerfile:2:3: error: `COPPY` is not a Dockerfile instruction
              2 |   COPPY x y
                |   ^
              try:   did you mean `COPY`?
            """)
}

@Test("bytes that are no text are refused with their line", arguments: [[0xFF, 0xFE], [0x00]] as [[UInt8]])
func foreignBytes(_ bytes: [UInt8]) throws {
    let failure = #expect(throws: Failure.self) {
        try Dockerfile.parse(Array("FROM a\nRUN ".utf8) + bytes + Array("\n".utf8), path: "D")
    }
    #expect(failure?.location?.line == 2)
}

@Test(
    "words expand as the shell would",
    arguments: [
        Golden("plain", "plain"), Golden("$A", "one"), Golden("${A}x", "onex"), Golden("$Ax", ""),
        Golden("\"$A b\"", "one b"), Golden("'$A'", "$A"), Golden("\\$A", "$A"), Golden("a\\ b", "a b"),
        Golden("$", "$"), Golden("a$.b", "a$.b"), Golden("${NO:-x}", "x"), Golden("${E:-x}", "x"),
        Golden("${E-x}", ""), Golden("${A:+y}", "y"), Golden("${E:+y}", ""), Golden("${E+y}", "y"),
        Golden("${NO+y}", ""), Golden("${NO:-${A}/$B}", "one/two words"), Golden("${A:?no}", "one"),
        Golden("\"a\\\"b\\c\"", "a\"b\\c"), Golden("$1", ""), Golden("${F#*.}", "tar.gz"),
        Golden("${F##*.}", "gz"), Golden("${F%.*}", "x.tar"), Golden("${F%%.*}", "x"),
        Golden("${F/tar/zip}", "x.zip.gz"), Golden("${F//./_}", "x_tar_gz"), Golden("'a'\"b\"c", "abc"),
    ])
func expands(_ golden: Golden) throws {
    let values = ["A": "one", "B": "two words", "E": "", "F": "x.tar.gz"]
    let place = SourceLocation(file: "D", line: 1, column: 1)
    let result = try Substitution(escape: "\\") { values[$0] }.expand(Word(golden.text, at: place))
    #expect(result == golden.expected)
}

@Test(
    "a malformed substitution is an error",
    arguments: [
        Golden("${A", "1:5 `}` is missing after this"),
        Golden("${}", "1:5 bad substitution: a name must follow `${`"),
        Golden("x'a", "1:6 this single quote is never closed"),
        Golden("\"a", "1:5 this double quote is never closed"),
        Golden("${A!x}", "1:5 `!` is no substitution"), Golden("${N:?gone}", "1:5 `N` has no value"),
        Golden("${N:-a", "1:5 `}` is missing after this"),
    ])
func refusesSubstitution(_ golden: Golden) throws {
    let place = SourceLocation(file: "D", line: 1, column: 5)
    let failure = #expect(throws: Failure.self) {
        try Substitution(escape: "\\") { $0 == "A" ? "1" : nil }.expand(Word(golden.text, at: place))
    }
    #expect(
        failure.map { "\($0.location?.line ?? 0):\($0.location?.column ?? 0) \($0.doing)" } == golden.expected
    )
}

@Test("a word may expand to several")
func splits() throws {
    let place = SourceLocation(file: "D", line: 1, column: 1)
    let substitution = Substitution(escape: "\\") { $0 == "P" ? "80 443" : nil }
    #expect(try substitution.expandAndSplit(Word("$P/tcp", at: place)) == ["80", "443/tcp"])
    #expect(try substitution.expandAndSplit(Word("\"$P\"", at: place)) == ["80 443"])
    #expect(try substitution.expandAndSplit(Word("$NONE", at: place)) == [])
}

@Test(
    "what is rarely meant is told by Docker's rule and with its place",
    arguments: [
        Golden("FROM a as Build\nRUN x", "1:8 FromAsCasing\n1:11 StageNameCasing"),
        Golden("FROM a AS scratch", "1:1 ReservedStageName"),
        Golden("FROM a\nrun x\nRUN y", "2:1 ConsistentInstructionCasing"),
        Golden("from a\nrun x\nRUN y", "3:1 ConsistentInstructionCasing"),
        Golden("ARG V=1\nFROM a:$W", "2:6 UndefinedArgInFrom"),
        Golden("ARG V\nFROM a:$V", "2:6 InvalidDefaultArgInFrom"),
        Golden("ARG V=1\nFROM a:$V\nFROM --platform=$BUILDPLATFORM b", ""),
        Golden("FROM --platform=$TARGETPLATFORM a", "1:17 RedundantTargetPlatform"),
        Golden("FROM --platform=linux/amd64 a", "1:17 FromPlatformFlagConstDisallowed"),
        Golden("FROM a\nCMD [\"x\"]\nCMD [\"y\"]", "2:1 MultipleInstructionsDisallowed"),
        Golden("FROM a\nWORKDIR x", "2:9 WorkdirRelativePath"),
        Golden("FROM a AS b\nWORKDIR /x\nWORKDIR y\nFROM b\nWORKDIR z", ""),
        Golden(
            "FROM a\nENV DB_PASSWORD=x\nARG TOKEN\nARG PUBLIC_KEY",
            "2:5 SecretsUsedInArgOrEnv\n3:5 SecretsUsedInArgOrEnv"),
        Golden("FROM a\nEXPOSE 80/TCP 1.2.3.4:80:80", "2:8 ExposeProtoCasing\n2:15 ExposeInvalidFormat"),
        Golden("FROM a\nSHELL [\"/bin/b\"]\nCMD x", ""),
        Golden("# check=skip=WorkdirRelativePath,Later\nFROM a\nWORKDIR x\nCMD x", "4:1 JSONArgsRecommended"),
        Golden("# check=skip=all;error=true\nFROM a\nWORKDIR x\nCMD x", ""),
        Golden("# of mine\nARG V\n# another\nFROM a AS b\n# x\nARG W", ""),
        Golden(
            "# check=experimental=all\n# of mine\nARG V\n# another\nFROM a AS b\n# W it is\nARG W\n# gone\n\nARG X\n# y\n#\nARG Y\n# z\nRUN x",
            "2:1 InvalidDefinitionDescription\n4:1 InvalidDefinitionDescription"),
    ])
func lints(_ golden: Golden) throws {
    let told = try parse(golden.text).warnings.map {
        "\($0.location.line):\($0.location.column) \($0.rule?.rawValue ?? "-")"
    }
    #expect(told.joined(separator: "\n") == golden.expected)
}
