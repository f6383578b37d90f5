// SPDX-License-Identifier: Apache-2.0

internal import CLinux

/// Waits a moment between two looks at something that gives no event: a socket being closed elsewhere, a cgroup emptying.
/// Always inside a loop with a bound; where there is an event, wait for that.
public func pauseBetweenLooks(_ duration: Duration) {
    var time = timespec(
        tv_sec: Int(duration.nanoseconds / 1_000_000_000), tv_nsec: Int(duration.nanoseconds % 1_000_000_000))
    nanosleep(&time, nil)
}
