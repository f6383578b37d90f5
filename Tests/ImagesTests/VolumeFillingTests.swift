// SPDX-License-Identifier: Apache-2.0
//
// Volumes that begin with an image's files: what becomes of a filling that is cut off, and of what others have there.

import Archives
import Basics
import CLinux
import ContainerModel
import Images
import Kernel
import Testing
import Volumes

@Suite("filling volumes")
struct VolumeFillingTests {
    private let ground: Playground
    private let volumes: VolumeStore
    private let layers: [String]

    init() throws {
        ground = try Playground()
        volumes = VolumeStore(root: "\(ground.path)/root")
        let large = String(repeating: "x", count: 100_000)
        let tar = try ground.tar(
            "image.tar",
            [
                (folder("data", mode: 0o750), ""), (file("data/a"), large), (folder("data/b"), ""),
                (file("data/b/c"), "c"),
            ])
        layers = try ground.store.importImage(.tar(path: tar), as: "image").facts.layers
    }

    private func make(_ name: String, of device: String? = nil) throws -> String {
        var request = VolumeRequest(name: name)
        request.mounted = device.map { VolumeMount(type: "none", device: $0, options: ["bind"]) }
        let data = try volumes.ensure(request, project: nil)
        if device != nil { try volumes.ensureMounted(name) }
        return data
    }

    private func fill(_ name: String, waits: Bool = true) throws -> FillOutcome {
        try volumes.fill(name, from: layers, path: "/data", waits: waits)
    }

    private func ours(_ name: String) -> String { "\(ground.path)/root/volumes/\(name)" }

    @Test("one that was cut off is begun anew while it was copying, and ended where it was complete")
    func cutOff() throws {
        let half = try make("half")
        try ensureDirectory("\(ours("half"))/filling/b")
        try writeFile("\(ours("half"))/filling/torn", Array("t".utf8))
        #expect(try fill("half") == .filled)
        #expect(try directoryEntries(half) == ["a", "b"])
        #expect(try readText("\(half)/b/c") == "c")
        #expect(try directoryEntries(ours("half")) == ["data", "volume.json"])
        #expect(try fill("half") == .left)

        // One entry was moved already; another is somebody's by now, and stays.
        let whole = try make("whole")
        try ensureDirectory("\(ours("whole"))/filling/b/of the image")
        try writeFile("\(ours("whole"))/filling/c", Array("c".utf8))
        try writeFile("\(ours("whole"))/filling.whole", [])
        try ensureDirectory("\(whole)/b/own")
        try writeFile("\(whole)/a", Array("moved".utf8))
        #expect(chmod("\(ours("whole"))/filling", 0o710) == 0)
        #expect(try fill("whole") == .filled)
        #expect(try directoryEntries(whole) == ["a", "b", "c"])
        #expect(try directoryEntries("\(whole)/b") == ["own"])
        #expect(try fileStatus(whole).st_mode & 0o7777 == 0o710)
        #expect(try directoryEntries(ours("whole")) == ["data", "volume.json"])

        // The image has nothing for it any more.
        _ = try make("none")
        try ensureDirectory("\(ours("none"))/filling/b")
        #expect(try volumes.fill("none", from: layers, path: "/elsewhere") == .left)
        #expect(try directoryEntries(ours("none")) == ["data", "volume.json"])
    }

    @Test("a volume that somebody moved to a larger disk is filled there; removed is the link alone")
    func moved() throws {
        let data = try make("moved")
        let elsewhere = "\(ground.path)/elsewhere"
        try moveFile(ours("moved"), to: elsewhere)
        try #require(symlink(elsewhere, ours("moved")) == 0)
        #expect(try fill("moved") == .filled)
        #expect(try directoryEntries(data) == ["a", "b"])
        #expect(try !volumes.isMounted("moved"))
        try volumes.remove("moved")
        #expect(!exists(ours("moved")))
        #expect(try directoryEntries("\(elsewhere)/data") == ["a", "b"])
        try #require(symlink("\(ground.path)/nowhere", ours("moved")) == 0)
        try volumes.remove("moved")
        #expect(!exists(ours("moved")))
    }

    @Test("what looks like ours in a volume, and is not, is left and holds up nobody")
    func forged() throws {
        for name in [".covey-filling", ".covey-filled"] {
            let file = try make("file" + name)
            try writeFile("\(file)/\(name)", [])
            #expect(try fill("file" + name) == .left)
            let directory = try make("directory" + name)
            try ensureDirectory("\(directory)/\(name)/x")
            #expect(try fill("directory" + name) == .left)
            #expect(try directoryEntries(directory) == [name])
        }
    }

    @Test(
        "a file system of its own is filled within: by one at a time, and begun anew after one that was cut off"
    )
    func within() throws {
        let device = "\(ground.path)/device"
        try ensureDirectory(device)
        try #require(linux_mount("covey-test", device, "tmpfs", 0, "size=16k") == 0)
        defer { _ = linux_umount2(device, 2) }
        let data = try make("one", of: device)
        _ = try make("two", of: device)
        defer { for name in ["one", "two"] { try? volumes.unmount(name) } }

        // Too small: a real one is cut off.
        let failure = #expect(throws: Failure.self) { try fill("one") }
        #expect(failure?.advice?.contains("free space") == true)
        let rest = try #require(try directoryEntries(device).first)
        #expect(rest.hasPrefix(".covey-filling-"))
        try #require(linux_mount("covey-test", device, "tmpfs", 32, "size=1m") == 0)  // MS_REMOUNT

        // Whoever holds the directory's lock is at work there, by whatever volume.
        let held = try openFile(device, flags: O_RDONLY | O_DIRECTORY)
        let isHeld = try lock(held.raw) { false }
        #expect(isHeld)
        #expect(try fill("two", waits: false) == .busy)
        #expect(try directoryEntries("\(device)/\(rest)") == ["a"])
        _ = consume held
        #expect(try fill("two", waits: false) == .filled)
        #expect(try directoryEntries(data) == ["a", "b"])
        #expect(try fill("one") == .left)

        // Whole only by our mark: without it what else is there is somebody's.
        try removeFile("\(device)/a")
        try ensureDirectory("\(device)/\(rest)/d")
        #expect(try fill("one") == .left)
        #expect(try directoryEntries(data) == [rest, "b"])
        try writeFile("\(ours("one"))/filling.whole", [])
        #expect(try fill("one") == .filled)
        #expect(try directoryEntries(data) == ["b", "d"])

        // A file of that name, or another host's.
        try removeTree("\(device)/b")
        try removeTree("\(device)/d")
        try ensureDirectory("\(device)/.covey-filling-000000000000")
        #expect(try fill("one") == .left)
        try removeTree("\(device)/.covey-filling-000000000000")
        try writeFile("\(device)/\(rest)", [])
        try writeFile("\(ours("one"))/filling.whole", [])
        #expect(try fill("one") == .filled)
        #expect(try directoryEntries(data) == ["a", "b"])
    }

    @Test("it tells whenever it went on, within a large file too")
    func progress() throws {
        let data = try make("told")
        var told = 0
        try volumes.fill("told", from: layers, path: "/data") { if $0 == .filling { told += 1 } }
        // Three entries, the bytes of two files, and two that were moved.
        #expect(told >= 7)
        let large = try openFile("\(data)/large", flags: O_RDWR | O_CREAT)
        try #require(ftruncate(large.raw, 9 << 20) == 0)
        let copy = try openFile("\(data)/copy", flags: O_RDWR | O_CREAT)
        told = 0
        try copyContent(large.raw, copy.raw, "large") { told += 1 }
        #expect(told >= 3)
        #expect(try fileStatus(of: copy.raw).st_size == 9 << 20)
    }

    @Test("no volume is removed while somebody mounts or fills it")
    func busy() throws {
        let host = "\(ground.path)/host"
        try ensureDirectory(host)
        try writeFile("\(host)/own", [])
        _ = try make("v", of: host)
        let held = try FileLock(directory: ours("v"))
        #expect(try fill("v", waits: false) == .busy)
        let failure = #expect(throws: Failure.self) { try volumes.remove("v") }
        #expect(failure?.cause == "another process mounts or fills it")
        #expect(volumes.exists("v"))
        _ = consume held
        try volumes.remove("v")
        #expect(try directoryEntries(host) == ["own"])
        #expect(!exists(ours("v")))
    }

    @Test("the options of a mount that no kernel reads may change, by the project that made it")
    func adopted() throws {
        var request = VolumeRequest(name: "v")
        request.mounted = VolumeMount(
            type: "none", device: "/x", options: ["bind", "x-systemd.mount-timeout=1"])
        try volumes.ensure(request, project: "p")
        func wait(_ options: String..., by project: String = "p") throws -> Duration? {
            request.mounted?.options = options
            try volumes.adopt(request, project: project)
            return try #require(try volumes.mount(of: "v")).patience()
        }
        #expect(try wait("x-systemd.mount-timeout=2m", "bind") == .seconds(120))
        #expect(try wait("bind", by: "other") == .seconds(120))
        #expect(try wait("bind", "ro") == .seconds(120))
        #expect(try wait("bind") == .seconds(90))
        for none in ["0", "infinity"] { #expect(try wait("bind", "x-systemd.mount-timeout=\(none)") == nil) }
        for wrong in ["-1", "soon", "", "99999999999999999999"] {
            #expect(throws: Failure.self) { try wait("bind", "x-systemd.mount-timeout=\(wrong)") }
        }
    }
}
