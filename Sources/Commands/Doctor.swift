// SPDX-License-Identifier: Apache-2.0

internal import Basics

func runDoctor(_ session: Session) throws(Failure) -> Int32 { 0 }
