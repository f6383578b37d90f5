// SPDX-License-Identifier: Apache-2.0
internal import Basics
internal import Netlink
public final class Firewall {
    let socket: NetlinkSocket
    init(_ socket: NetlinkSocket) { self.socket = socket }
    func withdraw(matching: (String) -> Bool) throws(Failure) {}
}
