// SPDX-License-Identifier: Apache-2.0
//
// Volumes, mounts, configs and secrets, and which networks and volumes there are.

import Basics
import ComposeModel
import ContainerModel
import Planning
import Testing

@Suite("what a container has of files becomes requests")
struct LoweringMountTests {
    @Test("each VOLUME of the image becomes an anonymous volume unless something is mounted just there")
    func imageVolumes() throws {
        let image = image { $0.volumes = ["/data/", "/var/lib/db", "/cache"] }
        let request = try request(image: image) {
            $0.volumes = [
                Service.Mount(source: .tmpfs(size: nil, mode: nil, uid: nil, gid: nil), target: "/cache"),
                Service.Mount(source: .anonymous, target: "/var"),
            ]
        }
        #expect(
            request.container.mounts.map(\.target) == ["/cache", "/data", "/var", "/var/lib/db"])
        #expect(
            request.container.mounts.dropFirst().map(\.source) == [
                .anonymous(index: 0), .anonymous(index: 1), .anonymous(index: 2),
            ])
    }

    @Test("mounts come in the order they nest, whatever the order they are written in")
    func mountOrder() throws {
        let request = try request {
            $0.volumes = ["/a/b/c", "/z", "/a/b", "/a"].map {
                Service.Mount(source: .bind(path: "/h", createHostPath: true, propagation: nil), target: $0)
            }
        }
        #expect(request.container.mounts.map(\.target) == ["/a", "/z", "/a/b", "/a/b/c"])
    }

    @Test(
        "a place in the container is taken once, absolute, and not the root",
        arguments: [["/a", "/a/"], ["a"], ["/"], ["/x/.."]])
    func badMounts(targets: [String]) {
        #expect(throws: Failure.self) {
            try request {
                $0.volumes = targets.map { Service.Mount(source: .anonymous, target: $0) }
            }
        }
    }

    @Test("configs and secrets travel as digests, each content once")
    func files() throws {
        var project = project {
            $0.configs = [Service.FileGrant(source: "conf", target: "/etc/app.conf")]
            var grant = Service.FileGrant(source: "key", target: "/run/secrets/key")
            grant.uid = 7
            grant.mode = 0o400
            $0.secrets = [grant]
        }
        project.configs["conf"] = FileSource(name: "demo_conf", content: .content("x"))
        project.secrets["key"] = FileSource(name: "demo_key", content: .file("/k"))
        let contents = FileContents(configs: ["conf": [1, 2]], secrets: ["key": [1, 2]])
        let lowered = try lowered(project, contents: contents)
        let digest = Digest(of: [1, 2])
        #expect(lowered.blobs == [digest: [1, 2]])
        #expect(
            lowered.desired.services["app"]?.container.files == [
                FileRequest(title: "config \"conf\"", content: digest, target: "/etc/app.conf"),
                FileRequest(
                    title: "secret \"key\"", content: digest, target: "/run/secrets/key", uid: 7, mode: 0o400),
            ])
    }

    @Test("real names are used, and what no service uses is left out")
    func resources() throws {
        var project = project {
            $0.networks = ["back": .init(), "front": .init(), "default": .init()]
            $0.networks["front"]?.priority = 5
            $0.networks["back"]?.aliases = ["store", "app", "store"]
            $0.volumes = [Service.Mount(source: .volume("data"), target: "/data")]
        }
        project.networks["back"] = Network(name: "demo_back")
        project.networks["back"]?.isInternal = true
        var subnet = Network.Subnet()
        subnet.subnet = "10.9.0.0/24"
        project.networks["back"]?.ipam = [subnet]
        project.networks["front"] = Network(name: "shared")
        project.networks["front"]?.external = true
        project.networks["unused"] = Network(name: "demo_unused")
        project.volumes["data"] = Volume(name: "demo_data")
        project.volumes["unused"] = Volume(name: "demo_unused")
        let desired = try lowered(project).desired
        #expect(desired.networks.keys.sorted() == ["demo_back", "demo_default", "shared"])
        #expect(desired.networks["demo_back"]?.subnet == "10.9.0.0/24")
        #expect(desired.networks["demo_back"]?.isInternal == true)
        #expect(desired.networks["shared"]?.external == true)
        #expect(desired.volumes.keys.sorted() == ["demo_data"])
        #expect(
            desired.services["app"]?.container.networks == [
                EndpointRequest(network: "shared", aliases: ["app"]),
                EndpointRequest(network: "demo_back", aliases: ["app", "store"]),
                EndpointRequest(network: "demo_default", aliases: ["app"]),
            ])
        #expect(desired.services["app"]?.container.mounts.map(\.source) == [.volume(name: "demo_data")])
        project.keepsUnused = true
        let all = try lowered(project).desired
        #expect(all.networks.keys.sorted() == ["demo_back", "demo_default", "demo_unused", "shared"])
        #expect(all.volumes.keys.sorted() == ["demo_data", "demo_unused"])
    }

    @Test(
        "labels of a mount are its volume's, and kept with an anonymous one; two values of one are an error")
    func volumeLabels() throws {
        func labelled(_ other: String) -> Project {
            var project = project {
                for (source, label) in [(Service.Mount.Source.volume("data"), "mine"), (.anonymous, "own")] {
                    var mount = Service.Mount(source: source, target: "/\(label)")
                    mount.labels = ["a": label]
                    $0.volumes.append(mount)
                }
            }
            project.volumes["data"] = Volume(name: "demo_data")
            project.volumes["data"]?.labels = ["b": "2", "a": other]
            return project
        }
        let desired = try lowered(labelled("mine")).desired
        #expect(desired.volumes["demo_data"]?.labels == ["a": "mine", "b": "2"])
        let mounts = desired.services["app"]?.container.mounts ?? []
        #expect(mounts.map(\.labels) == [nil, ["a": "own"]])
        #expect {
            try lowered(labelled("theirs"))
        } throws: {
            "\($0)".contains("service \"app\" gives volume \"data\" another value of the label \"a\"")
        }
        // Two keys of one volume are that volume.
        var twice = labelled("mine")
        var mount = Service.Mount(source: .volume("same"), target: "/same")
        mount.labels = ["c": "3"]
        twice.services["app"]?.volumes.append(mount)
        twice.volumes["same"] = twice.volumes["data"]
        #expect(
            try lowered(twice).desired.volumes.mapValues(\.labels) == [
                "demo_data": ["a": "mine", "b": "2", "c": "3"]
            ])
    }
}
