// SPDX-License-Identifier: Apache-2.0

import Archives
import Basics
import CLinux
import ContainerModel
import Images
import Kernel
import OCIFormats
import Testing
import Volumes

@Suite("volumes")
struct VolumeTests {
    @Test("a volume is made once, listed with its project, and removed with its files")
    func life() throws {
        let ground = try Playground()
        let store = VolumeStore(root: "\(ground.path)/root")
        #expect(try store.list().isEmpty)
        let data = try store.ensure(VolumeRequest(name: "p_db"), project: "p")
        try writeFile("\(data)/x", "x".utf8)
        #expect(try store.ensure(VolumeRequest(name: "p_db"), project: "p") == data)
        #expect(try readText("\(data)/x") == "x")
        #expect(try store.list().map(\.project) == ["p"])
        #expect(try store.list().first?.labels[volumeProjectLabel] == "p")
        try store.remove("p_db")
        try store.remove("p_db")
        #expect(!store.exists("p_db"))
        #expect(try directoryEntries("\(ground.path)/root/volumes") == [])
        for bad in ["", "..", "a/b", ".a"] {
            #expect(throws: Failure.self) { try store.ensure(VolumeRequest(name: bad), project: nil) }
            #expect(throws: Failure.self) { try store.remove(bad) }
        }
        var external = VolumeRequest(name: "other")
        external.external = true
        #expect(throws: Failure.self) { try store.ensure(external, project: "p") }
    }

    @Test("removal never enters a file system mounted below")
    func mounted() throws {
        let ground = try Playground()
        let store = VolumeStore(root: "\(ground.path)/root")
        let data = try store.ensure(VolumeRequest(name: "v"), project: nil)
        try ensureDirectory("\(data)/m")
        try #require(linux_mount("covey-test", "\(data)/m", "tmpfs", 0, "size=1m") == 0)
        try writeFile("\(data)/m/kept", "kept".utf8)
        let failure = #expect(throws: Failure.self) { try store.remove("v") }
        #expect(failure?.advice?.contains("unmount") == true)
        #expect(try readText("\(data)/m/kept") == "kept")
        #expect(store.exists("v"))
        _ = linux_umount2("\(data)/m", 0)
        try store.remove("v")
    }

    @Test(
        "an empty volume is filled as the image shows the place: whiteouts, opaque directories, links, owners"
    )
    func filled() throws {
        let ground = try Playground()
        var owned = folder("srv/data", mode: 0o750)
        (owned.uid, owned.gid) = (70, 71)
        var mine = file("srv/data/mine", mode: 0o600)
        (mine.uid, mine.gid) = (70, 71)
        mine.xattrs = [.init(name: "user.note", value: [1])]
        let lower = try ground.tar(
            "lower.tar",
            [
                (folder("srv"), ""), (owned, ""), (mine, "m"), (file("srv/data/gone"), ""),
                (folder("srv/data/o"), ""),
                (file("srv/data/o/hidden"), ""), (link("var", "/srv/../srv"), ""),
                (link("srv/data/twin", "srv/data/mine", .hardlink), ""),
                (link("srv/out", "../../../../etc"), ""),
            ])
        let upper = try ground.tar(
            "upper.tar",
            [
                (folder("srv"), ""), (owned, ""), (file("srv/data/.wh.gone"), ""), (folder("srv/data/o"), ""),
                (file("srv/data/o/.wh..wh..opq"), ""), (file("srv/data/o/new"), "n"),
                (link("srv/data/l", "/etc/passwd"), ""),
            ])
        let base = try ground.store.importImage(.tar(path: lower), as: "base")
        let image = try ground.store.commit(
            layers: base.diffIDs, adding: .tar(path: upper),
            config: ImageConfig(architecture: hostArchitecture), as: "x")
        let data = try VolumeStore(root: "\(ground.path)/root").ensure(VolumeRequest(name: "v"), project: nil)
        #expect(try copyUp(from: image.facts.layers, path: "/var/data", into: data))
        #expect(try directoryEntries(data) == ["l", "mine", "o", "twin"])
        #expect(try directoryEntries("\(data)/o") == ["new"])
        let status = try fileStatus(data)
        #expect(status.st_mode & 0o7777 == 0o750 && status.st_uid == 70 && status.st_gid == 71)
        let file = try fileStatus("\(data)/mine")
        #expect(file.st_mode & 0o7777 == 0o600 && file.st_uid == 70 && file.st_nlink == 2)
        #expect(getxattr("\(data)/mine", "user.note", nil, 0) == 1)
        #expect(try readLink("\(data)/l") == "/etc/passwd")
        // A second time it is not empty, and stays as it is.
        try removeFile("\(data)/mine")
        #expect(try !copyUp(from: image.facts.layers, path: "/var/data", into: data))
        #expect(!exists("\(data)/mine"))
        // What climbs ends at the image's top, where there is no /etc.
        let other = try VolumeStore(root: "\(ground.path)/root").ensure(
            VolumeRequest(name: "w"), project: nil)
        #expect(try !copyUp(from: image.facts.layers, path: "/srv/out", into: other))
        #expect(try directoryEntries(other) == [])
    }
}
