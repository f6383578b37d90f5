// SPDX-License-Identifier: Apache-2.0
//
// OCIFormats: image, runtime and distribution documents as values; JSON in and out. No files, no network.
