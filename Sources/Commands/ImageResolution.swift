// SPDX-License-Identifier: Apache-2.0
//
// ImageResolution: every service gets its image: taken from the store, imported when it is named by a transport,
// built when it says how.

internal import Basics
internal import ComposeModel
internal import Planning

/// What a command wants of images.
struct ImageWish {
    /// Build those that can be built, also when they exist.
    var build = false
    var noCache = false
    /// Make what is missing; without, a missing image is only named.
    var make = true
}

/// The images of a project's services, by service name.
func resolveImages(_ session: Session, _ project: Project, _ wish: ImageWish, _ progress: Progress)
    throws(Failure)
    -> [String: LoweredImage]
{
    throw Failure("cannot resolve images", cause: "the image store is not merged yet")
}

func runBuild(_ session: Session) throws(Failure) -> Int32 { 0 }
func runImageList(_ session: Session) throws(Failure) -> Int32 { 0 }
func runImageImport(_ session: Session) throws(Failure) -> Int32 { 0 }
func runImageRemove(_ session: Session) throws(Failure) -> Int32 { 0 }
