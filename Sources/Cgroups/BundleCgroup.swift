// SPDX-License-Identifier: Apache-2.0
//
// The cgroup of an OCI container: one path, the same in every hierarchy of the host, as `linux.cgroupsPath` says it.
// Unlike a project's it is known by its path alone, so that any later process finds it again. What its limits become in
// files is BundleLimits', its devices are DevicePolicy's.

public import Basics
internal import CLinux
internal import Kernel

/// A container's directories, one for each hierarchy that can be written.
public struct BundleCgroup: Sendable {
    /// One of them.
    struct Place: Sendable {
        let hierarchy: CgroupHierarchy
        let path: String
    }

    /// `/machine/web`, without `.` and `..`.
    public let path: String
    private(set) var places: [Place]
    /// All of them were made or found: none is asked for again.
    private var isEnsured = false

    /// Where containers are whose configuration says nothing: one directory in each hierarchy, as making and removing them is a
    /// good part of a short container's time.
    /// - Parameter named: the directory is called as the container is, for those who look for it so; below one of ours, as there
    ///   may be others of that name.
    public static func defaultPath(id: String, named: Bool = false) -> String {
        named ? "/\(defaultParent)/\(id)" : "/\(defaultParent)-\(id)"
    }
    private static let defaultParent = "covey-oci"

    /// - Parameter path: a relative one starts at the hierarchy's root as well.
    public init(host: CgroupHost, path: String) {
        self.path = normalPath(path)
        let inner = self.path
        places = host.writable.map { Place(hierarchy: $0, path: $0.mountPoint + inner) }
    }

    /// True when some hierarchy has it.
    public var exists: Bool { places.contains { Kernel.exists($0.path) } }

    /// Those that are there.
    public var directories: [String] { places.map(\.path).filter { Kernel.exists($0) } }

    /// Where it lies besides these directories.
    public func without(_ directories: [String]) -> BundleCgroup {
        var rest = self
        rest.places.removeAll { directories.contains($0.path) }
        return rest
    }

    /// Makes the directories that are missing. On v2 the controllers are switched on for it, on v1 its processors and
    /// memory nodes are its parent's.
    public mutating func ensure() throws(Failure) {
        do throws(SyscallError) {
            for place in places { try make(place) }
            isEnsured = true
        } catch {
            throw Failure(
                "cannot make the cgroup \(path)", error,
                advice: error.errno == .readOnlyFileSystem
                    ? "mount the cgroup file system writable" : nil)
        }
    }

    private func make(_ place: Place) throws(SyscallError) {
        let isSet = place.hierarchy.controllers.contains("cpuset") && !place.hierarchy.unified
        if isSet || place.hierarchy.unified {
            if Kernel.exists(place.path) { return }
        } else {
            // Nothing is to be set in those above: one call, where they are there.
            do throws(SyscallError) { return try makeDirectory(place.path) } catch {
                if error.errno == .exists { return }
                if error.errno != .noEntry { throw error }
            }
        }
        var here = place.hierarchy.mountPoint
        for part in path.split(separator: "/") {
            if place.hierarchy.unified { switchControllersOn(here, place.hierarchy) }
            let parent = here
            here += "/\(part)"
            do throws(SyscallError) { try makeDirectory(here) } catch {
                if error.errno != .exists { throw error }
            }
            // No process comes in before both are set (cgroup-v1/cpusets.rst, 1.4).
            if isSet { try inherit(["cpuset.cpus", "cpuset.mems"], from: parent, to: here) }
        }
    }

    private func inherit(_ files: [String], from parent: String, to child: String) throws(SyscallError) {
        let end = UInt8(ascii: "\n")
        for file in files where try readFile("\(child)/\(file)").allSatisfy({ $0 == end }) {
            let value = try readFile("\(parent)/\(file)").prefix { $0 != end }
            try writeControl("\(child)/\(file)", String(decoding: value, as: UTF8.self))
        }
    }

    private func isThere(_ place: Place) -> Bool { isEnsured || Kernel.exists(place.path) }

    /// Each by itself: one that can't be (a realtime process, a threaded cgroup) must not keep the others off. A limit
    /// that needs it is then refused by name.
    private func switchControllersOn(_ directory: String, _ hierarchy: CgroupHierarchy) {
        let on = (try? readText("\(directory)/cgroup.subtree_control")) ?? ""
        let known = Set(on.split(whereSeparator: \.isWhitespace).map(String.init))
        for controller in hierarchy.controllers.sorted() where !known.contains(controller) {
            try? writeControl("\(directory)/cgroup.subtree_control", "+\(controller)")
        }
    }

    /// The v2 directory to clone its processes into; nil without v2.
    public var cloneInto: String? { unified?.path }

    /// v1 `tasks` files a process writes `0` into.
    public var taskFiles: [String] {
        places.filter { !$0.hierarchy.unified && isThere($0) }.map { "\($0.path)/tasks" }
    }

    var unified: Place? { places.first { $0.hierarchy.unified && isThere($0) } }

    func place(of controller: String) -> Place? {
        places.first { $0.hierarchy.controllers.contains(controller) && isThere($0) }
    }

    /// Directories as a container's own /sys/fs/cgroup shows them: the mount point's last name and the path.
    public var mounts: [(name: String, path: String, unified: Bool, controllers: [String])] {
        places.map { place in
            let name = place.hierarchy.mountPoint.split(separator: "/").last.map(String.init) ?? ""
            return (name, place.path, place.hierarchy.unified, place.hierarchy.controllers)
        }
    }

    /// All its processes, those of cgroups below it too.
    public var processes: [Int32] {
        guard let place = unified ?? place(of: "pids") ?? place(of: "name=systemd") ?? places.first else {
            return []
        }
        return listProcesses(place.path)
    }

    private func listProcesses(_ directory: String) -> [Int32] {
        guard let fd = try? openFile(directory, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW) else { return [] }
        let text = (try? readText("cgroup.procs", at: fd.raw)) ?? ""
        var found = text.split(separator: "\n").compactMap { Int32($0) }
        for child in (try? subdirectories(fd.raw)) ?? [] { found += listProcesses("\(directory)/\(child)") }
        return found
    }

    // MARK: freezing

    /// True when its processes are stopped, or about to be.
    public var isFrozen: Bool {
        if let unified, let text = try? readText("\(unified.path)/cgroup.freeze"), text.hasPrefix("1") {
            return true
        }
        guard let freezer = legacyFreezer, let text = try? readText("\(freezer.path)/freezer.state") else {
            return false
        }
        return !text.hasPrefix("THAWED")
    }

    private var legacyFreezer: Place? {
        place(of: "freezer").flatMap { $0.hierarchy.unified ? nil : $0 }
    }

    /// Stops or lets go on; waits until the kernel says that all have stopped.
    /// - Throws: when they have not after two seconds, or a cgroup above holds them. One that could not be stopped goes on.
    public func setFrozen(_ frozen: Bool) throws(Failure) {
        let doing = frozen ? "cannot pause the container" : "cannot resume the container"
        let isDone: Bool
        do throws(SyscallError) {
            isDone = try freeze(frozen)
            if !isDone, frozen { _ = try freeze(false) }
        } catch {
            throw Failure(doing, error)
        }
        if !isDone {
            throw Failure(
                doing,
                cause: frozen
                    ? "one of its processes can't be stopped: the kernel holds it in a call"
                    : "the kernel keeps its processes frozen",
                advice: frozen ? "try again later" : "see whether a cgroup above \(path) is frozen")
        }
    }

    /// False when the kernel has not done it after two seconds of looking.
    private func freeze(_ frozen: Bool) throws(SyscallError) -> Bool {
        if let unified, Kernel.exists("\(unified.path)/cgroup.freeze") {
            try writeControl("\(unified.path)/cgroup.freeze", frozen ? "1" : "0")
            for _ in 0..<2000 {
                if try readText("\(unified.path)/cgroup.events").contains("frozen \(frozen ? 1 : 0)") {
                    return true
                }
                pauseBetweenLooks(.milliseconds(1))
            }
        } else if let freezer = legacyFreezer {
            let file = "\(freezer.path)/freezer.state"
            for _ in 0..<2000 {
                // Written again while it is FREEZING: a process in the midst of vfork escapes the first try.
                try writeControl(file, frozen ? "FROZEN" : "THAWED")
                if try readText(file).hasPrefix(frozen ? "FROZEN" : "THAWED") { return true }
                pauseBetweenLooks(.milliseconds(1))
            }
        } else {
            throw SyscallError("open", .notSupported, "no cgroup hierarchy of this host has a freezer")
        }
        return false
    }

    // MARK: ending

    /// Sends a signal to all its processes; SIGKILL reaches frozen and forking ones as well.
    public func signalAll(_ signal: Int32) throws(Failure) {
        do throws(SyscallError) {
            if signal == SIGKILL, let unified, Kernel.exists("\(unified.path)/cgroup.kill") {
                // A task frozen by v1's freezer doesn't die before it is thawed.
                try thawLegacy()
                return try writeControl("\(unified.path)/cgroup.kill", "1")
            }
            var told: Set<Int32> = []
            for _ in 0..<1000 {
                let fresh = processes.filter { !told.contains($0) }
                for process in fresh {
                    _ = CLinux.kill(process, signal)
                    told.insert(process)
                }
                if fresh.isEmpty || signal != SIGKILL { break }
            }
            if signal == SIGKILL { try thawLegacy() }
        } catch {
            throw Failure("cannot signal the container's processes", error)
        }
    }

    private func thawLegacy() throws(SyscallError) {
        guard let freezer = legacyFreezer else { return }
        try writeControl("\(freezer.path)/freezer.state", "THAWED")
    }

    /// Thaws the v1 freezer cgroup a process is in, wherever that is.
    public func thaw(process: Int32) {
        guard let freezer = legacyFreezer, let text = try? readText("/proc/\(process)/cgroup") else { return }
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3, parts[1] == "freezer", parts[2] != "/" else { continue }
            try? writeControl("\(freezer.hierarchy.mountPoint)\(parts[2])/freezer.state", "THAWED")
        }
    }

    /// Where an exec goes on v2: into the cgroup itself, or where the first process is by now when that one has
    /// controllers switched on for cgroups below it, as then no process may be in it ("no internal processes").
    public func forExec(beside process: Int32) -> BundleCgroup {
        guard let unified, let on = try? readText("\(unified.path)/cgroup.subtree_control"),
            on.contains(where: { !$0.isWhitespace }), let text = try? readText("/proc/\(process)/cgroup")
        else { return self }
        for line in text.split(separator: "\n") where line.hasPrefix("0::") {
            let there = String(line.dropFirst(3))
            if there.hasPrefix(path + "/") { return BundleCgroup(places: places, path: there) }
        }
        return self
    }

    /// Where an exec goes that asks for a cgroup below this one: `PATH`, in every hierarchy that has it, or for v1
    /// `CONTROLLER[,CONTROLLER]:PATH`, in theirs alone.
    /// - Throws: for a path that leads out, one that isn't there, and a controller no hierarchy of v1 has.
    public func narrowed(to text: String) throws(Failure) -> BundleCgroup {
        func refuse(_ cause: String, _ advice: String? = nil) -> Failure {
            Failure("cannot use the cgroup \(text)", cause: cause, advice: advice)
        }
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let inner = String(parts[parts.count - 1])
        let controllers = parts.count > 1 ? Set(parts[0].split(separator: ",").map(String.init)) : []
        if parts.count > 1, controllers.isEmpty {
            throw refuse("no controller is named before the colon", "give the path alone for every hierarchy")
        }
        let legacy = places.filter { !$0.hierarchy.unified }
        for name in controllers.sorted()
        where !legacy.contains(where: { $0.hierarchy.controllers.contains(name) }) {
            throw refuse("unknown controller \(name)", "name one of cgroup v1's, or give the path alone")
        }
        let below = normalPath("\(path)/\(inner)")
        guard below == path || below.hasPrefix(path + "/") else {
            throw refuse("\(inner) is not a sub cgroup path", "name one below the container's own")
        }
        var narrowed = self
        var missing: String?
        var found = false
        for (index, place) in places.enumerated() {
            let isAsked =
                controllers.isEmpty
                || !place.hierarchy.unified
                    && place.hierarchy.controllers.contains(where: controllers.contains)
            guard isAsked else { continue }
            let there = place.hierarchy.mountPoint + below
            if Kernel.exists(there) {
                narrowed.places[index] = Place(hierarchy: place.hierarchy, path: there)
                found = true
            } else {
                missing = there
            }
        }
        if let missing, !found || !controllers.isEmpty {
            throw refuse(
                "error adding pid to its cgroup: open \(missing)/cgroup.procs: no such file or directory",
                "make it first")
        }
        return narrowed
    }

    private init(places: [Place], path: String) {
        self.path = path
        self.places = places.map {
            $0.hierarchy.unified ? Place(hierarchy: $0.hierarchy, path: $0.hierarchy.mountPoint + path) : $0
        }
    }

    /// Removes the directories in which nothing is any more.
    /// - Returns: those that are left; nil when there is none.
    public func removeIdle() -> BundleCgroup? {
        var left = self
        left.places = []
        for place in places {
            do throws(SyscallError) {
                try removeDirectory(place.path)
                removeOwnParent(of: place)
            } catch {
                if error.errno != .noEntry { left.places.append(place) }
            }
        }
        return left.places.isEmpty ? nil : left
    }

    /// Of the parents only our own goes, with its last container.
    private func removeOwnParent(of place: Place) {
        if path.hasPrefix("/\(Self.defaultParent)/") { try? removeDirectory(split(place.path).0) }
    }

    /// Removes the directories with all below them; missing ones are fine.
    public func remove() throws(Failure) {
        var failures: [Failure] = []
        var patience = RemovalPatience()
        for place in places {
            let (parent, name) = split(place.path)
            do throws(SyscallError) {
                let directory = CgroupDirectory(
                    hierarchy: place.hierarchy, path: parent,
                    fd: SharedFD(try openFile(parent, flags: O_RDONLY | O_DIRECTORY)))
                try directory.remove(name, patience: &patience)
            } catch {
                if error.errno == .noEntry { continue }
                failures.append(Failure("cannot remove the cgroup \(place.path)", error))
            }
            removeOwnParent(of: place)
        }
        if let failure = Failure.collect(failures) { throw failure }
    }
}

private func split(_ path: String) -> (String, String) {
    guard let slash = path.lastIndex(of: "/") else { return (".", path) }
    return (String(path[..<slash]), String(path[path.index(after: slash)...]))
}
