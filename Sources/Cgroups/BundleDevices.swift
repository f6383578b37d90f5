// SPDX-License-Identifier: Apache-2.0
//
// The devices of an OCI container: `linux.resources.devices` as a policy, and where it is put.

public import Basics
internal import CLinux
internal import Kernel
public import OCIFormats

extension BundleCgroup {
    /// On v2 programs that a parent has say no as well.
    public func setDevices(_ rules: [RuntimeResources.DeviceRule]) throws(Failure) {
        let policy = DevicePolicy(bundle: rules)
        let legacy = place(of: "devices").flatMap { $0.hierarchy.unified ? nil : $0 }
        let lines = legacy == nil ? [] : try legacyLines(policy)
        do throws(SyscallError) {
            if let legacy {
                // Rules of one kind follow each other: each file is opened once for them.
                var open: (name: String, fd: SharedFD)?
                for (name, line) in lines {
                    let file = "\(legacy.path)/\(name)"
                    let fd: SharedFD
                    if let open, open.name == name {
                        fd = open.fd
                    } else {
                        fd = SharedFD(try openFile(file, flags: O_WRONLY))
                        open = (name, fd)
                    }
                    let bytes = Array(line.utf8)
                    try retrying("write", file) { write(fd.raw, bytes, bytes.count) }
                }
            } else if let unified {
                let directory = try openFile(unified.path, flags: 0o200000)  // O_DIRECTORY
                try attachDeviceProgram(policy.program, toCgroup: directory.raw)
            }
        } catch {
            throw Failure("cannot set the rules of linux.resources.devices", error)
        }
    }

    private func legacyLines(_ policy: DevicePolicy) throws(Failure) -> [(file: String, line: String)] {
        do throws(DevicePolicy.UnspeakableRule) { return try policy.legacyLines() } catch {
            let rule = error.rule
            throw Failure(
                "cannot set the rules of linux.resources.devices",
                cause:
                    "\(rule.allows ? "allowing" : "denying") \(rule) would cut a hole into a rule before it, "
                    + "which cgroup v1 cannot",
                advice: "name the devices one by one, or put the rule for all of them last")
        }
    }
}

extension DevicePolicy {
    /// The rules in their order, then what every container has (config-linux.md, "Default Devices").
    init(bundle rules: [RuntimeResources.DeviceRule]) {
        self.init(rules: rules.map(Rule.init) + DevicePolicy.dockerDefault.rules)
    }
}

extension DevicePolicy.Rule {
    /// A rule for neither characters nor blocks is one for everything, whatever else it says.
    init(_ given: RuntimeResources.DeviceRule) {
        guard given.type == "c" || given.type == "b" else {
            self.init(nil, nil, nil, .all, allows: given.allow)
            return
        }
        let access = (given.access ?? "rwm").reduce(into: DevicePolicy.Access()) {
            $0.insert($1 == "r" ? .read : $1 == "w" ? .write : .makeNode)
        }
        func number(_ written: Int64?) -> UInt32? { written.flatMap { $0 < 0 ? nil : UInt32(clamping: $0) } }
        self.init(
            given.type == "b" ? .block : .character, number(given.major), number(given.minor), access,
            allows: given.allow)
    }
}
