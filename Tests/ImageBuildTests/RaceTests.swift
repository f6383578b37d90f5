// SPDX-License-Identifier: Apache-2.0

import Basics
import CLinux
import ImageBuild
import Kernel
import Synchronization
import Testing

@Suite("builds whose files change meanwhile")
struct RaceTests {
    @Test(
        "a context that changes while it is copied gives what was in it, or an error; never what a link leads to, and no wait",
        .enabled(if: isRoot, "needs root"))
    func flippingContext() throws {
        let sandbox = try BuildSandbox("d/x = mine\nf = mine\nsome/more = mine")
        let (context, stock) = (sandbox.context, "\(sandbox.path)/stock")
        let victim = "\(sandbox.path)/victim"
        for directory in [stock, victim] { try ensureDirectory(directory) }
        try writeFile("\(victim)/x", "of the host".utf8)
        #expect(symlink(victim, "\(stock)/d") == 0 && symlink("\(victim)/x", "\(stock)/link") == 0)
        #expect(mkfifo("\(stock)/pipe", 0o600) == 0)
        let flips = Atomic<Int>(0)
        let built = Atomic<Int>(0)
        let isOver = Atomic<Bool>(false)
        runOnThreads(2) { number in
            if number == 1 {
                // RENAME_EXCHANGE: a name is never missing.
                while !isOver.load(ordering: .relaxed) {
                    for (name, other) in [("d", "d"), ("f", "link"), ("f", "pipe")] {
                        _ = linux_renameat2(
                            currentDirectory, "\(context)/\(name)", currentDirectory, "\(stock)/\(other)", 2)
                    }
                    flips.add(1, ordering: .relaxed)
                }
                return
            }
            while flips.load(ordering: .relaxed) < 2000 || built.load(ordering: .relaxed) == 0 {
                for line in ["COPY . /c", "COPY d /c", "COPY f /c/f", "ADD f d some /c/"] {
                    let failure = failing {
                        _ = try sandbox.build("FROM scratch\n\(line)") { $0.noCache = true }
                        built.add(1, ordering: .relaxed)
                        #expect(try !sandbox.tree().contains("of the host"))
                    }
                    #expect(failure == nil || failure?.cause?.isEmpty == false)
                }
            }
            isOver.store(true, ordering: .relaxed)
        }
        #expect(try readText("\(victim)/x") == "of the host" && directoryEntries(victim) == ["x"])
        try sandbox.expectNothingLeft()
    }
}
