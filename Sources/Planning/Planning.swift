// SPDX-License-Identifier: Apache-2.0
//
// Planning: Project → desired state, desired state + observation → plan. Pure: no clock, no IO.
