// SPDX-License-Identifier: Apache-2.0
//
// Before programs of an image are executed by a child that still is us, this process becomes one of a read-only binary
// (CLaunch/binary.c): what they find behind /proc/self/exe is then written to by nobody (CVE-2019-5736). Where the stub
// stands between, that is not needed, and nothing is paid for it.

internal import Basics
internal import CLaunch
internal import Kernel
internal import LaunchPlanning
internal import OCIFormats

/// Executes the running command anew where that is needed, before it has made or told anything. Where that can't be, the
/// child's own look at what it executes stands alone.
/// - Parameters:
///   - given: whose label waits for the next execve(2), which would be the stub's.
///   - hooksInside: startContainer hooks, which no stub leads to.
func sealBinary(
    for process: BundleProcess?, label given: RuntimeConfig.Process?, hooksInside: Bool,
    _ settings: RuntimeSettings
) throws(Failure) {
    let hasLabel = try given.flatMap { (process) throws(Failure) in try securityLabel(process) } != nil
    let isDirect = hooksInside || hasLabel || process?.filter.allowsExecveat == false || !covey_has_stub()
    guard isDirect else { return }
    let error = covey_seal()
    if error < 0 { settings.trace?("no read-only binary to execute anew from: errno \(-error)") }
}

/// The same for a command that is about to read what can be read but once, standard input or a pipe: anew it would find it
/// empty. So that is done before, needed or not.
/// - Parameter path: nil for standard input, of which a file may have been read in part.
public func sealBinary(beforeReading path: String?) {
    if let path, let status = try? fileStatus(path, follow: true), status.isRegular { return }
    _ = covey_seal()
}
