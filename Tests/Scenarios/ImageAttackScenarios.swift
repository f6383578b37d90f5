// SPDX-License-Identifier: Apache-2.0
//
// Images made to hurt whoever looks into them: volumes where none belong, programs and libraries put where a careless tool
// would run or load them on the host's side.

import Glibc
import Kernel
import Testing

extension Scenarios {
    @Suite("attacks by images")
    struct ImageAttacks {
        @Test(
            "volumes of an image: over /proc none, through links and `..` only the image's own (CVE-2019-16884, CVE-2022-23648)"
        )
        func volumes() throws {
            try Stage.play("one") { stage in
                try stage.write(
                    "compose.yaml", "services: {app: {build: ., init: true, command: [sleep, '1000']}}\n")
                for place in ["/proc", "/proc/self/attr", "/proc/sys"] {
                    try stage.write("Dockerfile", "FROM bb:1\nVOLUME \(place)\n")
                    let up = try stage.attempt("up", "-d", "--build")
                    try stage.require(up.code == 1 && up.errors.contains(place), "\(up)")
                }
                for place in ["/data/../../../../../../etc", "/link", "/up/etc"] {
                    try stage.write(
                        "Dockerfile",
                        "FROM bb:1\nRUN ln -s /etc /link && ln -s ../../../../../.. /up\nVOLUME \(place)\n")
                    let up = try stage.attempt("up", "-d", "--build", "-V")
                    if up.code == 0 {
                        let seen = try stage.exec("app", "cat /etc/passwd; ls /etc")
                        try stage.require(
                            seen.contains("app:x:1000") && !seen.contains("debian")
                                && !seen.contains("shadow"), "\(place): \(seen)")
                    }
                    for path in tree("\(stage.directory)/root/volumes") {
                        try stage.require(!path.hasSuffix("/shadow"), "copied from the host: \(path)")
                    }
                }
            }
        }

        @Test(
            "no program and no library of an image is used by us (CVE-2019-14271, CVE-2022-1227); what it calls itself stays inside"
        )
        func tools() throws {
            try Stage.play("one") { stage in
                let mark = "\(stage.directory)/pwned"
                try stage.write(
                    "evil.c",
                    """
                    #include <fcntl.h>
                    __attribute__((constructor)) static void come(void) {
                        open("\(mark)", O_CREAT | O_WRONLY, 0644);
                        open("/pwned", O_CREAT | O_WRONLY, 0644);
                    }
                    """)
                try stage.inHost(["cc", "-shared", "-fPIC", "-o", "evil.so", "evil.c"]).orThrow()
                try stage.write("tool", "#!/bin/sh\ntouch /pwned; mkdir -p /was-run\n")
                try stage.inHost(["chmod", "755", "tool"]).orThrow()
                let libraries = [
                    "libnss_files.so.2", "libnss_evil.so.2", "libz.so.1", "libzstd.so.1", "libcrypto.so.3",
                    "libcurl.so.4", "libc.so.6", "libyaml-0.so.2",
                ]
                let copies = ["/lib", "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64"].flatMap
                { place in
                    libraries.map { "\(place)/\($0)" }
                }
                try stage.write(
                    "Dockerfile",
                    """
                    FROM bb:1
                    COPY evil.so /evil.so
                    COPY --chmod=755 tool /tool
                    RUN for to in \(copies.joined(separator: " ")); do mkdir -p ${to%/*}; cp /evil.so $to; done; \\
                        echo /evil.so >/etc/ld.so.preload; echo 'passwd: evil files' >/etc/nsswitch.conf; \\
                        mkdir -p /usr/bin /usr/sbin /sbin; rm -f /bin/ps /bin/tar /bin/top /bin/id; \\
                        for name in ps tar top git id newuidmap; do cp /tool /bin/$name; cp /tool /usr/bin/$name; done
                    USER app
                    RUN echo built >/tmp/built
                    """)
                try stage.write(
                    "compose.yaml",
                    "services: {app: {build: ., init: true, command: [sleep, '1000'], cpuset: '0'}}\n")
                try stage.covey("up", "-d", "--build")
                try stage.covey("top")
                try stage.covey("ps")
                try stage.covey("stats", "--no-stream")
                try stage.covey("cp", "app:/etc", "./taken")
                try stage.covey("cp", "-a", "./tool", "app:/tmp/given")
                try stage.covey("exec", "-T", "-u", "app", "app", "true")
                try stage.covey("export", "-o", "all.tar", "app")
                try stage.covey("commit", "app", "copy:1")
                try stage.require(!exists(mark), "a library of the image was loaded on the host")
                let inside = try stage.exec("app", "ls -d /pwned /was-run 2>/dev/null; true")
                try stage.require(inside.isEmpty, "run or loaded inside: \(inside)")
            }
        }

        @Test(
            "a project's file brings in nothing from elsewhere and no option of a tool (CVE-2025-62725, CVE-2019-13139); endless lists are refused (CVE-2018-20699)"
        )
        func projectFiles() throws {
            try Stage.play("one") { stage in
                let service = "services:\n  app:\n    image: bb:1\n    command: [sleep, '9']\n"
                var files = [
                    "include: ['oci://127.0.0.1:1/x:1']\n" + service,
                    "include: ['https://127.0.0.1:1/x.git']\n" + service,
                    service + "    extends: {file: 'git://127.0.0.1:1/x', service: app}\n",
                    service + "    env_file: 'https://127.0.0.1:1/env'\n",
                ]
                for context in [
                    "--upload-pack=touch x", "https://127.0.0.1:1/x.git#--upload-pack=touch x",
                    "git@127.0.0.1:--upload-pack=touch", "ssh://-oProxyCommand=touch x/y.git", "ext::touch x",
                ] {
                    files.append("services: {app: {build: {context: '\(context)'}}}\n")
                }
                for list in [
                    "0-4294967295", "0-18446744073709551616", "0,1-", "-1",
                    (0..<100_000).map(String.init).joined(separator: ","),
                ] {
                    files.append(service + "    cpuset: '\(list)'\n")
                }
                for text in files {
                    try stage.write("compose.yaml", text)
                    let up = try stage.attempt("up", "-d", limit: .seconds(20))
                    try stage.require(
                        up.code == 1 && up.errors.contains("error: "), "\(text.prefix(200))\n\(up)")
                    try stage.require(!exists("\(stage.files)/x"), "an option was taken: \(text)")
                }
                try stage.write("compose.yaml", service)
            }
        }
    }
}
