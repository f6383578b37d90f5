// SPDX-License-Identifier: Apache-2.0
//
// What a controller makes of what its keeper sends when descriptors have no room in it: the message comes without them
// (recvmsg(2), MSG_CTRUNC), and that is not the keeper's end.

private import CLaunch
import ContainerRuntime
import Glibc
import Kernel
import Testing

@Suite("the keeper's socket")
struct KeeperChannelTests {
    /// Receives what a keeper that sends this says; nothing is a keeper that is gone.
    private func received(_ kind: keeper_kind?) throws -> KeeperEvent? {
        let pair = try packetSocketPair()
        let channel = KeeperChannel(taking: dup(pair.first.raw))
        if let kind {
            var message = keeper_message()
            message.kind = kind.rawValue
            message.id = 7
            message.pid = 42
            try sendMessage(pair.second.raw, withUnsafeBytes(of: message) { [UInt8]($0) }, descriptors: [])
        }
        close(consume pair)
        return try channel.receive()
    }

    private func close(_ pair: consuming OwnedFDPair) {}

    @Test("a clone whose pidfd found no room is told, without it")
    func launchedWithoutRoom() throws {
        guard case .launched(let id, let pid, let pidfd) = try received(K_LAUNCHED) else {
            Issue.record("it is taken for something else")
            return
        }
        #expect(id == 7 && pid == 42 && pidfd == nil)
    }

    @Test("what a new controller can't take over is an error with its reason")
    func keptWithoutRoom() throws {
        for kind in [K_CHILD, K_HELD] {
            do {
                _ = try received(kind)
                Issue.record("it is taken for something else")
            } catch let error as SyscallError {
                #expect(error.errno == .tooManyFiles)
            }
        }
    }

    @Test("a socket without another end is the keeper's end")
    func gone() throws {
        #expect(try received(nil) == nil)
    }
}
