// SPDX-License-Identifier: Apache-2.0
//
// POSIX threads, for the one place that reads ahead. The controller has no threads.
#pragma once
#include <pthread.h>
