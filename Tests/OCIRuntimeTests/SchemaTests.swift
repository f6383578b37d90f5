// SPDX-License-Identifier: Apache-2.0
//
// The specification's own schemas as judges: they accept what we write, and what they refuse our reader refuses.

import Glibc
import JSONFormat
import Kernel
import OCIFormats
import Testing

@testable import OCIRuntime

@Suite("the specification's schemas")
struct SchemaTests {
    @Test("accept the configuration `spec` writes and the features `features` tells")
    func written() throws {
        let schemas = Schemas()
        #expect(try schemas.faults(parseJSON(configurationTemplate()), by: "config-schema.json").isEmpty)
        let features = try parseJSON(runtimeFeatures())
        #expect(try schemas.faults(features, by: "features-schema.json").isEmpty)
        _ = try RuntimeConfig.read(configurationTemplate())
    }

    @Test("accept the state in every status, as `state` prints it and as hooks read it")
    func state() throws {
        var template = Array("/tmp/covey-schema.XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        let root = String(decoding: template.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { try? removeTree(root) }
        let settings = RuntimeSettings(root: root)
        let text = Array(#"{"ociVersion":"1.0.2","annotations":{"a":"b"},"root":{"path":"/"}}"#.utf8)
        let own = getpid()
        let start = try #require(processStat(own)).start
        var record = ContainerRecord(
            id: "one", bundle: "/bundle", rootfs: "/", maker: own, makerStart: start,
            created: "2026-01-01T00:00:00Z", cgroupPath: "/none/\(own)", configuration: text,
            config: try RuntimeConfig.read(text))
        let store = try ContainerStore(settings, "one")
        try store.claim()
        let schemas = Schemas()
        for (status, pid, maker, isMade) in [
            (ContainerStatus.creating, Int32(0), own, false), (.creating, own, own, false),
            (.running, own, own, true), (.stopped, 0, 0, false), (.stopped, own, 0, false),
            (.stopped, 0, own, true),
        ] {
            (record.pid, record.maker, record.isMade) = (pid, maker, isMade)
            record.startTime = start
            try store.write(record)
            let found = try containerState("one", settings)
            #expect(found.status == status)
            #expect(try schemas.faults(parseJSON(found.json), by: "state-schema.json") == [])
            #expect(try schemas.faults(parseJSON(record.hookState(status)), by: "state-schema.json") == [])
        }
        #expect(try schemas.faults(parseJSON(record.hookState(.created)), by: "state-schema.json") == [])
    }

    @Test("the example the mutations begin with is one both accept")
    func example() throws {
        #expect(try Schemas().faults(parseJSON(Array(everything.utf8)), by: "config-schema.json") == [])
        _ = try RuntimeConfig.read(Array(everything.utf8))
    }

    @Test("what they refuse of some thousand changed configurations our reader refuses too")
    func refused() throws {
        let schemas = Schemas()
        var (tried, judged) = (0, 0)
        for (what, changed) in mutations(of: try parseJSON(Array(everything.utf8)), named: "") {
            tried += 1
            guard !(try schemas.faults(changed, by: "config-schema.json")).isEmpty else { continue }
            judged += 1
            #expect(isRefused(changed), "taken though the schema refuses it: \(what)")
        }
        #expect(tried > 3000 && judged > 1500, "\(tried) tried, \(judged) refused by the schema")
    }

    /// By the reader, or as something this runtime has no means for.
    private func isRefused(_ value: JSONValue) -> Bool {
        guard let config = try? RuntimeConfig.read(value) else { return true }
        return !config.linux.unsupported.isEmpty
    }

    /// Each member and item in turn: left out, and replaced by values of every type and beyond every range. null is not
    /// among them: to us it is absence, as the specification's Go types write it.
    /// Of objects whose members have nothing to do with each other only the changed one stays.
    private func mutations(of value: JSONValue, named name: String) -> [(String, JSONValue)] {
        let others: [JSONValue] = [
            .bool(true), .integer(-1), .integer(0), .integer(512), .unsigned(1 << 63), .integer(1 << 33),
            .double(1.5), .string("bogus"), .string(""), .array([]), .array([.integer(1)]),
            .array([.object([])]),
            .object([]), .object([.init("bogus", .integer(1))]),
        ]
        var found: [(String, JSONValue)] = others.map { ("replaced by \($0)", $0) }
        switch value {
        case .object(let members):
            let isLoose = ["", "linux", "resources"].contains(name)
            for member in members {
                let rest = members.filter { $0.name != member.name }
                found.append(("without \(member.name)", .object(rest)))
                let kept = isLoose ? rest.filter { $0.name == "ociVersion" } : rest
                for (what, changed) in mutations(of: member.value, named: member.name) {
                    found.append(("\(member.name): \(what)", .object(kept + [.init(member.name, changed)])))
                }
            }
        case .array(let items):
            for (index, item) in items.enumerated() {
                for (what, changed) in mutations(of: item, named: "[]") {
                    var all = items
                    all[index] = changed
                    found.append(("[\(index)] \(what)", .array(all)))
                }
            }
        default: break
        }
        return found
    }

    /// Every field of config.md and config-linux.md that is Linux's, but those we have no means for.
    private let everything = #"""
        {"ociVersion":"1.3.0","hostname":"h","domainname":"d","annotations":{"a":"b"},
        "root":{"path":"rootfs","readonly":true},
        "mounts":[{"destination":"/a","type":"none","source":"b","options":["rbind"],
          "uidMappings":[{"containerID":0,"hostID":1,"size":2}],"gidMappings":[{"containerID":0,"hostID":1,"size":2}]}],
        "hooks":{"prestart":[{"path":"/x","args":["x"],"env":["A=b"],"timeout":3}],"createRuntime":[{"path":"/x"}],
          "createContainer":[{"path":"/x"}],"startContainer":[{"path":"/x"}],"poststart":[{"path":"/x"}],
          "poststop":[{"path":"/x"}]},
        "process":{"terminal":true,"consoleSize":{"height":25,"width":80},"cwd":"/","args":["sh"],"env":["A=b"],
          "user":{"uid":1,"gid":2,"umask":18,"additionalGids":[3]},
          "capabilities":{"bounding":["CAP_KILL"],"permitted":["CAP_KILL"],"effective":["CAP_KILL"],
            "inheritable":["CAP_KILL"],"ambient":["CAP_KILL"]},
          "apparmorProfile":"p","selinuxLabel":"l","oomScoreAdj":5,"noNewPrivileges":true,
          "ioPriority":{"class":"IOPRIO_CLASS_BE","priority":3},
          "scheduler":{"policy":"SCHED_BATCH","nice":1,"priority":0,"flags":["SCHED_FLAG_RESET_ON_FORK"],
            "runtime":0,"deadline":0,"period":0},
          "rlimits":[{"type":"RLIMIT_NOFILE","soft":1,"hard":2}],"execCPUAffinity":{"initial":"0","final":"0-1"}},
        "linux":{"namespaces":[{"type":"mount"},{"type":"pid","path":"/proc/1/ns/pid"}],
          "uidMappings":[{"containerID":0,"hostID":1,"size":2}],"gidMappings":[{"containerID":0,"hostID":1,"size":2}],
          "timeOffsets":{"monotonic":{"secs":1,"nanosecs":2},"boottime":{"secs":1}},
          "devices":[{"type":"c","path":"/dev/x","major":1,"minor":3,"fileMode":438,"uid":0,"gid":0}],
          "cgroupsPath":"/x","rootfsPropagation":"slave","sysctl":{"net.ipv4.ip_forward":"1"},
          "maskedPaths":["/proc/keys"],"readonlyPaths":["/proc/sys"],"mountLabel":"m",
          "personality":{"domain":"LINUX32","flags":[]},
          "seccomp":{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":1,"architectures":["SCMP_ARCH_X86_64"],
            "flags":["SECCOMP_FILTER_FLAG_LOG"],"listenerPath":"/l","listenerMetadata":"m",
            "syscalls":[{"names":["read"],"action":"SCMP_ACT_ERRNO","errnoRet":2,
              "args":[{"index":0,"value":1,"valueTwo":2,"op":"SCMP_CMP_EQ"}]}]},
          "resources":{"unified":{"memory.high":"1"},
            "devices":[{"allow":false,"type":"c","major":1,"minor":2,"access":"rwm"}],"pids":{"limit":9},
            "memory":{"limit":1,"reservation":1,"swap":1,"kernel":1,"kernelTCP":1,"swappiness":1,
              "disableOOMKiller":false,"useHierarchy":true,"checkBeforeUpdate":true},
            "cpu":{"shares":2,"quota":1,"burst":1,"period":1,"realtimeRuntime":1,"realtimePeriod":1,"cpus":"0",
              "mems":"0","idle":0},
            "blockIO":{"weight":10,"leafWeight":10,"weightDevice":[{"major":8,"minor":0,"weight":10,"leafWeight":10}],
              "throttleReadBpsDevice":[{"major":8,"minor":0,"rate":1}],
              "throttleWriteBpsDevice":[{"major":8,"minor":0,"rate":1}],
              "throttleReadIOPSDevice":[{"major":8,"minor":0,"rate":1}],
              "throttleWriteIOPSDevice":[{"major":8,"minor":0,"rate":1}]},
            "hugepageLimits":[{"pageSize":"2MB","limit":1}],
            "network":{"classID":1,"priorities":[{"name":"lo","priority":1}]},
            "rdma":{"mlx":{"hcaHandles":1,"hcaObjects":2}}}}}
        """#
}
