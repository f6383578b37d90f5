// SPDX-License-Identifier: Apache-2.0
int claunch_placeholder;
