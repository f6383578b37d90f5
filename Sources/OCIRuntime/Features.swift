// SPDX-License-Identifier: Apache-2.0
//
// `features`: what this runtime knows and this kernel has (features.md, features-linux.md).

internal import Basics
internal import Cgroups
internal import JSONFormat
internal import Kernel
internal import LaunchPlanning
internal import OCIFormats
internal import SeccompCompiler

func strings(_ items: [String]) -> JSONValue { .array(items.map(JSONValue.string)) }

func object(_ members: [(String, JSONValue)]) -> JSONValue {
    .object(members.map { JSONValue.Member($0.0, $0.1) })
}

private func enabled(_ value: Bool) -> JSONValue { object([("enabled", .bool(value))]) }

public func runtimeFeatures() -> [UInt8] {
    let mode = ((try? CgroupHost.detect()) ?? .none).mode
    let architectures =
        SeccompArchitecture.current == .x86_64
        ? ["SCMP_ARCH_X86", "SCMP_ARCH_X86_64"] : ["SCMP_ARCH_ARM", "SCMP_ARCH_AARCH64"]
    let flags = [
        "SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
    ]
    let tree = object([
        ("ociVersionMin", .string("1.0.0")), ("ociVersionMax", .string(ociVersion)),
        (
            "hooks",
            strings([
                "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop",
            ])
        ),
        ("mountOptions", strings(MountOptions.known)),
        (
            "linux",
            object([
                ("namespaces", strings(RuntimeConfig.NamespaceKind.allCases.map(\.rawValue).sorted())),
                ("capabilities", strings(Capability.allCases.map { "CAP_\($0.name)" })),
                (
                    "cgroup",
                    object([
                        ("v1", .bool(true)), ("v2", .bool(true)), ("systemd", .bool(false)),
                        ("systemdUser", .bool(false)), ("rdma", .bool(true)),
                    ])
                ),
                (
                    "seccomp",
                    object([
                        ("enabled", .bool(exists("/proc/sys/kernel/seccomp"))),
                        (
                            "actions",
                            strings([
                                "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS",
                                "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE",
                                "SCMP_ACT_TRAP",
                            ])
                        ),
                        (
                            "operators",
                            strings([
                                "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT",
                                "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE",
                            ])
                        ),
                        ("archs", strings(architectures)), ("knownFlags", strings(flags)),
                        ("supportedFlags", strings(flags)),
                    ])
                ),
                ("apparmor", enabled(true)), ("selinux", enabled(true)), ("intelRdt", enabled(false)),
                ("mountExtensions", object([("idmap", enabled(true))])), ("netDevices", enabled(false)),
            ])
        ),
        ("annotations", object([("org.covey.cgroup.mode", .string(mode.rawValue))])),
        ("potentiallyUnsafeConfigAnnotations", strings([])),
    ])
    var bytes: [UInt8] = []
    tree.write(to: &bytes, indentation: 0)
    return bytes + [UInt8(ascii: "\n")]
}
