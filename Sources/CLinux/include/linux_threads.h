// SPDX-License-Identifier: Apache-2.0
//
// POSIX threads, for reading ahead and for independent stages of a build. The controller has none but that of linux_aside.h.
#pragma once
#include <pthread.h>
