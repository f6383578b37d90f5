// SPDX-License-Identifier: Apache-2.0

/// How much is done side by side at most, as Docker Compose's variable says it (COMPOSE_PARALLEL_LIMIT, or --parallel, which
/// stands for it); nil where the choice is ours.
public func parallelLimit(_ environment: [String: String]) throws(Failure) -> Int? {
    guard let text = environment["COMPOSE_PARALLEL_LIMIT"], !text.isEmpty, text != "-1" else { return nil }
    guard let number = Int(text), number > 0 else {
        throw Failure(
            "cannot do \(text) things at once",
            cause: "--parallel, or COMPOSE_PARALLEL_LIMIT, is no number from 1 on",
            advice: "-1 leaves the choice to covey")
    }
    return number
}
