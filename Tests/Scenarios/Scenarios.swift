// SPDX-License-Identifier: Apache-2.0
//
// The scenarios: the built binary on the real kernel, one intent each. They run one after another; each is told by
// the files in projects/NAME, which a person can bring up by hand:
//
//     covey image import dir:ROOTFS bb:1 && covey -f Tests/Scenarios/projects/NAME/compose.yaml up

import Testing

@Suite(
    "scenarios", .serialized,
    .enabled(if: Host.isReady, "SKIPPED: the host lacks \(Host.lacks.joined(separator: ", "))"))
enum Scenarios {}
