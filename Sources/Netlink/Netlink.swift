// SPDX-License-Identifier: Apache-2.0
//
// Netlink: rtnetlink and nf_tables messages ↔ values (netlink(7), rtnetlink(7), linux/netfilter/nf_tables.h).
// Pure: it opens no socket and knows no project; `Networking` sends what is built here. Nothing but message layout,
// address arithmetic and the two blobs a container's child sends itself (`ContainerMessages.swift`) belongs here.
//
//   MessageBuilder   bytes with right lengths, alignment and nesting      Requests   a buffer of numbered requests
//   Message, Attributes, Reply    what the kernel answers, read safely    LinkRequests, RouteRequests, TableRequests
