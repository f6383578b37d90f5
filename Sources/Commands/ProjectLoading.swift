// SPDX-License-Identifier: Apache-2.0
//
// ProjectLoading: the command line's wishes handed to the Compose loader.

internal import Basics
internal import ComposeModel

func loadProject(_ session: Session) throws(Failure) -> Project {
    throw Failure("cannot load the project", cause: "the loader is not merged yet")
}
