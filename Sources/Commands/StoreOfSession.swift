// SPDX-License-Identifier: Apache-2.0

internal import Archives
internal import Basics
internal import Images
internal import Kernel
internal import Registry

extension Session {
    /// The image store with the user's limits: COVEY_LAYER_BYTES, _ENTRIES, _RATIO, _WINDOW.
    func imageStore() throws(Failure) -> ImageStore {
        var store = ImageStore(root: root)
        store.mayWrite = !arguments.has(.dryRun)
        if let bytes = try positive("COVEY_LAYER_BYTES") { store.limits.bytes = bytes }
        if let entries = try positive("COVEY_LAYER_ENTRIES") { store.limits.entries = Int(entries) }
        if let ratio = try positive("COVEY_LAYER_RATIO") { store.limits.ratio = ratio }
        if let window = try positive("COVEY_LAYER_WINDOW") { store.limits.window = window }
        let (environment, plain, errors) = (invocation.environment, store, self.errors)
        store.notice = { errors.line("warning: \($0)") }
        store.mend = { (reference, digest) throws(Failure) in
            let source = try RegistryName(reference).pinned(to: digest).text
            _ = try RegistryAccess(environment: environment).pull(
                source, as: reference, into: plain, time: realtimeNanoseconds() / 1_000_000_000
            ) { _ in }
        }
        return store
    }

    /// A limit that the user moves by a variable; nil leaves it where it is.
    func positive(_ name: String) throws(Failure) -> Int64? {
        guard let text = invocation.variable(name) else { return nil }
        guard let number = Int64(text), number > 0 else {
            throw Failure(
                "cannot understand \(name)=\(text)", cause: "it is no whole number above 0",
                advice: "leave it out for the usual limit")
        }
        return number
    }
}
