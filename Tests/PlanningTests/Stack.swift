// SPDX-License-Identifier: Apache-2.0
//
// Desired states written as a few words a line, so that a test shows its stack and not its making:
//
//     db: check; volume data
//     web: needs db healthy restart; replicas 2; port 8080; net front
//     network front: subnet 10.1.0.0/24
//     volume data: external
//
// A service without `net` is on `default`. Real names begin with `demo_`.

import Basics
import ContainerModel
import Planning

func stack(_ text: String) -> DesiredState {
    var desired = DesiredState(project: "demo", directory: "/work")
    for line in text.split(separator: "\n") {
        let parts = line.split(separator: ":", maxSplits: 1)
        let head = parts[0].split(separator: " ").map(String.init)
        let items = (parts.count > 1 ? parts[1] : "").split(separator: ";")
            .map { $0.split(separator: " ").map(String.init) }.filter { !$0.isEmpty }
        switch head[0] {
        case "network":
            var request = NetworkRequest(name: "demo_\(head[1])")
            for item in items {
                switch item[0] {
                case "external": request.external = true
                case "internal": request.isInternal = true
                case "subnet": request.subnet = item[1]
                default: preconditionFailure("network \(item)")
                }
            }
            desired.networks[request.name] = request
        case "volume":
            var request = VolumeRequest(name: "demo_\(head[1])")
            request.external = items.first == ["external"]
            if items.first?.first == "label" { request.labels = ["a": "b"] }
            desired.volumes[request.name] = request
        case "disabled": desired.disabledServices.append(head[1])
        default: desired.services[head[0]] = service(head[0], items)
        }
    }
    for service in desired.services.values {
        for endpoint in service.container.networks where desired.networks[endpoint.network] == nil {
            desired.networks[endpoint.network] = NetworkRequest(name: endpoint.network)
        }
        for case .volume(let name) in service.container.mounts.map(\.source)
        where desired.volumes[name] == nil {
            desired.volumes[name] = VolumeRequest(name: name)
        }
    }
    return desired
}

private func service(_ name: String, _ items: [[String]]) -> ServiceRequest {
    var container = ContainerRequest(
        image: ImageFacts(reference: "app:1", id: Digest(of: "app:1".utf8), layers: []), arguments: ["/app"])
    var service = ServiceRequest(name: name, container: container, configHash: container.image.id)
    for item in items {
        switch item[0] {
        case "check": service.healthcheck = HealthcheckRequest(command: ["/probe"])
        case "replicas": service.replicas = Int(item[1]) ?? 1
        case "restart": service.restart = item[1] == "always" ? .always : .onFailure(maximumRetries: nil)
        case "named": service.containerName = item[1]
        case "needs":
            let words = Set(item.dropFirst(2))
            service.dependencies[item[1]] = DependencyRequest(
                condition: words.contains("healthy")
                    ? .healthy : words.contains("completed") ? .completed : .started,
                restart: words.contains("restart"), required: !words.contains("optional"))
        case "once": container.labels["once"] = "0"
        case "fails": container.labels["once"] = "1"
        case "port":
            let port = UInt16(item[1]) ?? 0
            container.ports.append(PortRequest(target: port, published: port...port))
        case "net": container.networks += item.dropFirst().map { EndpointRequest(network: "demo_\($0)") }
        case "address":
            container.networks.append(EndpointRequest(network: "demo_\(item[1])", ipv4Address: item[2]))
        case "address6":
            var endpoint = EndpointRequest(network: "demo_\(item[1])")
            endpoint.ipv6Address = IPv6Address(item[2])
            container.networks.append(endpoint)
        case "local":
            var endpoint = EndpointRequest(network: "demo_\(item[1])")
            endpoint.settings = EndpointSettings()
            endpoint.settings?.linkLocalAddresses = [item[2]]
            container.networks.append(endpoint)
        case "volume":
            container.mounts.append(MountRequest(source: .volume(name: "demo_\(item[1])"), target: "/data"))
        case "anonymous":
            let number = container.mounts.count { if case .anonymous = $0.source { true } else { false } }
            container.mounts.append(MountRequest(source: .anonymous(index: number), target: item[1]))
        case "from":
            var rare = container.rare ?? RareSettings()
            rare.volumesFrom.append(VolumesFrom(.service(item[1]), readOnly: false))
            container.rare = rare
            service.dependencies[item[1]] = DependencyRequest(condition: .started)
        case "first":
            var update = UpdateRequest()
            update.startsFirst = true
            service.update = update
        case "env": container.environment += item.dropFirst()
        case "image":
            container.image = ImageFacts(reference: item[1], id: Digest(of: item[1].utf8), layers: [])
        case "mem": container.limits.memory = ByteSize(item[1])
        case "grace": container.stopGracePeriod = Duration(compose: item[1]) ?? .zero
        case "secret":
            container.files.append(
                FileRequest(
                    title: "secret \"key\"", content: Digest(of: item[1].utf8), target: "/run/secrets/key"))
        default: preconditionFailure("service \(item)")
        }
    }
    if container.networks.isEmpty { container.networks = [EndpointRequest(network: "demo_default")] }
    service.container = container
    service.configHash = configHash(of: service)
    return service
}
