// SPDX-License-Identifier: Apache-2.0
//
// What an agent answers (draft-miller-ssh-agent): which keys it has, and a signature by one of them. Everything else,
// keys to add above all, is refused: what was given at the start is all there ever is.

/// The keys of one agent.
public final class KeyRing {
    private let keys: [SigningKey]

    /// - files: private key files. What is kept of them is libcrypto's, which erases it when it goes.
    public init(_ files: [SecretBytes]) throws(KeyFileError) {
        var keys: [SigningKey] = []
        for file in files { keys.append(try SigningKey(PrivateKey(file: file))) }
        self.keys = keys
    }

    private enum Message {
        static let failure: UInt8 = 5
        static let requestIdentities: UInt8 = 11
        static let identitiesAnswer: UInt8 = 12
        static let signRequest: UInt8 = 13
        static let signResponse: UInt8 = 14
    }

    /// The answer to one message, both without their lengths.
    func answer(_ message: [UInt8]) -> [UInt8] {
        var reader = WireReader(message)
        var writer = WireWriter()
        switch reader.byte() {
        case Message.requestIdentities where reader.isAtEnd:
            writer.byte(Message.identitiesAnswer)
            writer.number(keys.count)
            for key in keys {
                writer.string(key.publicKey)
                writer.text(key.comment)
            }
        case Message.signRequest:
            guard let wanted = reader.string(), let data = reader.string(), let flags = reader.number(),
                reader.isAtEnd,
                let key = keys.first(where: { $0.publicKey == wanted }),
                let signature = key.signature(of: data, flags: flags)
            else { return [Message.failure] }
            writer.byte(Message.signResponse)
            writer.string(signature)
        default: return [Message.failure]
        }
        return writer.bytes
    }
}
