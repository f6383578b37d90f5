// SPDX-License-Identifier: Apache-2.0
//
// `port`: where a container's port is to be reached on the host.

internal import Basics
internal import Controller

func runPort(_ session: Session) throws(Failure) -> Int32 {
    let operands = session.arguments.operands
    guard operands.count == 2 else { return 1 }
    let (service, text) = (operands[0], operands[1])
    // `53/udp`, as Docker takes it too.
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    let proto = parts.count > 1 ? parts[1] : session.arguments.last(.proto) ?? "tcp"
    guard let number = UInt16(parts[0]), number > 0, proto == "tcp" || proto == "udp" else {
        throw Failure("cannot understand the port \"\(text)\"", cause: "it is not of the form PORT[/tcp|udp]")
    }
    let container = try session.container(of: service)
    guard
        let port = container.ports.first(where: { $0.containerPort == number && $0.proto.rawValue == proto })
    else {
        throw Failure(
            "port \(number)/\(proto) of container \"\(container.name)\" is not published",
            cause: container.ports.isEmpty
                ? "none of its ports is" : "published: \(portsText(container.ports))",
            advice: "name it under the service's `ports`")
    }
    let address = port.hostAddress.contains(":") ? "[\(port.hostAddress)]" : port.hostAddress
    session.out.line("\(address):\(port.hostPort)")
    return 0
}

extension Session {
    /// The running container of a service that --index asks for, else its first.
    func container(of service: String) throws(Failure) -> ContainerStatus {
        let place = try place()
        let all = try containers(place)
        try checkKnown([service], among: all.map(\.service), self)
        let own = all.filter { $0.service == service && !$0.oneOff }
        let index = try arguments.number(.index, atLeast: 1)
        guard let found = index == nil ? own.first : own.first(where: { $0.index == index }) else {
            throw Failure(
                "service \"\(service)\" has no container\(index.map { " number \($0)" } ?? "")",
                cause: own.isEmpty ? nil : "it has \(own.count)",
                advice: own.isEmpty ? "bring it up with `covey up`" : nil)
        }
        guard found.state.isUp else {
            throw Failure(
                "container \"\(found.name)\" does not run", cause: "it is \(found.state.rawValue)",
                advice: "`covey start \(service)` starts it")
        }
        return found
    }

    /// A service's container by number, whether it runs or not; without one its first.
    func container(of service: String, number: Int?) throws(Failure) -> ContainerStatus {
        let all = try containers(try place())
        try checkKnown([service], among: all.map(\.service), self)
        let own = all.filter { $0.service == service && !$0.oneOff }
        guard let found = own.first(where: { number == nil || $0.index == number }) else {
            throw Failure(
                "service \"\(service)\" has no container\(number.map { " \($0)" } ?? "")",
                advice: "covey ps -a lists them")
        }
        return found
    }
}
