// SPDX-License-Identifier: Apache-2.0
//
// ImageLayout: writes an OCI image layout of one layer by hand (image-spec, image-layout.md), right or wrong in one place,
// so that what reads it can be shown what nobody would pack on purpose.

import Basics
import Kernel

struct ImageLayout {
    /// The layer's blob, as it lies there.
    var layer: [UInt8]
    /// `tar`, `tar+gzip`.
    var kind = "tar"
    /// What the config says the unpacked layer's digest is; the layer's own for a plain tar.
    var diffID: Digest?
    /// The blob is changed after its digest was taken.
    var isDamaged = false

    func write(to path: String) throws {
        try ensureDirectory("\(path)/blobs/sha256")
        func blob(_ bytes: [UInt8], as stored: [UInt8]? = nil) throws -> String {
            let digest = Digest(of: bytes).hex
            try writeFile("\(path)/blobs/sha256/\(digest)", stored ?? bytes)
            return "\"digest\":\"sha256:\(digest)\",\"size\":\(bytes.count)"
        }
        var stored = layer
        if isDamaged { stored[stored.count / 2] ^= 1 }
        let type = "application/vnd.oci.image"
        let architecture = try Host.run(["uname", "-m"]).text == "aarch64" ? "arm64" : "amd64"
        let diff = (diffID ?? Digest(of: layer)).hex
        let config = try blob(
            Array(
                "{\"architecture\":\"\(architecture)\",\"os\":\"linux\",\"config\":{\"Cmd\":[\"x\"]},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:\(diff)\"]}}"
                    .utf8))
        let layer = try blob(layer, as: stored)
        let manifest = try blob(
            Array(
                "{\"schemaVersion\":2,\"mediaType\":\"\(type).manifest.v1+json\",\"config\":{\"mediaType\":\"\(type).config.v1+json\",\(config)},\"layers\":[{\"mediaType\":\"\(type).layer.v1.\(kind)\",\(layer)}]}"
                    .utf8))
        try writeFile(
            "\(path)/index.json",
            "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"\(type).manifest.v1+json\",\(manifest)}]}"
                .utf8)
        try writeFile("\(path)/oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}".utf8)
    }
}
