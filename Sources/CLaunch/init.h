// SPDX-License-Identifier: Apache-2.0
#pragma once

// In pid 1 of a container, with every signal blocked: becomes the init of `child`, its only one.
_Noreturn void covey_be_init(long child);
