// SPDX-License-Identifier: Apache-2.0
//
// Volumes: volume data directories.
