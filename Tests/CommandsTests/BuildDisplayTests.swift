// SPDX-License-Identifier: Apache-2.0
//
// A build as a terminal shows it, frame by frame, with a clock that is told.

import Basics
import DockerfileSyntax
import ImageBuild
import Kernel
import Testing

@testable import Commands

private final class Clock {
    var now: Int64 = 0
}

/// The screen after each drawing: what the codes for going up and clearing leave of it.
private func frames(_ steps: (Progress, BuildDisplay, (Int64) -> Void) -> Void) throws -> [String] {
    try withScratch { directory in
        let path = "\(directory)/output"
        try writeFile(path, [])
        let file = try openFile(path, flags: 1)
        let clock = Clock()
        let progress = Progress(
            "build", mode: .tty, output: Output(fd: file.raw, colours: false, isTerminal: false),
            clock: { clock.now })
        steps(progress, BuildDisplay("app", progress)) { clock.now = $0 * 1_000_000 }
        progress.end()
        var screen: [Substring] = []
        var frames: [String] = []
        // CPL n, ED (ECMA-48, 8.3.12 and 8.3.39).
        for part in try readText(path).split(separator: "\u{1b}[", omittingEmptySubsequences: false) {
            var text = part
            if part.hasPrefix("J") {
                text = part.dropFirst()
            } else if let up = part.firstIndex(of: "F"), let count = Int(part[..<up]) {
                screen.removeLast(min(count, screen.count))
                continue
            }
            screen += text.split(separator: "\n", omittingEmptySubsequences: true)
            if !text.isEmpty { frames.append(screen.joined(separator: "\n")) }
        }
        return frames
    }
}

@Suite("a build on a terminal")
struct BuildDisplayTests {
    @Test("steps are lines below their image, with their times; output stands above")
    func tree() throws {
        let frames = try frames { progress, display, at in
            let image = progress.begin("Image", "app:1", doing: "Building", done: "Built")
            display.show(.began(number: 1, total: 3, stage: "stage 0", text: "FROM bb:1"))
            display.show(.ended(number: 1, .done(.zero)))
            display.show(.began(number: 2, total: 3, stage: "stage 0", text: "COPY a /\nmore"))
            display.show(.ended(number: 2, .cached))
            at(200)
            display.show(.began(number: 3, total: 3, stage: "stage 0", text: "RUN make"))
            at(700)
            display.show(.output(number: 3, line: "cc a.c"))
            at(1200)
            display.show(.alive)
            at(1700)
            display.show(.ended(number: 3, .done(.milliseconds(1500))))
            progress.update(image, .done)
        }
        #expect(
            frames == [
                """
                [+] build 2/4
                 ⠹ Image app:1                    Building  0.2s
                 ✔   [app stage 0 1/3] FROM bb:1            0.0s
                 ✔   [app stage 0 2/3] COPY a /   CACHED    0.0s
                 ⠋   [app stage 0 3/3] RUN make             0.0s
                """,
                """
                [app stage 0 3/3] cc a.c
                [+] build 2/4
                 ⠇ Image app:1                    Building  0.7s
                 ✔   [app stage 0 1/3] FROM bb:1            0.0s
                 ✔   [app stage 0 2/3] COPY a /   CACHED    0.0s
                 ⠦   [app stage 0 3/3] RUN make             0.5s
                """,
                """
                [app stage 0 3/3] cc a.c
                [+] build 2/4
                 ⠴ Image app:1                    Building  1.2s
                 ✔   [app stage 0 1/3] FROM bb:1            0.0s
                 ✔   [app stage 0 2/3] COPY a /   CACHED    0.0s
                 ⠹   [app stage 0 3/3] RUN make             1.0s
                """,
                """
                [app stage 0 3/3] cc a.c
                [+] build 3/4
                 ⠙ Image app:1                    Building  1.7s
                 ✔   [app stage 0 1/3] FROM bb:1            0.0s
                 ✔   [app stage 0 2/3] COPY a /   CACHED    0.0s
                 ✔   [app stage 0 3/3] RUN make             1.5s
                """,
                """
                [app stage 0 3/3] cc a.c
                [+] build 4/4
                 ✔ Image app:1                    Built   1.7s
                 ✔   [app stage 0 1/3] FROM bb:1          0.0s
                 ✔   [app stage 0 2/3] COPY a /   CACHED  0.0s
                 ✔   [app stage 0 3/3] RUN make           1.5s
                """,
            ])
    }

    @Test("what was under way when a build failed is told as failed")
    func failure() throws {
        let last = try frames { progress, display, at in
            let image = progress.begin("Image", "app:1", doing: "Building", done: "Built")
            display.show(.began(number: 1, total: 2, stage: "a", text: "FROM bb:1"))
            display.show(.ended(number: 1, .done(.zero)))
            display.show(.began(number: 2, total: 2, stage: "a", text: "RUN false"))
            at(300)
            display.fail()
            progress.update(image, .failed)
        }.last
        #expect(
            last == """
                [+] build 1/3
                 ✘ Image app:1              Error  0.3s
                 ✔   [app a 1/2] FROM bb:1         0.0s
                 ✘   [app a 2/2] RUN false  Error  0.3s
                """)
    }
}
