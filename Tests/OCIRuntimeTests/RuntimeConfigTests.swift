// SPDX-License-Identifier: Apache-2.0
//
// config.json: what the specification's schema refuses is refused, with the field's name.

import OCIFormats
import Testing

@Suite("OCI configuration")
struct RuntimeConfigTests {
    private func problem(_ text: String) -> String {
        do throws(RuntimeConfigError) {
            _ = try RuntimeConfig.read(Array(text.utf8))
            return ""
        } catch {
            return error.description
        }
    }

    @Test(
        "every version 1.x.y is taken, nothing else",
        arguments: [
            ("1.0.0", true), ("1.0.2-dev", true), ("1.3.0", true), ("1.99.7+build", true), ("2.0.0", false),
            ("1.0", false), ("", false), ("v1.0.0", false), ("0.9.0", false),
        ])
    func versions(_ version: String, _ taken: Bool) {
        #expect(problem(#"{"ociVersion":"\#(version)"}"#).isEmpty == taken)
    }

    @Test(
        "a field that is not what the schema wants is named",
        arguments: [
            (#"{}"#, "ociVersion"), (#"{"ociVersion":1}"#, "ociVersion"), (#"[]"#, "object"),
            (#"{"ociVersion":"1.0.0","root":{}}"#, "root.path"),
            (#"{"ociVersion":"1.0.0","process":{}}"#, "process.cwd"),
            (#"{"ociVersion":"1.0.0","process":{"cwd":"/","args":"sh"}}"#, "process.args"),
            (#"{"ociVersion":"1.0.0","process":{"cwd":"/","user":{"uid":-1}}}"#, "process.user.uid"),
            (#"{"ociVersion":"1.0.0","process":{"cwd":"/","user":{"uid":4294967296}}}"#, "process.user.uid"),
            (
                #"{"ociVersion":"1.0.0","process":{"cwd":"/","rlimits":[{"type":"NOFILE","soft":1,"hard":1}]}}"#,
                "rlimits[0].type"
            ),
            (
                #"{"ociVersion":"1.0.0","process":{"cwd":"/","rlimits":[{"type":"RLIMIT_NOFILE","soft":1}]}}"#,
                "rlimits[0].hard"
            ),
            (#"{"ociVersion":"1.0.0","process":{"cwd":"/","ioPriority":{"class":"X"}}}"#, "ioPriority.class"),
            (#"{"ociVersion":"1.0.0","process":{"cwd":"/","scheduler":{}}}"#, "scheduler.policy"),
            (#"{"ociVersion":"1.0.0","process":{"cwd":"/","env":["A\u0000B"]}}"#, "env[0]"),
            (#"{"ociVersion":"1.0.0","mounts":[{"source":"/"}]}"#, "mounts[0].destination"),
            (#"{"ociVersion":"1.0.0","hooks":{"prestart":[{"path":"x"}]}}"#, "hooks.prestart[0].path"),
            (#"{"ociVersion":"1.0.0","hooks":{"poststop":[{"path":"/x","timeout":0}]}}"#, "timeout"),
            (#"{"ociVersion":"1.0.0","linux":{"namespaces":[{"type":"moon"}]}}"#, "namespaces[0].type"),
            (
                #"{"ociVersion":"1.0.0","linux":{"namespaces":[{"type":"pid"},{"type":"pid"}]}}"#,
                "namespaces[1].type"
            ),
            (#"{"ociVersion":"1.0.0","linux":{"devices":[{"type":"x","path":"/a"}]}}"#, "devices[0].type"),
            (#"{"ociVersion":"1.0.0","linux":{"devices":[{"path":"/a"}]}}"#, "devices[0].type"),
            (#"{"ociVersion":"1.0.0","linux":{"devices":[{"type":"c"}]}}"#, "devices[0].path"),
            (
                #"{"ociVersion":"1.0.0","linux":{"namespaces":[{"type":"pid","path":"x"}]}}"#,
                "namespaces[0].path"
            ),
            (
                #"{"ociVersion":"1.0.0","linux":{"devices":[{"type":"c","path":"/a","fileMode":512}]}}"#,
                "fileMode"
            ),
            (#"{"ociVersion":"1.0.0","linux":{"maskedPaths":["proc"]}}"#, "maskedPaths"),
            (#"{"ociVersion":"1.0.0","linux":{"seccomp":{}}}"#, "seccomp.defaultAction"),
            (
                #"{"ociVersion":"1.0.0","linux":{"seccomp":{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":[],"action":"SCMP_ACT_LOG"}]}}}"#,
                "names"
            ),
            (#"{"ociVersion":"1.0.0","linux":{"resources":{"pids":{}}}}"#, "resources.pids.limit"),
            (#"{"ociVersion":"1.0.0","linux":{"resources":{"memory":{"limit":1.5}}}}"#, "memory.limit"),
            (
                #"{"ociVersion":"1.0.0","linux":{"resources":{"hugepageLimits":[{"pageSize":"2mb","limit":1}]}}}"#,
                "pageSize"
            ),
            (
                #"{"ociVersion":"1.0.0","linux":{"uidMappings":[{"containerID":0,"hostID":0}]}}"#,
                "uidMappings[0].size"
            ),
            (#"{"ociVersion":"1.0.0","linux":{"rootfsPropagation":"up"}}"#, "rootfsPropagation"),
            (#"{"ociVersion":"1.0.0","annotations":{"a":1}}"#, "annotations.a"),
            (#"{"ociVersion":"1.0.0","annotations":{"":"a"}}"#, "annotations"),
            (
                #"{"ociVersion":"1.0.0","linux":{"seccomp":{"defaultAction":"SCMP_ACT_KILL","defaultErrnoRet":1}}}"#,
                "defaultErrnoRet"
            ),
            (
                #"{"ociVersion":"1.0.0","linux":{"seccomp":{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_ALLOW","errnoRet":1}]}}}"#,
                "errnoRet"
            ),
            (
                #"{"ociVersion":"1.0.0","linux":{"seccomp":{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":4096}}}"#,
                "defaultErrnoRet"
            ),
            (
                #"{"ociVersion":"1.0.0","linux":{"seccomp":{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_ERRNO","errnoRet":65536}]}}}"#,
                "errnoRet"
            ),
            (#"{"ociVersion":"1.0.0","linux":{"resources":{"rdma":{"m":{}}}}}"#, "rdma.m"),
            (
                #"{"ociVersion":"1.0.0","linux":{"resources":{"blockIO":{"weightDevice":[{"major":8,"minor":0}]}}}}"#,
                "weightDevice[0]"
            ),
        ])
    func faults(_ text: String, _ named: String) {
        #expect(problem(text).contains(named), "\(problem(text))")
    }

    @Test("what the schema does not know is passed over, and null is absent")
    func unknown() throws {
        let config = try RuntimeConfig.read(
            Array(#"{"ociVersion":"1.1.0","later":{"x":[1]},"process":null,"linux":{"resources":null}}"#.utf8)
        )
        #expect(config.process == nil && config.linux.resources == nil)
    }

    @Test("fields without means here are known by name")
    func unsupported() throws {
        let config = try RuntimeConfig.read(
            Array(#"{"ociVersion":"1.3.0","linux":{"intelRdt":{},"netDevices":{},"memoryPolicy":{}}}"#.utf8))
        #expect(config.linux.unsupported == ["linux.intelRdt", "linux.memoryPolicy", "linux.netDevices"])
    }
}
