// SPDX-License-Identifier: Apache-2.0
//
// `stats`: what containers use, as a table that is drawn again each second, or once. Looked at from the client: the
// controller has nothing to do with it.

internal import Basics
internal import Cgroups
internal import Controller
internal import Kernel

func runStats(_ session: Session) throws(Failure) -> Int32 {
    let place = try session.place()
    let wanted = session.arguments.operands
    let asJSON = session.arguments.last(.format) == "json"
    func chosen() throws(Failure) -> [ContainerStatus] {
        let all = try session.containers(place)
        try checkKnown(wanted, among: all.map(\.service), session)
        return all.filter {
            (wanted.isEmpty || wanted.contains($0.service)) && ($0.state.isUp || session.arguments.has(.all))
        }
    }
    // Processor use is a difference: the first look alone says nothing.
    var containers = try chosen()
    var reader = UsageReader(cgroups: try projectCgroups(place, containers))
    _ = containers.map { reader.read($0) }
    let once = session.arguments.has(.noStream)
    while true {
        pauseBetweenLooks(once ? .milliseconds(500) : .seconds(1))
        containers = try chosen()
        let rows = containers.map { (container: $0, usage: reader.read($0)) }
        if asJSON {
            for row in rows { session.out.line(usageJSON(row.container, row.usage).compact) }
        } else {
            let text = usageTable(rows)
            // The screen's upper left, and all below it cleared (ECMA-48: CUP, ED).
            session.out.write(session.out.isTerminal && !once ? "\u{1b}[H\u{1b}[J\(text)" : text)
        }
        if once { return 0 }
    }
}

/// `12.3MiB`, in Docker's binary units.
func binarySize(_ bytes: Int64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"]
    var value = Double(max(0, bytes))
    var unit = 0
    while value >= 1024, unit < units.count - 1 {
        value /= 1024
        unit += 1
    }
    return unit == 0 ? "\(bytes)B" : "\(decimal(value, value < 10 ? 2 : value < 100 ? 1 : 0))\(units[unit])"
}

/// A number with so many digits after the point.
func decimal(_ value: Double, _ digits: Int) -> String {
    let scale = (0..<digits).reduce(1.0) { scale, _ in scale * 10 }
    let scaled = Int64((value * scale).rounded())
    if digits == 0 { return "\(scaled)" }
    let fraction = String(scaled % Int64(scale))
    return "\(scaled / Int64(scale)).\(String(repeating: "0", count: digits - fraction.count))\(fraction)"
}

private func cells(_ usage: Usage?) -> [String] {
    guard let usage else { return ["--", "-- / --", "--", "-- / --", "-- / --", "--"] }
    return [
        "\(decimal(usage.processorShare * 100, 2))%",
        "\(binarySize(usage.memory)) / \(binarySize(usage.memoryLimit))",
        "\(decimal(usage.memoryShare * 100, 2))%",
        "\(humanSize(bytes: usage.received)) / \(humanSize(bytes: usage.sent))",
        "\(humanSize(bytes: usage.read)) / \(humanSize(bytes: usage.written))",
        "\(usage.processes)",
    ]
}

func usageTable(_ rows: [(container: ContainerStatus, usage: Usage?)]) -> String {
    table(
        ["NAME", "SERVICE", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "BLOCK I/O", "PIDS"],
        rows.map { [$0.container.name, $0.container.service] + cells($0.usage) })
}

/// Docker's keys, and the numbers themselves beside its texts.
func usageJSON(_ container: ContainerStatus, _ usage: Usage?) -> JSONText {
    let cells = cells(usage)
    func count(_ value: Int64?) -> JSONText { value.map { .number($0) } ?? .null }
    return .object([
        ("Name", .string(container.name)), ("Service", .string(container.service)),
        ("CPUPerc", .string(cells[0])), ("MemUsage", .string(cells[1])), ("MemPerc", .string(cells[2])),
        ("NetIO", .string(cells[3])), ("BlockIO", .string(cells[4])), ("PIDs", .string(cells[5])),
        ("CPUNanoseconds", count(usage?.processorTime)), ("MemoryBytes", count(usage?.memory)),
        ("MemoryLimitBytes", count(usage?.memoryLimit)), ("NetReceivedBytes", count(usage?.received)),
        ("NetSentBytes", count(usage?.sent)), ("BlockReadBytes", count(usage?.read)),
        ("BlockWrittenBytes", count(usage?.written)),
    ])
}
