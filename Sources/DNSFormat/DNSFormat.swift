// SPDX-License-Identifier: Apache-2.0
//
// DNSFormat: DNS messages ↔ values (RFC 1035). Opens no socket.
