// SPDX-License-Identifier: Apache-2.0
//
// The entry libFuzzer calls: bytes become an OCI config.json, a `process` or `resources` of one. What is refused names a
// field or says that it is no JSON; what is taken stays within what it promises. `Tests/fuzz/config` builds and runs this.

import JSONFormat
import OCIFormats

/// What whoever takes a configuration relies on without looking again.
private func examine(_ process: RuntimeConfig.Process) {
    precondition(!process.workingDirectory.utf8.contains(0))
    for text in process.arguments + process.environment { precondition(!text.utf8.contains(0)) }
    for limit in process.rlimits { precondition(limit.type.hasPrefix("RLIMIT_")) }
}

private func examine(_ config: RuntimeConfig) {
    if let process = config.process { examine(process) }
    for mount in config.mounts {
        precondition(!mount.destination.isEmpty && !mount.destination.utf8.contains(0))
    }
    let hooks = config.hooks
    for hook in hooks.prestart + hooks.createRuntime + hooks.createContainer + hooks.startContainer
        + hooks.poststart + hooks.poststop
    {
        precondition(hook.path.hasPrefix("/"))
        for text in hook.arguments + (hook.environment ?? []) { precondition(!text.utf8.contains(0)) }
    }
    for device in config.linux.devices { precondition(!device.path.utf8.contains(0)) }
    for setting in config.linux.sysctl {
        precondition(!setting.name.utf8.contains(0) && !setting.value.utf8.contains(0))
    }
    for path in config.linux.maskedPaths + config.linux.readonlyPaths { precondition(!path.utf8.contains(0)) }
}

@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let input = Array(UnsafeBufferPointer(start: start, count: count))
    do throws(RuntimeConfigError) { examine(try RuntimeConfig.read(input)) } catch {
        precondition(!error.description.isEmpty)
    }
    do throws(RuntimeConfigError) { examine(try RuntimeConfig.readProcess(input)) } catch {
        precondition(!error.description.isEmpty)
    }
    do throws(RuntimeConfigError) { _ = try RuntimeConfig.readResources(input) } catch {
        precondition(!error.description.isEmpty)
    }
    // What is read is written, and read again writes the same.
    if let tree = try? parseJSON(input) {
        var (text, second): ([UInt8], [UInt8]) = ([], [])
        tree.write(to: &text)
        guard let again = try? parseJSON(text) else {
            fatalError("does not read again: \(String(decoding: text, as: UTF8.self))")
        }
        again.write(to: &second)
        if text != second { fatalError("writes otherwise: \(String(decoding: text, as: UTF8.self))") }
    }
    return 0
}
