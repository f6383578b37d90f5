// SPDX-License-Identifier: Apache-2.0
//
// `push`: the images of a project's services that are built here; `image push`: images by name. `login`, `logout`.

internal import Basics
internal import CLinux
internal import ComposeModel
internal import Images
internal import Kernel
internal import Registry

func runPush(_ session: Session) throws(Failure) -> Int32 {
    try transferImages(
        session, "push", forgiving: .ignorePushFailures,
        idle: "nothing to push: no service has both `build` and `image`"
    ) { (_, service, reference, transfer, _) throws(Failure) in
        // As Docker Compose: what is not built here came from where it would go.
        if service.build == nil { return false }
        _ = try transfer.push(reference)
        return true
    }
}

func runImagePush(_ session: Session) throws(Failure) -> Int32 {
    try transferNamed(session, "push") { (reference, transfer) throws(Failure) in
        try transfer.push(reference)
    }
}

func runLogin(_ session: Session) throws(Failure) -> Int32 {
    let arguments = session.arguments
    let host = try registryHost(arguments.operands.first)
    guard let user = arguments.last(.username), !user.isEmpty, !user.contains(":") else {
        throw Failure(
            "cannot log in to \(host)", cause: "no user name, or one with a colon",
            advice: "give it with -u NAME")
    }
    let secret: String
    if arguments.has(.passwordInput) {
        secret = try firstLine(of: session.invocation.input, host)
    } else if let given = arguments.last(.password) {
        session.errors.line(
            "warning: a password on the command line is seen by others; --password-stdin is not")
        secret = given
    } else if isTerminal(session.invocation.input) {
        session.errors.write("Password: ")
        let echo = try naming("cannot ask for the password") { () throws(SyscallError) in
            try RawMode(session.invocation.input)
        }
        defer { session.errors.write("\n") }
        secret = try firstLine(of: session.invocation.input, host)
        echo.end()
    } else {
        throw Failure(
            "cannot log in to \(host)", cause: "no password", advice: "pipe it in with --password-stdin")
    }
    guard !secret.isEmpty else { throw Failure("cannot log in to \(host)", cause: "the password is empty") }
    let access = try RegistryAccess(environment: session.invocation.environment)
    let credential = Credential(user: user, secret: secret)
    try access.check(credential, for: host)
    let place = try CredentialFile(environment: session.invocation.environment).store(credential, for: host)
    session.out.line("logged in to \(host) as \(user); the credential is in \(place)")
    return 0
}

func runLogout(_ session: Session) throws(Failure) -> Int32 {
    let host = try registryHost(session.arguments.operands.first)
    let file = CredentialFile(environment: session.invocation.environment)
    session.out.line(try file.erase(host) ? "logged out of \(host)" : "not logged in to \(host)")
    return 0
}

/// A registry as users write it: `HOST[:PORT]`, perhaps as an URL; Docker Hub when it is left out.
private func registryHost(_ text: String?) throws(Failure) -> String {
    var host = Substring(text ?? "docker.io")
    for prefix in ["https://", "http://"] where host.hasPrefix(prefix) { host = host.dropFirst(prefix.count) }
    while host.hasSuffix("/") { host = host.dropLast() }
    // A name below it shows that it is one.
    let name = try RegistryName("\(host)/any/name")
    guard name.repository == "any/name" else {
        throw Failure(
            "cannot understand the registry \"\(host)\"",
            cause: "a registry is HOST[:PORT], the host with a dot, or localhost")
    }
    return name.host
}

/// A line of input without its end; a terminal in raw mode ends it with a carriage return.
private func firstLine(of fd: Int32, _ host: String) throws(Failure) -> String {
    var bytes: [UInt8] = []
    while bytes.count < 65536 {
        var byte: UInt8 = 0
        let count = try naming("cannot read the password") { () throws(SyscallError) in
            try retrying("read") { read(fd, &byte, 1) }
        }
        if count == 0 || byte == 0x0a || byte == 0x0d { break }
        if byte == 3 || byte == 4 {
            throw Failure("cannot log in to \(host)", cause: "no password was given")
        }
        if byte == 0x7f || byte == 8 { _ = bytes.popLast() } else { bytes.append(byte) }
    }
    return String(decoding: bytes, as: UTF8.self)
}
