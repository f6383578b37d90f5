// SPDX-License-Identifier: Apache-2.0
//
// Linux security modules: which label a process gets at its execve(2), where the kernel has the module (config.md,
// "apparmorProfile", "selinuxLabel"). A label on a kernel without it is an error: what was asked for would not hold.

internal import Basics
internal import Kernel
internal import OCIFormats

struct SecurityLabel {
    /// Below /proc.
    var file: String
    var text: String
}

var isAppArmorEnabled: Bool {
    ((try? readText("/sys/module/apparmor/parameters/enabled")) ?? "").hasPrefix("Y")
}

var isSELinuxEnabled: Bool { exists("/sys/fs/selinux/enforce") }

func securityLabel(_ process: RuntimeConfig.Process) throws(Failure) -> SecurityLabel? {
    if let profile = process.apparmorProfile, profile != "unconfined" {
        guard isAppArmorEnabled else {
            throw Failure(
                "cannot apply apparmor profile \"\(profile)\"",
                cause: "apparmor not supported by this kernel",
                advice: "leave process.apparmorProfile out")
        }
        // The module's own file since Linux 5.8; the shared one belongs to whichever module comes first.
        let own = exists("/proc/self/attr/apparmor/exec")
        return SecurityLabel(
            file: own ? "self/attr/apparmor/exec" : "self/attr/exec", text: "exec \(profile)")
    }
    if let label = process.selinuxLabel {
        guard isSELinuxEnabled else {
            throw Failure(
                "cannot apply SELinux label \"\(label)\"",
                cause: "selinux label is specified in config, but selinux is disabled or not supported",
                advice: "leave process.selinuxLabel out")
        }
        return SecurityLabel(file: "self/attr/exec", text: label)
    }
    return nil
}
