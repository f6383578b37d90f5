// SPDX-License-Identifier: Apache-2.0

import Kernel

/// Runs a test in a directory of its own, which is gone afterwards.
func withScratch<Result>(_ body: (String) throws -> Result) throws -> Result {
    let path = "/tmp/covey-test-\(processID())-\(UInt64.random(in: .min ... .max))"
    try ensureDirectory(path)
    defer { try? removeTree(path) }
    return try body(path)
}

private func processID() -> String { (try? readLink("/proc/self")) ?? "0" }
