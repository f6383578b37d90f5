// SPDX-License-Identifier: Apache-2.0
//
// ImageBuild: Dockerfile → image. Decides which stages are needed, which steps are known already, and what each
// of the others changes; files are selected and copied here, programs run through a `StepRunner`, layers and
// images are kept by the image store. It reads no Compose file and prints nothing.
//
// This file: the values that go in and come out.

public import Basics
public import DockerfileSyntax

/// What to build and from what.
public struct BuildRequest {
    /// Absolute path of the context directory; nil for a Dockerfile that copies nothing from one.
    public var context: String?
    /// The Dockerfile's bytes.
    public var dockerfile: [UInt8]
    /// What messages call the Dockerfile, and where `<path>.dockerignore` is looked for when it is absolute.
    public var dockerfilePath: String
    /// Values for `ARG`s.
    public var arguments: [String: String]
    /// The stage to build, by name or number; nil is the last.
    public var target: String?
    public var namedContexts: [String: NamedContext]
    /// References the image gets.
    public var tags: [String]
    /// Run every step even where its result is known.
    public var noCache: Bool
    /// Labels over those of the Dockerfile.
    public var labels: [String: String]
    /// Stages every step of which is run, by name or number.
    public var noCacheStages: Set<String> = []
    /// What `RUN --mount=type=secret` may have, by id.
    public var secrets: [String: BuildSecret] = [:]
    /// Sockets of agents for `RUN --mount=type=ssh`, by id.
    public var agents: [String: String] = [:]
    /// The network of steps that ask for none of their own.
    public var network = StepNetwork.outbound
    /// Further lines of steps' /etc/hosts: name and address.
    public var extraHosts: [(name: String, address: String)] = []
    public var limits = StepLimits()
    /// How many stages are worked at at once; nil: as many as there are processors, two at least.
    public var parallel: Int?
    /// Steps that ask for it have all the rights there are; else they are refused.
    public var allowsInsecure = false
    /// Ask registries for what images are now, also for those that are here.
    public var pulls = false
    /// Images of the store that were built for this build and are asked for nowhere.
    public var builtImages: Set<String> = []
    /// Further places steps may be known at; earlier ones go before.
    public var cacheSources: [CacheSource] = []
    public var cacheTargets: [CacheTarget] = []
    /// Look at the Dockerfile and do nothing.
    public var checksOnly = false

    public init(context: String?, dockerfile: [UInt8], dockerfilePath: String = "Dockerfile") {
        self.context = context
        self.dockerfile = dockerfile
        self.dockerfilePath = dockerfilePath
        arguments = [:]
        namedContexts = [:]
        tags = []
        noCache = false
        labels = [:]
    }
}

/// A secret with the mode and owner it has where a mount says none.
public struct BuildSecret: Hashable, Sendable {
    public var content: [UInt8]
    public var mode: UInt32 = 0o400
    public var uid: UInt32 = 0
    public var gid: UInt32 = 0
    public init(_ content: [UInt8]) { self.content = content }
}

/// One of `additional_contexts`.
public enum NamedContext: Hashable, Sendable {
    /// An absolute path. Only what is named in it is read.
    case directory(String)
    /// A reference the image store resolves.
    case image(String)

    /// Reads Compose's spelling: an absolute path, `docker-image://REF`, or a transport reference such as `oci:PATH`.
    public init(name: String, text: String) throws(Failure) {
        let doing = "cannot use `\(text)` as the additional context `\(name)`"
        if text.hasPrefix("/") {
            self = .directory(text)
        } else if text.hasPrefix("docker-image://") {
            self = .image(String(text.dropFirst("docker-image://".count)))
        } else if text.hasPrefix("oci-layout://") {
            self = .image("oci:" + text.dropFirst("oci-layout://".count))
        } else if text.hasPrefix("service:") {
            throw Failure(
                doing, cause: "contexts built by other services are not supported",
                advice: "build that service first and name its image: docker-image://IMAGE")
        } else if text.contains("://") || text.hasPrefix("git@") {
            throw Failure(
                doing, cause: "it is no git repository, and other remote contexts are not supported",
                advice: "fetch it first and name the directory")
        } else if text.contains(":") {
            self = .image(text)
        } else {
            throw Failure(doing, cause: "it is neither an absolute path nor an image")
        }
    }
}

/// What became of a build.
public struct BuiltImage: Hashable, Sendable {
    /// Digest of the image's config.
    public var id: Digest
    public var tags: [String]
    /// Steps that had to be done, and steps whose result was known.
    public var stepsRun: Int
    public var stepsCached: Int
}

/// What a build tells of itself while it goes on.
public enum BuildEvent: Sendable {
    public enum Outcome: Sendable, Equatable {
        /// The result was known.
        case cached
        case done(Duration)
    }
    /// `number` counts from 1 to `total` over all stages that are needed; steps of several stages may go on at once.
    case began(number: Int, total: Int, stage: String, text: String)
    case output(number: Int, line: String)
    case ended(number: Int, Outcome)
    case warning(Warning)
    /// About the build as a whole.
    case notice(String)
    /// A step goes on without a word: time to move what shows that.
    case alive
}
