// SPDX-License-Identifier: Apache-2.0
//
// `resume`: after a reboot, starts what the restart policies of this host's projects say. It needs no Compose file: a
// project's resolved description is in its state directory. Which project another one needs nobody wrote down (an external
// network, a link): what can't be started is tried again as long as others could. The systemd unit that runs it is text of the binary, so that
// the two are never of different versions.

internal import Basics
internal import CLinux
internal import Controller
internal import Kernel

func runResume(_ session: Session) throws(Failure) -> Int32 {
    if session.arguments.has(.unit) {
        session.out.write(try unitText(session))
        return 0
    }
    try requireRoot("resume")
    let progress = try session.progress("resume")
    var names = projectsToResume(root: session.root, run: session.run)
    if names.isEmpty { progress.notice("nothing to resume") }
    while !names.isEmpty {
        var failed: [(name: String, failure: Failure)] = []
        for name in names {
            do throws(Failure) {
                try resume(name, session)
            } catch {
                // One project that can't be started keeps no other from it.
                failed.append((name, error))
            }
        }
        // In a pass in which none came up the next one finds nothing else.
        guard failed.count < names.count else {
            if let failure = Failure.collect(failed.map { $0.failure }) { throw failure }
            break
        }
        names = failed.map { $0.name }
    }
    return 0
}

private func resume(_ project: String, _ session: Session) throws(Failure) {
    let place = session.place(project)
    try checkImages(session, of: project)
    let client = try connectOrStart(place, session.invocation)
    try client.send(.resume)
    _ = try follow(client, place, try session.progress("resume \(project)"))
}

/// Containers that rest stand on layers that nobody asks the store for; after a crash it is asked, so that what is
/// damaged is mended before it is mounted.
private func checkImages(_ session: Session, of project: String) throws(Failure) {
    let store = try session.imageStore()
    guard try store.mayBeDamaged() else { return }
    for id in try imagesInUse(root: session.root, by: project).ids { _ = try store.lookUp(id.description) }
}

/// A unit for this binary and these directories. What it starts leaves the unit's cgroup by itself, so neither its end
/// nor a `systemctl restart` ends a container.
private func unitText(_ session: Session) throws(Failure) -> String {
    let program = try kernel("cannot find this program's path") { () throws(SyscallError) in
        try readLink("/proc/self/exe")
    }
    var command = [program]
    if session.root != "/var/lib/covey" { command += ["--root", session.root] }
    if session.run != "/run/covey" { command += ["--run", session.run] }
    command.append("resume")
    return """
        # /etc/systemd/system/covey-resume.service
        [Unit]
        Description=Bring the projects of Covey back after a boot
        After=network-online.target local-fs.target
        Wants=network-online.target
        RequiresMountsFor=\(unitWord(session.root))

        [Service]
        Type=oneshot
        RemainAfterExit=yes
        ExecStart=\(command.map(unitWord).joined(separator: " "))
        TimeoutStartSec=infinity

        [Install]
        WantedBy=multi-user.target

        """
}

/// A word of a unit's command line (systemd.service(5), "Command lines"; systemd.unit(5), "Specifiers").
private func unitWord(_ text: String) -> String {
    let escaped = text.replacing("%", with: "%%").replacing("$", with: "$$")
    let isPlain = text.utf8.allSatisfy { byte in
        byte > 32 && byte < 127 && !#""'\;"#.utf8.contains(byte)
    }
    if isPlain { return escaped }
    return "\"" + escaped.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
}
