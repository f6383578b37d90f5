// SPDX-License-Identifier: Apache-2.0
//
// Archives: tar, gzip, zstd and OCI whiteouts as streams. Decides nothing about images.
