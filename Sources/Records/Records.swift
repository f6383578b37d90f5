// SPDX-License-Identifier: Apache-2.0
//
// Records: one directory is one record: atomic writes, locks, layout version.
