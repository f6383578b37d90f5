// SPDX-License-Identifier: Apache-2.0
//
// What a builder keeps of its steps: images like others, so that the store knows their layers as used, but by key and under
// names that nobody can give an image. They are not listed, and of more than `mostSteps` the oldest are forgotten.

public import Basics
public import OCIFormats

extension ImageStore {
    /// The image kept under a key; nil when it is gone or damaged.
    public func step(_ key: Digest) throws(Failure) -> StoredImage? {
        try lookUp(ReferenceName(cached: key).text)
    }

    /// Stores an image under a key, as `commit` does under a name.
    public func keep(
        layers below: [Digest], adding layer: NewLayer?, config: ImageConfig, asStep key: Digest
    ) throws(Failure) -> StoredImage {
        try commit(below, layer, config, ReferenceName(cached: key))
    }

    /// Throws for what no image can be called: to be said before the work is begun that would end in that name.
    public static func checkName(_ name: String) throws(Failure) { _ = try ReferenceName(given: name) }
}
