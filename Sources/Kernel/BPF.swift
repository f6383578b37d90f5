// SPDX-License-Identifier: Apache-2.0
//
// bpf(2) as far as a cgroup's device policy needs it.

internal import CLinux

/// Loads a BPF_PROG_TYPE_CGROUP_DEVICE program (Linux 4.15) and attaches it to an open cgroup v2 directory, beside
/// programs that are there already (BPF_F_ALLOW_MULTI: all must say yes). It goes with the cgroup.
///
/// - Parameter yields: a cgroup beneath that has a program of its own is held to that one alone (BPF_F_ALLOW_OVERRIDE);
///   compute_effective_progs, kernel/bpf/cgroup.c.
/// - Throws: EPERM without CAP_BPF or CAP_SYS_ADMIN, EINVAL on kernels without CONFIG_CGROUP_BPF.
public func attachDeviceProgram(_ instructions: [UInt64], toCgroup cgroup: Int32, yields: Bool = false)
    throws(SyscallError)
{
    let program = OwnedFD(
        taking: try retrying("bpf", "BPF_PROG_LOAD") {
            instructions.withUnsafeBufferPointer {
                linux_bpf_load(
                    BPF_PROG_TYPE_CGROUP_DEVICE.rawValue, BPF_CGROUP_DEVICE.rawValue, $0.baseAddress,
                    UInt32($0.count))
            }
        })
    let raw = program.raw
    try retrying("bpf", "BPF_PROG_ATTACH") {
        linux_bpf_attach(
            cgroup, raw, BPF_CGROUP_DEVICE.rawValue,
            UInt32(yields ? BPF_F_ALLOW_OVERRIDE : BPF_F_ALLOW_MULTI))
    }
}

/// How many device programs are attached to this cgroup v2 directory itself.
public func deviceProgramCount(ofCgroup cgroup: Int32) throws(SyscallError) -> Int {
    Int(try retrying("bpf", "BPF_PROG_QUERY") { linux_bpf_attached(cgroup, BPF_CGROUP_DEVICE.rawValue) })
}
