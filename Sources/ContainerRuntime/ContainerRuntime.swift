// SPDX-License-Identifier: Apache-2.0
//
// ContainerRuntime: prepares, launches, execs into and deletes one container.
