// SPDX-License-Identifier: Apache-2.0
//
// SeccompCompiler: seccomp policies → classic BPF programs. Loads nothing.
