// SPDX-License-Identifier: Apache-2.0
//
// The real kernel takes the programs. A C program compiled on the spot installs a filter and makes one call or
// executes a program under it: a filter can't be taken off again, so the tests' own process must not wear it.

import Glibc
import SeccompCompiler
import Testing

private let loaderSource = """
    #define _GNU_SOURCE
    #include <errno.h>
    #include <fcntl.h>
    #include <linux/filter.h>
    #include <linux/seccomp.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <string.h>
    #include <sys/prctl.h>
    #include <sys/syscall.h>
    #include <unistd.h>
    int main(int argc, char **argv) {
        static struct sock_filter code[4096];
        int fd = open(argv[1], O_RDONLY);
        ssize_t bytes = read(fd, code, sizeof code);
        if (bytes <= 0) return 120;
        struct sock_fprog program = {.len = bytes / 8, .filter = code};
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return 121;
        if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program)) return 122;
        if (!strcmp(argv[2], "exec")) {
            execv(argv[3], argv + 3);
            return 123;
        }
        long a[7] = {0};
        for (int i = 0; i < 7 && i + 3 < argc; i++) a[i] = strtol(argv[i + 3], NULL, 0);
        return syscall(a[0], a[1], a[2], a[3], a[4], a[5], a[6]) < 0 ? errno : 0;
    }
    """

/// Exit status of a program, 128 + signal when it was killed, nil when it can't be started.
private func exitStatus(_ arguments: [String]) -> Int32? {
    var pid: pid_t = 0
    var pointers = arguments.map { strdup($0) } + [nil]
    defer { for pointer in pointers { free(pointer) } }
    guard posix_spawnp(&pid, arguments[0], nil, nil, &pointers, environ) == 0 else { return nil }
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
    return status & 0x7f == 0 ? status >> 8 & 0xff : 128 + status & 0x7f
}

private let hasCompiler = exitStatus(["sh", "-c", "command -v cc >/dev/null"]) == 0

@Suite("the kernel takes the compiled profile", .enabled(if: hasCompiler, "needs cc"))
struct KernelFilterTests {
    private func withLoader(_ body: (_ loader: String, _ filter: String) throws -> Void) throws {
        var template = Array("/tmp/covey-seccomp-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        let directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { _ = exitStatus(["rm", "-r", directory]) }
        try write(Array(loaderSource.utf8), to: directory + "/loader.c")
        try #require(exitStatus(["cc", "-o", directory + "/loader", directory + "/loader.c"]) == 0)
        let program = try SeccompPolicy.dockerDefault.compile(
            capabilities: .dockerDefault, kernel: KernelVersion(6, 1))
        try write(program.bytes, to: directory + "/filter")
        try body(directory + "/loader", directory + "/filter")
    }

    private func write(_ bytes: [UInt8], to path: String) throws {
        let file = try #require(fopen(path, "w"))
        defer { fclose(file) }
        try #require(fwrite(bytes, 1, bytes.count, file) == bytes.count)
    }

    @Test("ordinary programs run under it, processes and threads included")
    func allowed() throws {
        try withLoader { loader, filter in
            #expect(exitStatus([loader, filter, "exec", "/bin/true"]) == 0)
            #expect(
                exitStatus([loader, filter, "exec", "/bin/sh", "-c", "(exit 7) | cat; ls / >/dev/null"]) == 0)
        }
    }

    @Test("refused calls fail with the errno Docker's users know")
    func refused() throws {
        #if arch(x86_64)
            let calls: [(String, [String], Int32)] = [
                ("unshare(0)", ["272", "0"], EPERM),
                ("keyctl", ["250", "0"], EPERM),
                ("socket(AF_ALG)", ["41", "38", "5", "0"], EPERM),
                ("socket(AF_ALG) with a high bit", ["41", "0x100000026", "5", "0"], EPERM),
                ("socket(AF_UNIX)", ["41", "1", "1", "0"], 0),
                ("clone3", ["435", "0", "0"], ENOSYS),
                ("clone(CLONE_NEWUSER)", ["56", "0x10000011"], EPERM),
                ("getpid by x32", ["0x40000027"], ENOSYS),
                ("a call of the future", ["9999"], ENOSYS),
                ("personality(0xffffffff)", ["135", "0xffffffff"], 0),
            ]
        #else
            let calls: [(String, [String], Int32)] = [
                ("unshare(0)", ["97", "0"], EPERM),
                ("keyctl", ["219", "0"], EPERM),
                ("socket(AF_ALG)", ["198", "38", "5", "0"], EPERM),
                ("socket(AF_UNIX)", ["198", "1", "1", "0"], 0),
                ("clone3", ["435", "0", "0"], ENOSYS),
                ("a call of the future", ["9999"], ENOSYS),
            ]
        #endif
        try withLoader { loader, filter in
            for (name, call, expected) in calls {
                #expect(exitStatus([loader, filter, "call"] + call) == expected, "\(name)")
            }
        }
    }
}
