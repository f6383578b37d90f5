// SPDX-License-Identifier: Apache-2.0
//
// Properties that hold for every stack, tried on many random ones with a fixed seed each: a plan carried out
// leaves nothing to do; a plan broken off anywhere and planned again does so too; down after anything leaves nothing.

import Basics
import ContainerModel
import Planning
import Testing

@Suite("plans converge, whatever happens")
struct PlanPropertyTests {
    @Test("a plan carried out leaves nothing to do", arguments: 0..<60)
    func converges(seed: Int) throws {
        var dice = Dice(seed: seed)
        var world = World()
        for _ in 0..<4 {
            let desired = dice.stack()
            let options = dice.options()
            world.apply(try plan(desired, world, options), for: desired)
            #expect(world.broken == [])
            let again = try plan(desired, world, options)
            #expect(!again.changesSomething, "\(again)")
        }
    }

    @Test("a plan broken off after any operation is finished by the next", arguments: 0..<25)
    func prefixes(seed: Int) throws {
        var dice = Dice(seed: seed)
        let (first, second) = (dice.stack(), dice.stack())
        let options = dice.options()
        var start = World()
        start.apply(try plan(first, start, options), for: first)
        let change = try plan(second, start, options)
        for count in 0...change.nodes.count {
            var world = start
            world.apply(change, for: second, first: count)
            // The stored requests may be the old ones or, once the controller has taken the new stack, those.
            if count % 2 == 1 { world.seen.requests = second.services }
            if dice.roll(2) == 0 { dice.breakSomething(in: &world) }
            world.apply(try plan(second, world, options), for: second)
            #expect(world.broken == [], "broken off after \(count) of\n\(change)")
            let again = try plan(second, world, options)
            #expect(!again.changesSomething, "broken off after \(count) of\n\(change)\n---\n\(again)")
        }
    }

    @Test("down after any operation leaves nothing", arguments: 0..<25)
    func down(seed: Int) throws {
        var dice = Dice(seed: seed)
        let (first, second) = (dice.stack(), dice.stack())
        var start = World()
        start.apply(try planUp(first, observed: start.seen), for: first)
        let change = try plan(second, start, dice.options())
        var options = DownOptions()
        options.removeVolumes = true
        for count in 0...change.nodes.count {
            var world = start
            world.apply(change, for: second, first: count)
            let down = try planDown(world.seen, options: options)
            world.apply(down, for: second, first: dice.roll(down.nodes.count + 1))
            world.apply(try planDown(world.seen, options: options), for: second)
            #expect(world.broken == [])
            #expect(world.seen.containers == [] && world.seen.networks == [:] && world.seen.volumes == [:])
        }
    }

    @Test("any order the dependencies allow carries the plan out", arguments: 0..<25)
    func anyOrder(seed: Int) throws {
        var dice = Dice(seed: seed)
        let (first, second) = (dice.stack(), dice.stack())
        let options = dice.options()
        var world = World()
        for desired in [first, second] {
            let plan = try plan(desired, world, options)
            var open = Array(plan.nodes.indices)
            var done: Set<Int> = []
            var order = Plan(project: "demo")
            while !open.isEmpty {
                let ready = open.filter { plan.nodes[$0].dependencies.allSatisfy(done.contains) }
                let next = ready[dice.roll(ready.count)]
                open.removeAll { $0 == next }
                done.insert(next)
                order.nodes.append(plan.nodes[next])
            }
            world.apply(order, for: desired)
            #expect(world.broken == [], "in this order\n\(order)")
        }
    }

    @Test("stop then start, and restart, give back what ran", arguments: 0..<25)
    func life(seed: Int) throws {
        var dice = Dice(seed: seed)
        let desired = dice.stack()
        var world = World()
        world.apply(try planUp(desired, observed: world.seen), for: desired)
        let before = world.seen
        for plan in [planStop, planStop] { world.apply(try plan(world.seen, [], nil), for: desired) }
        #expect(!world.seen.containers.contains { $0.state.isLive })
        world.apply(try planStart(world.seen), for: desired)
        #expect(world.seen == before)
        world.apply(try planRestart(world.seen), for: desired)
        #expect(world.seen == before)
        #expect(world.broken == [])
    }

    private func plan(_ desired: DesiredState, _ world: World, _ options: UpOptions) throws -> Plan {
        try planUp(desired, observed: world.seen, options: options)
    }
}

/// Random stacks, the same for the same seed (SplitMix64).
struct Dice {
    private var state: UInt64

    init(seed: Int) { state = UInt64(seed) &* 0x9e37_79b9_7f4a_7c15 &+ 1 }

    mutating func roll(_ sides: Int) -> Int {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return Int((z ^ (z >> 31)) % UInt64(sides))
    }

    /// Up to seven services of nine names, each depending only on ones before it.
    mutating func stack() -> DesiredState {
        var lines: [String] = []
        var healthy: [String] = []
        var once: [String] = []
        var names: [String] = []
        // Which services of both stacks depend on which is drawn anew, so that dependencies turn round too.
        let turned = roll(2) == 0
        for number in 0..<9 where roll(4) != 0 {
            let name = "s\(turned ? 8 - number : number)"
            var items: [String] = []
            for other in names where roll(4) == 0 {
                let condition =
                    healthy.contains(other) && roll(2) == 0
                    ? " healthy" : once.contains(other) ? " completed" : ""
                items.append(
                    "needs \(other)\(condition)\(roll(3) == 0 ? " restart" : "")\(roll(5) == 0 ? " optional" : "")"
                )
            }
            switch roll(4) {
            case 0: items.append("once"); once.append(name)
            case 1: items.append("check"); healthy.append(name)
            default: break
            }
            if roll(3) == 0 {
                items.append("replicas \(roll(4))")
            } else if roll(3) == 0 {
                items.append("port \(80 + number)")
            }
            if roll(3) == 0 { items.append("mem \(1 + roll(2))m") }
            if roll(2) == 0 { items.append("net \(["a", "b", "a b"][roll(3)])") }
            if roll(3) == 0 { items.append("volume \(["v", "w"][roll(2)])") }
            if roll(4) == 0, !items.contains(where: { $0.hasPrefix("replicas") }) {
                items.append("named n\((number + roll(2) * 5) % 9)")
            }
            names.append(name)
            lines.append("\(name): \(items.joined(separator: "; "))")
        }
        var used: Set<String> = []
        lines = lines.map { line in
            // A name is one container's only.
            guard let range = line.firstRange(of: "named n") else { return line }
            let name = String(line[range.lowerBound...].prefix(8))
            return used.insert(name).inserted ? line : line.replacing(name, with: "env X=1")
        }
        let text = lines.joined(separator: "\n")
        if text.contains("net a"), roll(3) == 0 {
            lines.append("network a: \(roll(2) == 0 ? "internal" : "subnet 10.0.0.0/24")")
        }
        return read(lines.joined(separator: "\n"))
    }

    /// Orphans hold names and ports, so they go.
    mutating func options() -> UpOptions {
        var options = UpOptions()
        options.removeOrphans = true
        options.wait = roll(2) == 0
        return options
    }

    mutating func breakSomething(in world: inout World) {
        guard !world.seen.containers.isEmpty else { return }
        let name = world.seen.containers[roll(world.seen.containers.count)].name
        switch roll(5) {
        case 0: world.change(name) { $0.state = .exited(code: 1, onRequest: false) }
        case 1: world.change(name) { $0.state = .exited(code: nil, onRequest: false) }
        case 2: world.change(name) { $0.state = .dead }
        case 3: world.remove(name)
        default:
            // Somebody deletes a bridge.
            if let network = world.seen.networks.keys.sorted().first { world.seen.networks[network] = nil }
        }
    }
}

/// `stack`, which `Dice.stack` hides.
private func read(_ text: String) -> DesiredState { stack(text) }
