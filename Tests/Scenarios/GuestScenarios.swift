// SPDX-License-Identifier: Apache-2.0
//
// A project on a network of another one, which makes it anew, changes it, or is not there yet; and ports where nothing leads.

import Glibc
import Kernel
import Testing

/// The guest is the stage's own project; its name comes before the owner's.
private struct Visit {
    let stage: Stage
    var ownersName: String { "z-\(stage.project)" }
    var network: String { "sh-\(stage.project)" }

    func guest(_ arguments: String..., code: Int32 = 0) throws -> Outcome {
        try run(arguments, code, [])
    }

    func owner(_ arguments: String..., code: Int32 = 0, variables: [String] = []) throws -> Outcome {
        try run(["-f", "owner.yaml", "-p", ownersName] + arguments, code, variables)
    }

    private func run(_ arguments: [String], _ code: Int32, _ variables: [String]) throws -> Outcome {
        let outcome = try stage.start(arguments, variables: variables + ["SHARED=\(network)"]).wait()
        try stage.require(outcome.code == code, "\(arguments): \(outcome)")
        return outcome
    }

    /// Each finds the other, and the host the guest's port.
    func meet(_ variables: [String] = []) throws {
        _ = try guest("exec", "-T", "two", "ping", "-c", "1", "-w", "5", "one")
        _ = try owner("exec", "-T", "one", "ping", "-c", "1", "-w", "5", "two", variables: variables)
        try stage.eventually("the guest's port is published") {
            try stage.inHost(["curl", "-s", "-m", "2", "http://127.0.0.1:18098/"]).output == "served\n"
        }
    }

    /// Its link goes with its network namespace, which the kernel clears away a moment after its last process.
    func stopGuest() throws {
        _ = try guest("stop", "-t", "0")
        try stage.eventually("its link is gone") {
            try !stage.inHost(["ip", "link"]).output.contains("-two-1/")
        }
    }

    func endOwner() throws { _ = try owner("down", "-v", "--timeout", "1") }
}

extension Scenarios.Networks {
    @Test("a guest that is started again sees the network that its owner has made anew meanwhile")
    func networkMadeAnew() throws {
        try Stage.play("guests") { stage in
            let visit = Visit(stage: stage)
            _ = try visit.owner("up", "-d")
            _ = try visit.guest("up", "-d")
            try visit.meet()
            // The same network on another bridge.
            try visit.stopGuest()
            _ = try visit.owner("down", "-t", "0")
            _ = try visit.owner("up", "-d")
            _ = try visit.guest("start")
            try visit.meet()
            // Another subnet: the guest gets an address there, and the old one is nobody's any more.
            try visit.stopGuest()
            let moved = ["SUBNET=10.72.0.0/24"]
            _ = try visit.owner("up", "-d", variables: moved)
            _ = try visit.guest("start")
            try visit.meet(moved)
            let own = try visit.guest("exec", "-T", "two", "hostname", "-i").text
            let leases = contents("\(stage.directory)/root/leases/addresses-\(visit.network).json")
            try stage.require(own.hasPrefix("10.72.0.") && !leases.contains("10.71."), "\(own): \(leases)")
            // While the owner is away there is nothing to be started on.
            try visit.stopGuest()
            _ = try visit.owner("down", "-t", "0", variables: moved)
            let refused = try visit.guest("start", code: 1)
            try stage.require(
                refused.errors.contains("cannot use external network \"\(visit.network)\""), "\(refused)")
            try visit.endOwner()
        }
    }

    @Test(
        "resume brings up a guest whose name comes before its network's owner, and one that could not come up before"
    )
    func resumedGuest() throws {
        try Stage.play("guests") { stage in
            let visit = Visit(stage: stage)
            _ = try visit.owner("up", "-d")
            _ = try visit.guest("up", "-d")
            try stage.reboot(emptiesRun: true, besides: [visit.ownersName])
            let resumed = try visit.guest("resume")
            try stage.require(try stage.container("two").State == "running", "\(resumed)")
            try visit.meet()
            // The owner rests: the guest can't come up, and can once the owner is there.
            _ = try visit.owner("stop", "-t", "0")
            try stage.reboot(emptiesRun: true, besides: [visit.ownersName])
            let alone = try visit.guest("resume", code: 1)
            try stage.require(alone.errors.contains("external network"), "\(alone)")
            _ = try visit.owner("up", "-d")
            let second = try visit.guest("resume")
            try stage.require(try stage.container("two").State == "running", "\(second)")
            try visit.meet()
            let third = try visit.guest("resume")
            try stage.require(third.errors.contains("nothing to resume"), "\(third)")
            _ = try visit.guest("down", "-t", "0")
            try visit.endOwner()
        }
    }

    @Test("ports of a container on internal networks alone are told to lead nowhere, and taken from nobody")
    func shutOff() throws {
        try Stage.play("guests") { stage in
            func isTaken() throws -> Bool {
                try stage.inHost(["ss", "-Hltn", "sport = :18098"]).output.contains("18098")
                    || contents("\(stage.directory)/root/leases/ports.json").contains("18098")
            }
            // Bound without listening it is in no list.
            let bind = ["python3", "-c", "import socket; socket.socket().bind(('0.0.0.0', 18098))"]
            let up = try stage.covey("-f", "shut.yaml", "up", "-d")
            try stage.require(up.errors.contains("`services.inside.ports` has no effect"), "\(up)")
            try stage.require(try !isTaken() && stage.inHost(bind).succeeded, "the port is taken")
            let shown = try stage.covey("ps").output
            try stage.require(!shown.contains("18098"), shown)
            try stage.covey("down", "-t", "0")
            // Of another project's network it is known when the container is started.
            let visit = Visit(stage: stage)
            _ = try visit.owner("up", "-d", variables: ["INTERNAL=true"])
            let told = try visit.guest("up", "-d")
            try stage.require(
                told.errors.contains("the ports of container \"\(stage.project)-two-1\" are not published"),
                "\(told)")
            try stage.require(try !isTaken() && stage.inHost(bind).succeeded, "the port is taken")
            _ = try visit.guest("down", "-t", "0")
            try visit.endOwner()
        }
    }
}
