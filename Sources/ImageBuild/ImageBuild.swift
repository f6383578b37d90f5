// SPDX-License-Identifier: Apache-2.0
//
// ImageBuild: Dockerfile → image, with steps run in the container runtime.
