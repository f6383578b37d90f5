// SPDX-License-Identifier: Apache-2.0
//
// Planning: Project → desired state, desired state + observation → plan. Pure: no clock, no IO.
//
// Two halves. Lowering (Lowering*.swift, ConfigHash.swift) turns what the user wrote, and what the images say,
// into requests; it runs in the client. Planning proper (Observation, Operation, Plan, Planner*.swift) compares
// requests with what exists and says what to do, in which order, and why; it runs in the controller.
// What does not belong here: reading files, looking at the kernel, carrying a plan out.
