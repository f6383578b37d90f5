// SPDX-License-Identifier: Apache-2.0
//
// Cgroups: cgroup v2, v1 and hybrid behind one face.
