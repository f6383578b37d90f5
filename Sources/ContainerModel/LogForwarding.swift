// SPDX-License-Identifier: Apache-2.0
//
// Where a container's output goes beside the files it is kept in.

/// Each line of output is sent to a receiver of this host or another.
public struct LogForwarding: Hashable, Codable, Sendable {
    public enum Receiver: Hashable, Codable, Sendable {
        /// systemd's journal.
        case journal
        case syslog(SyslogReceiver)
    }
    public var receiver: Receiver
    /// Of each line; `{{.Name}}` and the like stand for what the container is called.
    public var tag: String
    /// Further fields, for the journal.
    public var fields: [String: String]

    public init(_ receiver: Receiver, tag: String = "{{.Name}}", fields: [String: String] = [:]) {
        self.receiver = receiver
        self.tag = tag
        self.fields = fields
    }

    /// What may stand in a tag.
    public static let placeholders = [
        "{{.Name}}", "{{.ID}}", "{{.FullID}}", "{{.ImageName}}", "{{.ImageID}}", "{{.ImageFullID}}",
    ]
}

public struct SyslogReceiver: Hashable, Codable, Sendable {
    public enum Transport: String, Codable, Sendable { case unix, udp, tcp }
    /// How a line is written: as the local one takes it, RFC 3164, RFC 5424, and that with microseconds.
    public enum Format: String, Codable, Sendable { case local, rfc3164, rfc5424, rfc5424micro }
    public var transport: Transport
    /// A path, or a numeric address.
    public var address: String
    public var port: UInt16
    /// From 0 to 23; RFC 5424, section 6.2.1.
    public var facility: Int
    public var format: Format

    public init(
        _ transport: Transport, _ address: String, port: UInt16 = 514, facility: Int = 3,
        format: Format = .local
    ) {
        self.transport = transport
        self.address = address
        self.port = port
        self.facility = facility
        self.format = format
    }
}
