// SPDX-License-Identifier: Apache-2.0

public import Archives
public import Basics
public import Kernel
public import OCIFormats

/// Layers over each other, as an image or a step of a build has them.
public struct LayerStack: Hashable, Sendable {
    /// Digests of the uncompressed layers, lowest first.
    public var diffIDs: [Digest]
    /// The unpacked directories, topmost first, no path twice.
    public var lowers: [String]

    public init(diffIDs: [Digest] = [], lowers: [String] = []) {
        self.diffIDs = diffIDs
        self.lowers = lowers
    }
}

/// An image a build begins with or copies from.
public struct BaseImage: Sendable {
    public var reference: String
    public var layers: LayerStack
    /// nil for a root file system that is used in place, which can be copied from and not built on.
    public var config: ImageConfig?

    public init(reference: String, layers: LayerStack, config: ImageConfig?) {
        self.reference = reference
        self.layers = layers
        self.config = config
    }
}

/// A layer of a build cache that is wanted here.
public struct CachedLayer {
    /// Diff ids of what is beneath it.
    public var below: [Digest]
    public var blob: Descriptor
    public var diffID: Digest
    /// The step's.
    public var key: Digest
    /// Its bytes; called on any thread.
    public var open: () throws(Failure) -> any ByteSource
}

/// What a build needs of the image store.
public struct BuildStore {
    /// The state directory; the build's own cache is `buildcache/` in it.
    public var root: String
    /// What a tar that `ADD` unpacks may grow to.
    public var limits: LayerLimits
    public var resolve: (_ reference: String) throws(Failure) -> BaseImage
    /// The stack that was kept under a key; nil when there is none or a layer of it is gone.
    public var recall: (_ key: Digest) -> LayerStack?
    /// Makes a directory, an overlay's upper, the topmost layer and keeps the stack under the key. The directory
    /// may be taken away.
    public var keep: (_ stack: LayerStack, _ upper: String, _ key: Digest) throws(Failure) -> LayerStack
    /// Fetches layers, several at once, and keeps each on top of those beneath it under its key, as `keep` does.
    public var take: (_ layers: [CachedLayer]) throws(Failure) -> Void
    /// Layers that are all here as a stack.
    public var assemble: (_ diffIDs: [Digest]) throws(Failure) -> LayerStack
    /// The topmost layer of what was kept under a key; nil when it is gone.
    public var layer: (_ key: Digest) throws(Failure) -> Descriptor?
    public var open: (Descriptor) throws(Failure) -> SharedFD
    /// Asks the registry for what an image is now.
    public var refresh: (_ reference: String) throws(Failure) -> Void
    /// Layers of the one below those of the other, as one stack.
    public var join: (_ below: LayerStack, _ above: LayerStack) throws(Failure) -> LayerStack
    /// Makes an image of a stack and gives it names; the result is the image's id. Costs little when all is there.
    public var commit:
        (_ stack: LayerStack, _ config: ImageConfig, _ tags: [String]) throws(Failure) -> Digest

    public init(
        root: String, limits: LayerLimits, resolve: @escaping (String) throws(Failure) -> BaseImage,
        recall: @escaping (Digest) -> LayerStack?,
        keep: @escaping (LayerStack, String, Digest) throws(Failure) -> LayerStack,
        take: @escaping ([CachedLayer]) throws(Failure) -> Void,
        assemble: @escaping ([Digest]) throws(Failure) -> LayerStack,
        layer: @escaping (Digest) throws(Failure) -> Descriptor?,
        open: @escaping (Descriptor) throws(Failure) -> SharedFD,
        refresh: @escaping (String) throws(Failure) -> Void,
        join: @escaping (LayerStack, LayerStack) throws(Failure) -> LayerStack,
        commit: @escaping (LayerStack, ImageConfig, [String]) throws(Failure) -> Digest
    ) {
        self.root = root
        self.limits = limits
        self.resolve = resolve
        self.recall = recall
        self.keep = keep
        self.take = take
        self.assemble = assemble
        self.layer = layer
        self.open = open
        self.refresh = refresh
        self.join = join
        self.commit = commit
    }
}
