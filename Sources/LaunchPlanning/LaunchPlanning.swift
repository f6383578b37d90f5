// SPDX-License-Identifier: Apache-2.0
//
// LaunchPlanning: a container request and host facts → launch program. Pure.
