// SPDX-License-Identifier: Apache-2.0
//
// ComposeLoader: Compose files, environment and overrides → Project plus diagnostics.
