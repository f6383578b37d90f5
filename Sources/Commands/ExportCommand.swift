// SPDX-License-Identifier: Apache-2.0
//
// `export`: all files of a container as a tar, its image's and those it wrote, without volumes.

internal import Archives
internal import Basics
internal import CLinux
internal import Kernel

func runExport(_ session: Session) throws(Failure) -> Int32 {
    let service = session.arguments.operands[0]
    let doing = "cannot export \"\(service)\""
    let index = try session.arguments.number(.index, atLeast: 1)
    let container = try session.container(of: service, number: index)
    let tree = try ContainerTree(session, container, writable: false, isBare: true)
    guard let target = session.arguments.last(.output), target != "-" else {
        guard !isTerminal(session.invocation.output) else {
            throw Failure(doing, cause: "the standard output is a terminal", advice: "name a file with -o")
        }
        try exportTree(tree.root, to: session.invocation.output, doing)
        return 0
    }
    try writeOutput(to: session.invocation.absolute(target), doing) { (file) throws(Failure) in
        try exportTree(tree.root, to: file.raw, doing)
    }
    return 0
}

private func exportTree(_ root: SharedFD, to fd: Int32, _ doing: String) throws(Failure) {
    let file = SharedFD(
        try naming(doing) { () throws(SyscallError) in OwnedFD(taking: try retrying("dup") { dup(fd) }) })
    try copying(doing) { () throws(ArchiveError) in
        let writer = TarWriter(FileSink(file, name: "the archive"))
        try TreeSource(writer).sendContents(of: root.raw, as: [])
        try writer.finish()
    }
}
