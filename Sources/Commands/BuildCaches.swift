// SPDX-License-Identifier: Apache-2.0
//
// Where build caches are kept: directories and registries, as the image builder wants to read and write them.

internal import Archives
internal import Basics
internal import ImageBuild
internal import OCIFormats
internal import Registry

/// The caches of one build.
struct BuildCaches {
    private let environment: [String: String]

    init(_ session: Session) { environment = session.invocation.environment }

    func source(_ reference: CacheReference) -> CacheSource {
        let (title, environment) = (reference.text, environment)
        switch reference.place {
        case .directory(let path, let tag):
            return CacheSource(title: title) { () throws(Failure) in
                try readLocalCache(path, tag: tag, title: title)
            }
        case .registry(let name):
            return CacheSource(title: title) { () throws(Failure) in
                let access = try RegistryAccess(environment: environment)
                let doing = "cannot use the build cache \(title)"
                guard let artifact = try access.artifact(name, doing: doing) else { return nil }
                return try CacheContents(config: artifact.config, manifest: artifact.manifest, title: title) {
                    (layer: Descriptor) throws(Failure) -> any ByteSource in artifact.open(layer)
                }
            }
        }
    }

    func target(_ reference: CacheReference) -> CacheTarget {
        let (title, environment) = (reference.text, environment)
        return CacheTarget(title: title, mode: reference.mode, ignoresErrors: reference.ignoresErrors) {
            (export: CacheExport) throws(Failure) in
            switch reference.place {
            case .directory(let path, let tag): try writeLocalCache(export, path, tag: tag, title: title)
            case .registry(let name):
                try RegistryAccess(environment: environment).push(
                    name, manifest: export.manifest, config: (export.configDescriptor, export.config),
                    blobs: export.blobs.map { ($0.descriptor, $0.open) },
                    doing: "cannot write the build cache \(title)")
            }
        }
    }
}
