// SPDX-License-Identifier: Apache-2.0
//
// POSIX threads, for reading ahead and for independent stages of a build. The controller has no threads.
#pragma once
#include <pthread.h>
