// SPDX-License-Identifier: Apache-2.0

public import Basics
public import ComposeModel

/// What the command line and its surroundings say about which project to load.
public struct LoadOptions: Sendable {
    /// `-f`, in order; empty for COMPOSE_FILE or what is found. `-` is handed to `FileAccess` as it is.
    public var files: [String] = []
    /// `-p`.
    public var projectName: String?
    /// `--project-directory`.
    public var projectDirectory: String?
    /// `--env-file`, in order; empty for COMPOSE_ENV_FILES or `.env`.
    public var envFiles: [String] = []
    /// `--profile`; empty for COMPOSE_PROFILES.
    public var profiles: [String] = []
    /// The client's environment.
    public var environment: [String: String]
    /// Absolute; where the command was given.
    public var workingDirectory: String
    /// Services named on the command line: their profiles count as switched on.
    public var services: [String] = []
    /// Whether relative paths become absolute.
    public var resolvesPaths = true
    /// Whether what a file leaves unsaid is put in: the default network, real names, implied dependencies.
    public var normalizes = true
    /// Whether networks, volumes, configs and secrets stay in that no service uses.
    public var keepsUnused = false
    /// Between the parts of names that are made of the project's; `_` is Compose 1's.
    public var nameSeparator = "-"
    /// Whether what is named must exist, and nothing may contradict itself.
    public var checksConsistency = true
    /// Whether `env_file` and `label_file` are read and variables without a value looked up.
    public var resolvesEnvironment = true

    public init(workingDirectory: String, environment: [String: String] = [:]) {
        self.workingDirectory = workingDirectory
        self.environment = environment
    }
}

/// How the loader reaches files; it does no input or output itself.
public struct FileAccess {
    /// The bytes of a file by absolute path, nil when there is none.
    public var read: (_ path: String) throws(Failure) -> [UInt8]?
    public var exists: (_ path: String) -> Bool
    public var isDirectory: (_ path: String) -> Bool

    public init(
        read: @escaping (_ path: String) throws(Failure) -> [UInt8]?,
        exists: @escaping (_ path: String) -> Bool,
        isDirectory: @escaping (_ path: String) -> Bool
    ) {
        self.read = read
        self.exists = exists
        self.isDirectory = isDirectory
    }

    /// The path of the `.env` that is read unless others are named. A directory of that name is something else, a Python
    /// environment for one, and nobody's variables (compose-go, cli/options.go, WithEnvFiles).
    func implicitEnvironment(in directory: String) -> String? {
        let path = joinedPath(directory, ".env")
        return isDirectory(path) ? nil : path
    }
}

/// What was loaded, and what is worth saying about it.
public struct LoadedProject: Sendable {
    public var project: Project
    /// Nothing that stops: variables that are not set, obsolete attributes. Print them as warnings.
    public var warnings: [Failure]
    /// What this host does not honour of it, each by name with its place: whoever runs the project throws them.
    public var refusals: [Failure]
    /// What is accepted and has no effect on one host; print them as warnings when the project is run.
    public var notes: [Failure]
    /// The client's environment with the project's environment files.
    public var environment: [String: String]

    /// - Throws: everything that is not honoured here, when there is something.
    public func checkHonoured() throws(Failure) {
        if let failure = Failure.collect(refusals) { throw failure }
    }
}
