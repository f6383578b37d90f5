// SPDX-License-Identifier: Apache-2.0
// All of this target is inline in its header; a C target needs one source.
#include "CLinux.h"
