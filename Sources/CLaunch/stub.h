// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <stdint.h>

// The image, and the words in it: the sync socket's descriptor, the index of the operation, LAUNCH_SECOND….
extern const char covey_stub[], covey_stub_words[], covey_stub_end[];
