// SPDX-License-Identifier: Apache-2.0
//
// Commands: flags, help, progress, tables: the command line's face.
