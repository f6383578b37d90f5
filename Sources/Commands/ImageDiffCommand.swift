// SPDX-License-Identifier: Apache-2.0
//
// `image diff`: what files two images do not have alike, or what an image's last layer did.

internal import Basics
internal import Images

func runImageDiff(_ session: Session) throws(Failure) -> Int32 {
    let store = try session.imageStore()
    let words = session.arguments.operands
    let first = try stored(words[0], session, store)
    let changes =
        words.count == 1
        ? try store.changes(in: first)
        : try store.changes(from: first, to: try stored(words[1], session, store))
    let asJSON = session.arguments.last(.format) == "json"
    var text = ""
    for change in changes {
        // A line is a path, whatever its name is made of.
        let path = "/" + String(decoding: change.path, as: UTF8.self)
        if asJSON {
            text +=
                JSONText.object([("Change", .string(change.kind.rawValue)), ("Path", .string(path))]).compact
                + "\n"
        } else {
            text += "\(letter(change.kind)) \(escaped(path))\n"
        }
    }
    session.out.write(text)
    return 0
}

/// As `docker diff` writes it.
private func letter(_ kind: TreeChange.Kind) -> Character {
    switch kind {
    case .added: "A"
    case .changed: "C"
    case .deleted: "D"
    }
}
