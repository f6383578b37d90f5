// SPDX-License-Identifier: Apache-2.0

internal import CLinux

/// How many descriptors this process may have: RLIMIT_NOFILE as it stands (getrlimit(2)).
public func descriptorLimit() -> Int {
    var limit = rlimit()
    // RLIMIT_NOFILE is 7 (asm-generic/resource.h).
    guard linux_prlimit(0, 7, nil, &limit) == 0 else { return 1024 }
    return Int(clamping: limit.rlim_cur)
}
