// SPDX-License-Identifier: Apache-2.0
// Nearly all of this target is inline in its headers.
#include "CLinux.h"
