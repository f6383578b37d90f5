// SPDX-License-Identifier: Apache-2.0
//
// `gpus`, `deploy.resources.reservations.devices` and CDI names under `devices`: which devices of the host's CDI files are
// meant, and what they do to the container.

import Basics
import ComposeModel
import ContainerModel

extension ServiceLowering {
    /// Puts what the named devices need into the request.
    func interfaceDevices(_ container: inout ContainerRequest, _ rare: inout RareSettings) throws(Failure) {
        var names = service.devices.map(\.source).filter(isInterfaceName)
        for request in service.gpus { names += try devices(for: request, "gpus") }
        for request in service.deploy?.reservations?.devices ?? [] {
            names += try devices(for: request, "deploy")
        }
        guard !names.isEmpty else { return }
        var seen: Set<String> = []
        let edits: CDICatalogue.Edits
        do throws(Failure) {
            edits = try contents.devices.edits(for: names.filter { seen.insert($0).inserted })
        } catch {
            throw Failure(
                "service \(quoted(service.name)): \(error.doing)", cause: error.cause, advice: error.advice,
                at: service.marks.place("gpus", "devices", "deploy"))
        }
        for variable in edits.environment {
            let name = variable.prefix { $0 != "=" } + "="
            container.environment.removeAll { $0.hasPrefix(name) }
            container.environment.append(variable)
        }
        rare.devices += edits.devices
        for group in edits.groups where !rare.groups.contains(group) { rare.groups.append(group) }
        for mount in edits.mounts where !container.mounts.contains(where: { $0.target == mount.target }) {
            container.mounts.append(mount)
        }
    }

    /// `vendor.com/class=name`.
    func isInterfaceName(_ text: String) -> Bool {
        !text.hasPrefix("/") && text.contains("/") && text.contains("=")
    }

    private func devices(for request: DeviceRequest, _ attribute: String) throws(Failure) -> [String] {
        if let option = request.options.keys.min() {
            throw mistake(
                attribute, "gives the device option \(quoted(option))",
                cause: "options are for drivers of another engine; here devices come from CDI files",
                advice: "remove `options`")
        }
        if request.driver == "cdi"
            || request.driver == nil && request.deviceIDs.contains(where: isInterfaceName)
        {
            if let id = request.deviceIDs.first(where: { !isInterfaceName($0) }) {
                throw mistake(
                    attribute, "names the CDI device \(quoted(id))", advice: "such as nvidia.com/gpu=0")
            }
            if request.deviceIDs.isEmpty {
                throw mistake(
                    attribute, "asks for CDI devices and names none", advice: "give them as `device_ids`")
            }
            return request.deviceIDs
        }
        if attribute != "gpus", !request.capabilities.contains("gpu") {
            throw mistake(
                attribute,
                "reserves a device with the capabilities \(request.capabilities.joined(separator: ", "))",
                cause: "only `gpu` is known without a driver", advice: "use `driver: cdi` with `device_ids`")
        }
        let kind = try gpuKind(request.driver, attribute)
        if !request.deviceIDs.isEmpty { return request.deviceIDs.map { "\(kind)=\($0)" } }
        return try some(of: kind, count: request.count ?? -1, attribute)
    }

    private func gpuKind(_ driver: String?, _ attribute: String) throws(Failure) -> String {
        switch driver {
        case "nvidia": return "nvidia.com/gpu"
        case "amd": return "amd.com/gpu"
        case nil: break
        case .some(let driver):
            throw mistake(
                attribute, "asks for devices of the driver \(quoted(driver))",
                cause: "nvidia, amd and cdi are known", advice: "use `driver: cdi` with `device_ids`")
        }
        let kinds = contents.devices.kinds.filter { $0.hasSuffix("/gpu") }
        if kinds.contains("nvidia.com/gpu") { return "nvidia.com/gpu" }
        guard let kind = kinds.first, kinds.count == 1 else {
            throw mistake(
                attribute, "asks for a GPU",
                cause: kinds.isEmpty
                    ? "no CDI file of this host names one"
                    : "this host has several kinds: \(kinds.joined(separator: ", "))",
                advice: kinds.isEmpty
                    ? "put the vendor's CDI specification into /etc/cdi"
                    : "use `driver: cdi` with `device_ids`")
        }
        return kind
    }

    /// A vendor gives the same device several names: its number, its serial number, and `all` for all of them.
    private func some(of kind: String, count: Int, _ attribute: String) throws(Failure) -> [String] {
        let names = contents.devices.names(of: kind)
        if count < 0, names.contains("all") { return ["\(kind)=all"] }
        let numbers = names.compactMap(Int.init).sorted().map(String.init)
        let each = numbers.isEmpty ? names.filter { $0 != "all" } : numbers
        guard !each.isEmpty, count < 0 || each.count >= count else {
            throw mistake(
                attribute, count < 0 ? "asks for a GPU" : "asks for \(count) devices of \(kind)",
                cause: "this host's CDI files name \(each.count)",
                advice: each.isEmpty ? "put the vendor's CDI specification into /etc/cdi" : "ask for fewer")
        }
        return (count < 0 ? each : Array(each.prefix(count))).map { "\(kind)=\($0)" }
    }
}
