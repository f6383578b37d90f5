// SPDX-License-Identifier: Apache-2.0
//
// Netlink: rtnetlink and nf_tables messages ↔ values. Opens no socket.
