// SPDX-License-Identifier: Apache-2.0
//
// Images: content-addressed blobs, references, unpacked layers. Does not run anything.
