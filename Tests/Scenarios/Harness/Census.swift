// SPDX-License-Identifier: Apache-2.0
//
// Census: everything a project could leave on a machine, counted from outside: from /proc, the cgroup file systems
// and the host's own tools, never by asking the product. The census after a scenario must be the one before it.

import Glibc
import Kernel

/// One line for each thing found.
struct Census: Equatable {
    var found: Set<String>

    /// What is here and was not there before.
    func more(than before: Census) -> [String] { found.subtracting(before.found).sorted() }

    /// `project` by its cgroups, `state` by its path, `host` by the name of its network namespace.
    static func take(project: String, state: String, host: String) throws -> Census {
        var found: Set<String> = []
        let namespace = try? readLinkTarget("/run/netns/\(host)")
        for name in (try? directoryEntries("/proc")) ?? [] {
            guard let pid = Int32(name), pid != getpid() else { continue }
            let process = "/proc/\(pid)"
            let comm = contents("\(process)/comm").split(separator: "\n").first ?? "?"
            // A zombie holds nothing; pid 1 takes it when it gets to it.
            if isZombie(pid) { continue }
            let groups = contents("\(process)/cgroup").split(separator: "\n")
            if groups.contains(where: { $0.contains("/covey/\(project)") }) {
                found.insert("process \(pid) \(comm) in a cgroup of the project")
            }
            if let namespace, (try? readLinkTarget("\(process)/ns/net")) == namespace {
                found.insert("process \(pid) \(comm) in the scenario's network namespace")
            }
            for descriptor in (try? directoryEntries("\(process)/fd")) ?? [] {
                guard let target = try? readLink("\(process)/fd/\(descriptor)") else { continue }
                if target.hasPrefix("\(state)/run/") || target.hasPrefix("\(state)/root/projects/") {
                    found.insert("process \(pid) \(comm) holds \(target)")
                }
            }
            for line in contents("\(process)/mountinfo").split(separator: "\n") where line.contains(state) {
                found.insert("mount seen by \(pid) \(comm): \(line)")
            }
        }
        for hierarchy in ["/sys/fs/cgroup"] + subdirectories(of: "/sys/fs/cgroup") {
            let group = "\(hierarchy)/covey/\(project)"
            if exists(group) { found.insert("cgroup \(group)") }
        }
        for path in tree("\(state)/run") + tree("\(state)/root/projects") { found.insert("file \(path)") }
        for path in tree("\(state)/root/volumes", depth: 1) { found.insert("volume \(path)") }
        let links = try Host.run(["nsenter", "--net=/run/netns/\(host)", "ip", "-o", "link"])
        for line in links.lines {
            let words = line.split(separator: " ")
            if words.count > 1 { found.insert("link \(words[1].prefix { $0 != "@" && $0 != ":" })") }
        }
        let tables = try Host.run(["nsenter", "--net=/run/netns/\(host)", "nft", "list", "ruleset"])
        for line in tables.lines where line.hasPrefix("table") { found.insert("nft \(line)") }
        return Census(found: found)
    }

    /// `net:[4026531840]` of a process, or the same made from a bound namespace's inode.
    private static func readLinkTarget(_ path: String) throws -> String {
        let status = try fileStatus(path, follow: true)
        return "net:[\(status.st_ino)]"
    }
}

/// Ended, and not yet waited for: proc_pid_stat(5), field 3.
func isZombie(_ pid: Int32) -> Bool {
    statFields(pid).first == "Z"
}

func parent(of pid: Int32) -> Int32 {
    let fields = statFields(pid)
    return fields.count > 1 ? Int32(fields[1]) ?? 0 : 0
}

/// The fields from the third on: the second is a name that may hold spaces.
func statFields(_ pid: Int32) -> [Substring] {
    contents("/proc/\(pid)/stat").split(separator: ")").last?.split(separator: " ") ?? []
}

private func subdirectories(of path: String) -> [String] {
    ((try? directoryEntries(path)) ?? []).map { "\(path)/\($0)" }.filter {
        (try? fileStatus($0, follow: false))?.isDirectory == true
    }
}

/// Every path under a directory, down to `depth` levels.
func tree(_ path: String, depth: Int = 20) -> [String] {
    guard depth > 0 else { return [] }
    return ((try? directoryEntries(path)) ?? []).flatMap { name in
        let child = "\(path)/\(name)"
        let isDirectory = (try? fileStatus(child))?.isDirectory == true
        return [child] + (isDirectory ? tree(child, depth: depth - 1) : [])
    }
}
