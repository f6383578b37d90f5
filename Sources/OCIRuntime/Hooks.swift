// SPDX-License-Identifier: Apache-2.0
//
// Hooks that run in the runtime's own namespaces: prestart, createRuntime, poststart, poststop (config.md, "POSIX-platform
// Hooks"). The state is their input; a timeout kills.

internal import Basics
internal import CLinux
internal import Kernel
internal import LaunchPlanning
internal import OCIFormats

/// Poststop hooks: one that fails is told, and those after it run all the same (runtime.md, "Lifecycle", step 13).
func runPoststopHooks(_ hooks: [RuntimeConfig.Hook], state: [UInt8], warn: (String) -> Void) {
    for hook in hooks {
        do throws(Failure) { try runHooks([hook], "poststop", state: state) } catch {
            warn("\(error.doing): \(error.cause ?? "")")
        }
    }
}

/// Runs them in order.
/// - Throws: for the first that fails; those after it don't run.
func runHooks(_ hooks: [RuntimeConfig.Hook], _ kind: String, state: [UInt8]) throws(Failure) {
    if hooks.isEmpty { return }
    let file = try stateFile(state)
    for hook in hooks {
        let doing = "running \(kind) hook \(hook.path) failed"
        _ = try naming(doing) { () throws(SyscallError) in
            try retrying("lseek") { lseek(file.raw, 0, SEEK_SET) }
        }
        let inherited = hook.environment == nil ? processEnvironment().map { "\($0.key)=\($0.value)" } : []
        let child = try BundleChild(hookProgram(hook, inherited: inherited), descriptors: [file.raw])
        let ended = try naming(doing) { () throws(SyscallError) in
            try waitReadable([child.pidfd.raw], atMost: hook.timeLimitSeconds.map { .seconds($0) })[0]
        }
        if !ended {
            child.killAndReap()
            throw Failure(doing, cause: "it ran longer than its timeout of \(hook.timeout ?? 0) s")
        }
        do throws(Failure) { _ = try child.await(nil) } catch {
            child.killAndReap()
            throw Failure(doing, cause: error.cause)
        }
        let code = try child.wait()
        if code != 0 {
            throw Failure(doing, cause: hookFailure(code: code))
        }
    }
}

/// The state as a file to be read again by each hook.
func stateFile(_ bytes: [UInt8]) throws(Failure) -> SharedFD {
    try naming("cannot hand the state to hooks") { () throws(SyscallError) in
        let file = SharedFD(
            OwnedFD(taking: try retrying("memfd_create") { linux_memfd_create("state", 1) }))  // MFD_CLOEXEC
        try writeAll(file.raw, bytes)
        return file
    }
}
