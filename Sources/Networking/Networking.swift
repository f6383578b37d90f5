// SPDX-License-Identifier: Apache-2.0
//
// Networking: bridges, endpoints, addresses, NAT, published ports, name service.
