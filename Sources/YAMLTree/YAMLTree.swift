// SPDX-License-Identifier: Apache-2.0
//
// YAMLTree: YAML text → nodes that keep file:line:column and tags. Knows nothing of Compose.
