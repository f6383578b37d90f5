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
    /// `--profile`; COMPOSE_PROFILES counts too.
    public var profiles: [String] = []
    /// The client's environment.
    public var environment: [String: String]
    /// Absolute; where the command was given.
    public var workingDirectory: String
    /// Services named on the command line: their profiles count as switched on.
    public var services: [String] = []

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

    public init(
        read: @escaping (_ path: String) throws(Failure) -> [UInt8]?,
        exists: @escaping (_ path: String) -> Bool
    ) {
        self.read = read
        self.exists = exists
    }
}

/// What was loaded, and what is worth saying about it.
public struct LoadedProject: Sendable {
    public var project: Project
    /// Nothing that stops: variables that are not set, obsolete attributes. Print them as warnings.
    public var warnings: [Failure]
    /// The client's environment with the environment files: where `environment:` of configs and secrets looks.
    public var environment: [String: String]
}
