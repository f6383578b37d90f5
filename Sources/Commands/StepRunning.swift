// SPDX-License-Identifier: Apache-2.0

internal import Basics
internal import ImageBuild

func stepRunner(root: String) -> StepRunner { .refusing(because: "not there yet") }
