// SPDX-License-Identifier: Apache-2.0
//
// What a filter answers to a call, read as the kernel would run it (linux/filter.h; seccomp(2)). For those who have to
// make calls of their own under a filter that somebody else wrote.

/// SECCOMP_DATA's registers are 64 bits wide, a filter reads them in halves.
private let dataWords = 16

/// Whether a filter of the native architecture lets a call through, loudly or not. Bytes that are no filter let nothing
/// through.
public func filterAllows(_ filter: [UInt8], _ call: Syscall, _ arguments: [UInt64] = []) -> Bool {
    // SECCOMP_RET_ALLOW, SECCOMP_RET_LOG.
    let action = filterAnswer(filter, call, arguments).map { $0 & 0xffff_0000 }
    return action == 0x7fff_0000 || action == 0x7ffc_0000
}

/// The filter's return value for a call of the native architecture; nil when there is no such call, when the filter runs
/// off, or has an instruction no filter of ours has.
public func filterAnswer(_ filter: [UInt8], _ call: Syscall, _ arguments: [UInt64]) -> UInt32? {
    let abi = SeccompArchitecture.current.abis[0]
    guard let number = abi.tables.joined().first(where: { $0.call == call })?.number else { return nil }
    var data = [UInt32](repeating: 0, count: dataWords)
    data[0] = number
    data[1] = abi.audit
    for (index, argument) in arguments.prefix(6).enumerated() {
        data[4 + 2 * index] = UInt32(truncatingIfNeeded: argument)
        data[5 + 2 * index] = UInt32(argument >> 32)
    }
    return filter.withUnsafeBytes { answer($0, data) }
}

/// It ends: every jump goes forward.
private func answer(_ filter: UnsafeRawBufferPointer, _ data: [UInt32]) -> UInt32? {
    var accumulator: UInt32 = 0
    var counter = 0
    while (counter + 1) * 8 <= filter.count {
        let instruction = UInt64(
            littleEndian: filter.loadUnaligned(fromByteOffset: counter * 8, as: UInt64.self))
        let k = UInt32(instruction >> 32)
        let (yes, no) = (Int(instruction >> 16 & 0xff), Int(instruction >> 24 & 0xff))
        counter += 1
        switch instruction & 0xffff {
        case 0x20:  // load a word of the data
            guard k % 4 == 0, k / 4 < UInt32(data.count) else { return nil }
            accumulator = data[Int(k / 4)]
        case 0x54: accumulator &= k
        case 0x05: counter += Int(k)
        case 0x15: counter += accumulator == k ? yes : no
        case 0x25: counter += accumulator > k ? yes : no
        case 0x35: counter += accumulator >= k ? yes : no
        case 0x06: return k
        default: return nil
        }
    }
    return nil
}
