// SPDX-License-Identifier: Apache-2.0
//
// Docker's documented `driver_opts` of one interface of a service; everybody's files have them.

extension Service.Attachment {
    public enum Option {
        public static let interfaceName = "com.docker.network.endpoint.ifname"
        public static let sysctls = "com.docker.network.endpoint.sysctls"

        /// What the sysctls option says: `NAME=VALUE`, with commas between; nil for a name without a value.
        public static func entries(of text: String) -> [(name: String, value: String?)] {
            text.split(separator: ",").map { entry in
                let parts = entry.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                let value = parts.count == 2 && !parts[1].isEmpty ? String(parts[1]) : nil
                return (String(parts[0]), value)
            }
        }
    }
}
