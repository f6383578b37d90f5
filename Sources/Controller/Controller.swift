// SPDX-License-Identifier: Apache-2.0
//
// Controller: observe, plan, execute, supervise one project.
