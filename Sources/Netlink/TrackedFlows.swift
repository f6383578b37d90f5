// SPDX-License-Identifier: Apache-2.0
//
// Flows that connection tracking remembers (nfnetlink_conntrack): to list those over udp and IPv4, and to have one forgotten.
// A flow is deleted by the tuple and number it was listed with and never by a filter: kernels before 6.8 know no filter
// there, and a deletion that names no tuple empties the table (ctnetlink_del_conntrack).

/// A udp flow over IPv4.
public struct TrackedFlow: Hashable, Sendable {
    /// Where its first packet was sent to.
    public var destination: IPv4Address
    public var destinationPort: UInt16
    /// Who is to answer: where packets go, after translation.
    public var answerer: IPv4Address
    public var answererPort: UInt16
    /// CTA_TUPLE_ORIG, CTA_ZONE and CTA_ID as they were listed; only the first is always there.
    fileprivate let tuple: [UInt8]
    fileprivate let zone: [UInt8]?
    fileprivate let number: [UInt8]?

    /// From an IPCTNL_MSG_CT_NEW; nil for any other message or flow.
    public init?(_ message: Message) {
        guard message.type == FlowMessage.new, message.payload.first == FlowMessage.internet else {
            return nil
        }
        let attributes = message.attributes(after: 4)
        guard let original = attributes.first(FlowAttribute.original),
            let there = Tuple(original.nested), there.proto == FlowMessage.udp,
            let back = attributes.first(FlowAttribute.reply).flatMap({ Tuple($0.nested) })
        else { return nil }
        destination = there.destination
        destinationPort = there.destinationPort
        answerer = back.source
        answererPort = back.sourcePort
        tuple = Array(original.payload)
        zone = attributes.first(FlowAttribute.zone).map { Array($0.payload) }
        number = attributes.first(FlowAttribute.number).map { Array($0.payload) }
    }
}

/// CTA_TUPLE_IP and CTA_TUPLE_PROTO.
private struct Tuple {
    var source: IPv4Address
    var destination: IPv4Address
    var proto: UInt8
    var sourcePort: UInt16
    var destinationPort: UInt16

    init?(_ attributes: Attributes) {
        guard let addresses = attributes.first(1)?.nested, let transport = attributes.first(2)?.nested,
            let source = addresses.first(1)?.address, let destination = addresses.first(2)?.address,
            let proto = transport.first(1)?.u8, let sourcePort = transport.first(2)?.u16,
            let destinationPort = transport.first(3)?.u16
        else { return nil }
        self.source = source
        self.destination = destination
        self.proto = proto
        self.sourcePort = sourcePort.byteSwapped
        self.destinationPort = destinationPort.byteSwapped
    }
}

/// linux/netfilter/nfnetlink_conntrack.h; NFNL_SUBSYS_CTNETLINK is 1.
private enum FlowMessage {
    static let new: UInt16 = 1 << 8 | 0
    static let get: UInt16 = 1 << 8 | 1
    static let delete: UInt16 = 1 << 8 | 2
    static let internet: UInt8 = 2
    static let udp: UInt8 = 17
}

private enum FlowAttribute {
    static let original: UInt16 = 1
    static let reply: UInt16 = 2
    static let number: UInt16 = 12
    static let zone: UInt16 = 18
    static let filter: UInt16 = 25
}

extension Requests {
    /// Lists flows over IPv4: of udp alone since Linux 5.8, which knows CTA_FILTER; before, it passes that over and lists all.
    public mutating func dumpUDPFlows() {
        add(type: FlowMessage.get, flags: MessageFlags.dump, "list udp flows") { m in
            m.flowHeader()
            m.nested(FlowAttribute.original, flagged: true) { m in
                m.nested(2, flagged: true) { $0.attribute(1, u8: FlowMessage.udp) }
            }
            // CTA_FILTER_ORIG_FLAGS with CTA_FILTER_F_CTA_PROTO_NUM (nf_internals.h): of the tuple above only that counts.
            m.nested(FlowAttribute.filter, flagged: true) { $0.attribute(1, u32: 1 << 3) }
        }
    }

    /// Has a flow forgotten: its next packet is looked at as a new flow's first. ENOENT when it is not there any more.
    public mutating func deleteFlow(_ flow: TrackedFlow) {
        add(type: FlowMessage.delete, "end the udp flow to \(flow.destination):\(flow.destinationPort)") {
            m in
            m.flowHeader()
            m.nested(FlowAttribute.original, flagged: true) { $0.append(bytes: flow.tuple) }
            if let zone = flow.zone { m.attribute(FlowAttribute.zone, bytes: zone) }
            if let number = flow.number { m.attribute(FlowAttribute.number, bytes: number) }
        }
    }
}

extension MessageBuilder {
    /// struct nfgenmsg: AF_INET, version 0, no resource.
    fileprivate mutating func flowHeader() {
        append(FlowMessage.internet)
        append(bytes: [0, 0, 0])
    }
}
