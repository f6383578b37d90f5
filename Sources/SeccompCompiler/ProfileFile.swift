// SPDX-License-Identifier: Apache-2.0
//
// A profile as JSON → policy: the format of Docker's `--security-opt seccomp=FILE` (moby/profiles, seccomp/seccomp.go)
// and of `linux.seccomp` in an OCI configuration (runtime-spec, config-linux.md "Seccomp"), which is the same without
// gates. Calls that no architecture has are passed over, as runc does; everything else that is not understood is said.

public import Basics
internal import JSONFormat

extension SeccompPolicy {
    /// - Parameter profile: what it is in messages, such as `seccomp profile "strict.json"`.
    public init(json: [UInt8], profile: String) throws(Failure) {
        let tree: JSONValue
        do throws(JSONSyntaxError) {
            tree = try parseJSON(json)
        } catch {
            throw Failure(
                "cannot read \(profile)", cause: "it is no JSON: \(error)", advice: "mend the file")
        }
        try self.init(tree: ProfileReader(value: tree, place: "", profile: profile))
    }

    private init(tree: ProfileReader) throws(Failure) {
        let fallback = try tree.number("defaultErrnoRet") ?? 1
        guard let action = try tree.text("defaultAction") else {
            throw tree.mistake("has no `defaultAction`", advice: "such as SCMP_ACT_ERRNO")
        }
        if let flags = try tree.texts("flags").first {
            throw tree.mistake(
                "has the flag \(flags)",
                advice: "remove `flags`: the filter is one process's, and nothing of it logs")
        }
        var rules: [SeccompRule] = []
        for rule in try tree.elements("syscalls") { rules += try rule.rules(fallback: fallback) }
        self.init(defaultAction: try tree.action(action, errno: fallback), rules: rules)
        if let listener = try tree.text("listenerPath") ?? firstNotification {
            throw tree.mistake(
                "wants a listener (\(listener))", advice: "nobody would answer it: use another action")
        }
        // Without either the profile is for the machine's own and its sibling, as libseccomp's default of Docker is.
        let named = try tree.texts("architectures")
        var all = Set(named)
        for entry in try tree.elements("archMap") {
            if let own = try entry.text("architecture") { all.insert(own) }
            all.formUnion(try entry.texts("subArchitectures"))
        }
        if !all.isEmpty { siblings = SeccompArchitecture.withSibling(in: all) }
    }

    private var firstNotification: String? {
        ([defaultAction] + rules.map(\.action)).contains(.notify) ? "SCMP_ACT_NOTIFY" : nil
    }
}

/// One value of the profile with the way to it.
private struct ProfileReader {
    let value: JSONValue
    let place: String
    let profile: String

    func mistake(_ what: String, advice: String? = nil) -> Failure {
        Failure("\(profile)\(place.isEmpty ? "" : ", `\(place)`,") \(what)", advice: advice)
    }

    private func child(_ name: String) -> ProfileReader? {
        guard let found = value[name], found != .null else { return nil }
        return ProfileReader(value: found, place: place.isEmpty ? name : "\(place).\(name)", profile: profile)
    }

    func text(_ name: String) throws(Failure) -> String? {
        guard let child = child(name) else { return nil }
        guard case .string(let text) = child.value else { throw child.mistake("is no text") }
        return text
    }

    func number(_ name: String) throws(Failure) -> UInt64? {
        guard let child = child(name) else { return nil }
        switch child.value {
        case .integer(let number) where number >= 0: return UInt64(number)
        case .unsigned(let number): return number
        default: throw child.mistake("is no number")
        }
    }

    func elements(_ name: String) throws(Failure) -> [ProfileReader] {
        guard let child = child(name) else { return [] }
        guard case .array(let values) = child.value else { throw child.mistake("is no list") }
        return values.enumerated().map {
            ProfileReader(value: $0.element, place: "\(child.place)[\($0.offset)]", profile: profile)
        }
    }

    func texts(_ name: String) throws(Failure) -> [String] {
        var texts: [String] = []
        for element in try elements(name) {
            guard case .string(let text) = element.value else { throw element.mistake("is no text") }
            texts.append(text)
        }
        return texts
    }

    /// - Parameter errno: SECCOMP_RET_DATA; of an errno the kernel makes 4095 what is more (linux/err.h, MAX_ERRNO).
    func action(_ name: String, errno: UInt64) throws(Failure) -> SeccompAction {
        func data(upTo most: UInt16) throws(Failure) -> UInt16 {
            guard errno <= UInt64(most) else {
                throw mistake("gives \(name) the number \(errno)", advice: "the largest is \(most)")
            }
            return UInt16(errno)
        }
        switch name {
        case "SCMP_ACT_ALLOW": return .allow
        case "SCMP_ACT_ERRNO": return .errno(try data(upTo: 4095))
        case "SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD": return .killThread
        case "SCMP_ACT_KILL_PROCESS": return .killProcess
        case "SCMP_ACT_TRAP": return .trap
        case "SCMP_ACT_TRACE": return .trace(try data(upTo: .max))
        case "SCMP_ACT_LOG": return .log
        case "SCMP_ACT_NOTIFY": return .notify
        default:
            let known = [
                "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD",
                "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP", "SCMP_ACT_TRACE", "SCMP_ACT_LOG",
            ]
            throw mistake(
                "has the action \"\(name)\"",
                advice: nearest(to: name, among: known).map { "did you mean \($0)?" }
                    ?? known.joined(separator: ", "))
        }
    }

    /// One; or one for each condition where two speak of the same argument: then any of them is enough, as in runc.
    func rules(fallback: UInt64) throws(Failure) -> [SeccompRule] {
        var names = try texts("names")
        if let name = try text("name") { names.append(name) }
        guard !names.isEmpty else { throw mistake("names no system call", advice: "give it `names`") }
        guard let action = try text("action") else { throw mistake("has no `action`") }
        let errno = try number("errnoRet") ?? fallback
        var conditions: [ArgumentCondition] = []
        for argument in try elements("args") { conditions.append(try argument.condition()) }
        let isAnyEnough = Set(conditions.map(\.argument)).count < conditions.count
        let decided = try self.action(action, errno: errno)
        let (onlyIf, unless) = (try gate("includes"), try gate("excludes"))
        return (isAnyEnough ? conditions.map { [$0] } : [conditions]).map { conditions in
            SeccompRule(
                decided, names.compactMap { Syscall(name: $0) }, when: conditions, onlyIf: onlyIf,
                unless: unless)
        }
    }

    private func condition() throws(Failure) -> ArgumentCondition {
        guard let index = try number("index"), index < 6 else {
            throw mistake("has no `index` from 0 to 5")
        }
        guard let value = try number("value") else { throw mistake("has no `value`") }
        let comparison: ArgumentCondition.Comparison
        switch try text("op") {
        case "SCMP_CMP_NE": comparison = .notEqual
        case "SCMP_CMP_LT": comparison = .less
        case "SCMP_CMP_LE": comparison = .lessOrEqual
        case "SCMP_CMP_EQ": comparison = .equal
        case "SCMP_CMP_GE": comparison = .greaterOrEqual
        case "SCMP_CMP_GT": comparison = .greater
        case "SCMP_CMP_MASKED_EQ":
            // `value` is the mask here, `valueTwo` what is left of it (seccomp_rule_add(3)).
            return ArgumentCondition(Int(index), .masked(value), try number("valueTwo") ?? 0)
        default:
            throw mistake("has no `op` that is known", advice: "such as SCMP_CMP_EQ")
        }
        return ArgumentCondition(Int(index), comparison, value)
    }

    private func gate(_ name: String) throws(Failure) -> RuleGate? {
        guard let child = child(name) else { return nil }
        var gate = RuleGate()
        for name in try child.texts("caps") {
            guard let capability = Capability(name: name) else {
                throw child.mistake("names the capability \"\(name)\", which there is not")
            }
            gate.capabilities.formUnion(CapabilitySet(capability))
        }
        for name in try child.texts("arches") {
            switch name {
            case "amd64", "x86_64": gate.architectures.insert(.x86_64)
            case "arm64", "aarch64": gate.architectures.insert(.aarch64)
            // Of its sibling's calls the machine's own decides, as in moby: x86, x32 and arm come along.
            default: gate.namesOtherArchitectures = true
            }
        }
        if let release = try child.text("minKernel") {
            guard let version = KernelVersion(release: release) else {
                throw child.mistake("has the kernel version \"\(release)\"", advice: "such as 4.8")
            }
            gate.minimumKernel = version
        }
        return gate
    }
}
