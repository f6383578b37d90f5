// SPDX-License-Identifier: Apache-2.0
//
// DockerfileSyntax: Dockerfile and .dockerignore text → values. Runs nothing.
