// SPDX-License-Identifier: Apache-2.0
//
// What a container has of the host and of other containers: devices, filters, hidden paths, namespaces.

import Glibc
import Kernel
import Testing

extension Scenarios {
    @Suite("host access")
    struct HostAccess {
        @Test("a privileged container has all capabilities, devices and system paths, and no filter")
        func privileged() throws {
            try Stage.play("host-access") { stage in
                try stage.covey("up", "-d", "mighty", "plain")
                let status = try stage.exec("mighty", "grep -E 'CapEff|Seccomp:' /proc/1/status")
                let bounding =
                    contents("/proc/self/status").split(separator: "\n")
                    .first { $0.hasPrefix("CapBnd:") }.map { String($0.dropFirst(8)) } ?? ""
                try stage.require(status == "CapEff:\t\(bounding)\nSeccomp:\t0", status)
                try stage.exec("mighty", "head -c 0 /dev/kmsg && mknod /tmp/k c 1 11 && head -c 0 /tmp/k")
                try stage.exec("mighty", "mkdir /tmp/m && mount -t tmpfs none /tmp/m && umount /tmp/m")
                try stage.exec(
                    "mighty", "head -c 1 /proc/interrupts | grep -q . && : > /proc/sys/kernel/domainname")
                try stage.require(
                    try stage.exec("mighty", "grep ' /sys sysfs' /proc/mounts").contains(" rw,"), "/sys")
                // Another container of the project has none of it.
                try stage.require(
                    try !stage.execSucceeds("plain", "mknod /tmp/k c 1 11 && head -c 0 /tmp/k"), "kmsg")
                try stage.require(try stage.exec("plain", "ls /dev | grep -c kmsg || :") == "0", "/dev")
            }
        }

        @Test("devices and rules let through what they name and nothing else")
        func devices() throws {
            try Stage.play("host-access") { stage in
                try stage.covey("up", "-d", "devices", "plain")
                try stage.exec("devices", "head -c 0 /dev/filesystem")
                try stage.require(
                    try !stage.execSucceeds("devices", "echo hello > /dev/filesystem"), "written to")
                try stage.exec("devices", "test -c /dev/inner/full && ! echo x > /dev/inner/full")
                // The rule allows a node that the container makes: misc 237, loop-control.
                try stage.exec("devices", "mknod /tmp/l c 10 237 && head -c 0 /tmp/l")
                try stage.require(
                    try !stage.execSucceeds("devices", "echo > /tmp/l"), "written to, by the rule")
                try stage.require(
                    try !stage.execSucceeds("plain", "mknod /tmp/l c 10 237 && head -c 0 /tmp/l"), "plain")
                for (service, said) in [
                    ("missing", "cannot give the device /dev/no-such-device"),
                    ("file", "it is no device"),
                ] {
                    let up = try stage.covey("up", "-d", service, code: 1)
                    try stage.require(up.errors.contains(said), "\(up)")
                }
            }
        }

        @Test("a seccomp profile's file decides, and a wrong one is refused with its place")
        func seccomp() throws {
            try Stage.play("host-access") { stage in
                try stage.covey("up", "-d", "filtered")
                try stage.exec("filtered", "unshare -m true; mkdir /tmp/a 2>&1 | grep 'not supported'")
                try stage.require(
                    try stage.exec("filtered", "grep Seccomp: /proc/1/status") == "Seccomp:\t2", "no filter")
                let broken = try stage.covey("up", "-d", "broken", code: 1)
                try stage.require(
                    broken.errors.contains("did you mean SCMP_ACT_ALLOW?")
                        && broken.errors.contains("compose.yaml:"), "\(broken)")
                let absent = try stage.covey("up", "-d", "absent", code: 1)
                try stage.require(
                    absent.errors.contains("absent.json") && absent.errors.contains("ENOENT"), "\(absent)")
            }
        }

        @Test("systempaths=unconfined hides nothing; a profile this kernel has no module for is refused")
        func paths() throws {
            try Stage.play("host-access") { stage in
                try stage.covey("up", "-d", "visible", "plain")
                try stage.exec("visible", "head -c 1 /proc/interrupts | grep -q .")
                try stage.require(
                    try !stage.execSucceeds("plain", "head -c 1 /proc/interrupts | grep -q ."), "hidden")
                if !contents("/sys/module/apparmor/parameters/enabled").hasPrefix("Y") {
                    let up = try stage.covey("up", "-d", "armoured", code: 1)
                    try stage.require(up.errors.contains("runs without AppArmor"), "\(up)")
                }
                if !exists("/sys/fs/selinux/enforce") {
                    let up = try stage.covey("up", "-d", "labelled", code: 1)
                    try stage.require(up.errors.contains("runs without SELinux"), "\(up)")
                }
            }
        }

        @Test("devices of CDI files come with what their files say, by name, by number and by all")
        func interfaces() throws {
            try Stage.play("host-access") { stage in
                let files = ["COVEY_CDI=\(stage.files)/nothing:\(stage.files)/cdi"]
                try stage.covey("up", "-d", "graphics", "second", variables: files)
                try stage.require(
                    try stage.exec("graphics", "echo $GPU_LIBRARY $GPU; stat -c '%u %a' /dev/gpu0")
                        == "/usr/lib/gpu 1\n1000 600", "edits")
                try stage.exec(
                    "graphics", "head -c 0 /dev/gpu0 && test -c /dev/gpu1 && test -e $GPU_LIBRARY/ostype")
                try stage.require(try !stage.execSucceeds("graphics", "echo x > /dev/gpu0"), "permissions")
                try stage.require(
                    try stage.exec("second", "echo $GPU $NET; test -e /dev/gpu0 || id -G") == "1 eth\n0 4321",
                    "by name")
                for (service, said) in [
                    ("hooked", "/usr/bin/vendor-hook"),
                    ("unknown", "there is no CDI device \"example.test/gpu=7\""),
                ] {
                    let up = try stage.covey("up", "-d", service, code: 1, variables: files)
                    try stage.require(
                        up.errors.contains(said) && up.errors.contains("compose.yaml:"), "\(up)")
                }
                let none = try stage.covey(
                    "up", "-d", "graphics", code: 1, variables: ["COVEY_CDI=/nonexistent"])
                try stage.require(none.errors.contains("no CDI file of this host names one"), "\(none)")
            }
        }
    }

    @Suite("sharing")
    struct Sharing {
        @Test("network, ipc and pid namespaces of a service are shared, names and memory with them")
        func service() throws {
            try Stage.play("sharing") { stage in
                try stage.covey("up", "-d", "owner", "sharer", "other")
                try stage.requireShared("sharer", "owner", ["net", "ipc", "pid"])
                try stage.require(
                    try stage.exec("sharer", "hostname; echo $HOSTNAME") == "owner-box\nowner-box", "name")
                try stage.exec("sharer", "grep -q extra.test /etc/hosts")
                try stage.exec("owner", "echo word > /dev/shm/note")
                try stage.require(try stage.exec("sharer", "cat /dev/shm/note") == "word", "memory")
                // Names are answered in the shared namespace.
                try stage.eventually("names and network are there") {
                    try stage.execSucceeds("sharer", "nc -w 5 other 7000 | grep -q hello")
                }
                // The owner's first process is the sharer's as well.
                try stage.require(
                    try stage.exec("sharer", "tr '\\0' ' ' < /proc/1/cmdline")
                        == stage.exec("owner", "tr '\\0' ' ' < /proc/1/cmdline"), "processes")
                try stage.require(
                    try stage.covey("up", "-d", "owner", "sharer", "other").errors.contains("Started")
                        == false,
                    "an unchanged up")
            }
        }

        @Test("who shares is started again when the owner is restarted, recreated or killed")
        func restarts() throws {
            try Stage.play("sharing") { stage in
                try stage.covey("up", "-d", "owner", "sharer")
                try stage.covey("restart", "owner")
                try stage.requireShared("sharer", "owner", ["net", "ipc", "pid"])
                try stage.covey("up", "-d", "--force-recreate", "--no-deps", "owner")
                try stage.eventually("shared after a recreation") {
                    try stage.shares("sharer", "owner", ["net", "ipc", "pid"])
                }
                try stage.covey("kill", "owner")
                try stage.eventually("the sharer's pid namespace is gone") {
                    try stage.container("sharer").State == "exited"
                }
                try stage.covey("up", "-d", "owner", "sharer")
                try stage.requireShared("sharer", "owner", ["net", "ipc", "pid"])
            }
        }

        @Test("who shares is started again also when the controller is lost while it stops")
        func restartsWithoutController() throws {
            try Stage.play("sharing") { stage in
                try stage.write(
                    "compose.yaml",
                    """
                    services:
                      owner: {image: "bb:1", init: true, command: [sleep, "1000"], stop_grace_period: 0s}
                      sharer:
                        image: bb:1
                        command: [sh, -c, "trap '' TERM; until rm /data/go; do sleep 0.05; done"]
                        network_mode: "service:owner"
                        stop_grace_period: 100s
                        volumes: ["data:/data"]
                    volumes: {data: {}}
                    """)
                try stage.covey("up", "-d")
                let before = try stage.container("sharer").Pid
                try stage.covey("restart", "--no-deps", "owner")
                try stage.eventually("it is being stopped") {
                    try stage.container("sharer").State == "stopping"
                }
                try stage.loseController()
                try writeFile(stage.volumeFile("data", "go"), [])
                try stage.eventually("it has ended") { !exists("/proc/\(before ?? -1)") }
                try stage.eventually("it is started again") {
                    let row = try stage.container("sharer")
                    return row.State == "running" && row.Pid != before
                }
                try stage.requireShared("sharer", "owner", ["net"])
                try writeFile(stage.volumeFile("data", "go"), [])
            }
        }

        @Test("network, pid and ipc of the host are the host's, and nothing of it outlives the container")
        func host() throws {
            try Stage.play("sharing") { stage in
                try stage.covey("up", "-d", "hostly", "bridged")
                let pid = try stage.container("hostly").Pid ?? 0
                for namespace in ["pid", "ipc"] {
                    try stage.require(
                        namespaceOf("\(pid)", namespace) == namespaceOf("self", namespace), namespace)
                }
                let links = try stage.inHost(["ip", "-br", "link"]).lines.count
                try stage.require(
                    try stage.exec("hostly", "ls /sys/class/net | wc -l") == "\(links)", "links")
                let name = contents("/proc/sys/kernel/hostname").filter { $0 != "\n" }
                try stage.require(
                    try stage.exec("hostly", "hostname; echo $HOSTNAME") == "\(name)\n\(name)", name)
                try stage.exec("hostly", "grep -q gateway.test /etc/hosts")
                // bridge has an address and a way out; ipc: none no shared memory.
                try stage.exec("bridged", "ip -4 addr show eth0 | grep -q inet && ! test -e /dev/shm/.")
                try stage.covey("stop", "hostly")
                try stage.eventually("what it started is gone") {
                    try stage.inHost(["pgrep", "-f", "^sleep 999$"]).lines.isEmpty
                }
            }
        }

        @Test("a container of another project lends its network; one that does not run is named")
        func foreign() throws {
            try Stage.play("sharing") { stage in
                let up = try stage.covey("up", "-d", "guest", code: 1)
                try stage.require(
                    up.errors.contains("cannot join the network namespace of container \"nobody\""), "\(up)")
                let name = "\(stage.project)-owner-1"
                try stage.covey("up", "-d", "owner")
                let other = "\(stage.project)x"
                try stage.covey(
                    "-p", other, "up", "-d", "guest", variables: ["OTHER=\(name)"])
                let shown = try stage.covey("-p", other, "exec", "-T", "guest", "hostname").text
                try stage.require(shown == "owner-box", shown)
                try stage.covey("-p", other, "down", "-v", "--timeout", "1")
            }
        }
    }
}

extension Stage {
    fileprivate func shares(_ one: String, _ other: String, _ namespaces: [String]) throws -> Bool {
        guard let first = try container(one).Pid, let second = try container(other).Pid else { return false }
        return namespaces.allSatisfy { namespaceOf("\(first)", $0) == namespaceOf("\(second)", $0) }
    }

    fileprivate func requireShared(_ one: String, _ other: String, _ namespaces: [String]) throws {
        try require(try shares(one, other, namespaces), "\(namespaces) of \(one) are not \(other)'s")
    }
}
