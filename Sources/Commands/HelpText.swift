// SPDX-License-Identifier: Apache-2.0
//
// HelpText: what `--help` prints, made from the flag tables alone.

/// The help of all commands.
func helpText(commands: [CommandDefinition], globals: [Flag]) -> String {
    var text = """
        Brings a Compose project up on this host, keeps it as declared, takes it down without a trace.

        Usage: covey [FLAGS] COMMAND [FLAGS] [ARGUMENTS]

        Commands:

        """
    text += columns(commands.map { ($0.name, $0.summary) })
    text += "\nFlags of every command:\n" + flagColumns(globals)
    text += "\n`covey COMMAND --help` says more of one command.\n"
    return text
}

/// The help of the commands of one group, `image`.
func helpText(group: String, commands: [CommandDefinition]) -> String {
    let members = commands.filter { $0.name.hasPrefix("\(group) ") }
    return "Usage: covey \(group) COMMAND\n\nCommands:\n" + columns(members.map { ($0.name, $0.summary) })
}

/// The help of one command.
func helpText(_ command: CommandDefinition) -> String {
    var text = "\(command.summary)\n\nUsage: covey \(command.name)"
    if command.flags.contains(where: { !$0.hidden }) { text += " [FLAGS]" }
    if !command.operands.usage.isEmpty { text += " \(command.operands.usage)" }
    text += "\n"
    if !command.details.isEmpty { text += "\n\(command.details)\n" }
    let shown = command.flags.filter { !$0.hidden }
    if !shown.isEmpty { text += "\nFlags:\n" + flagColumns(shown) }
    text += "\n`covey --help` lists the flags of every command.\n"
    return text
}

private func flagColumns(_ flags: [Flag]) -> String {
    columns(flags.filter { !$0.hidden }.map { ($0.spelling, $0.help) })
}

/// Two columns; a left part too long for its column gets its own line.
private func columns(_ rows: [(left: String, right: String)]) -> String {
    let limit = 30
    let width = rows.map(\.left.count).filter { $0 <= limit }.max() ?? 0
    var text = ""
    for (left, right) in rows {
        text += "  \(left)"
        if left.count > width {
            text += "\n  " + String(repeating: " ", count: width)
        } else {
            text += String(repeating: " ", count: width - left.count)
        }
        text += "  \(right)\n"
    }
    return text
}
