// swift-tools-version: 6.1
// SPDX-License-Identifier: Apache-2.0
//
// One entry per layer of docs/ARCHITECTURE.md, lowest first. A target names every target it may import;
// `RepositoryTests` holds the imports in the sources against the layer table.

import PackageDescription

let swift: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    // glibc's headers as CLinux sees them: with FoundationEssentials in sight the compiler reads them twice, and
    // refuses two different answers.
    .unsafeFlags(["-warnings-as-errors", "-Xcc", "-D_GNU_SOURCE"]),
    // A generic type is made by calling its accessor, not by reading its name: reading one asks for each argument
    // whether it conforms, and the first question of each searches all conformances of the program. That was 3 ms of
    // a cold `up` (docs/decisions/007).
    .unsafeFlags(
        ["-Xfrontend", "-disable-concrete-type-metadata-mangled-name-accessors"],
        .when(configuration: .release)),
    // A function by itself, so that the linker leaves out those that nobody calls: a twelfth of the program.
    .unsafeFlags(["-Xfrontend", "-function-sections"], .when(configuration: .release)),
]
// Nothing of the product is a task: their runtime, which looks at the machine when a program starts, is not linked.
let product: [SwiftSetting] =
    swift + [.unsafeFlags(["-Xfrontend", "-disable-implicit-concurrency-module-import"])]
let c: [CSetting] = [.unsafeFlags(["-Wall", "-Wextra", "-Werror", "-std=gnu17"])]

func layer(_ name: String, _ uses: [String] = []) -> Target {
    .target(name: name, dependencies: uses.map { .target(name: $0) }, swiftSettings: product)
}

func tests(_ name: String, _ uses: [String]) -> Target {
    .testTarget(name: name, dependencies: uses.map { .target(name: $0) }, swiftSettings: swift)
}

let package = Package(
    name: "covey",
    products: [.executable(name: "covey", targets: ["covey"])],
    targets: [
        // C: what Swift cannot say.
        .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
        .target(name: "CLinux", cSettings: c),
        // No builtin may turn a loop of the child side into a call of libc.
        .target(
            name: "CLaunch", dependencies: ["CLinux"],
            cSettings: c + [.unsafeFlags(["-fno-builtin", "-fno-stack-protector"])]),
        .target(name: "CLibraries", cSettings: c),

        // Base: values every layer speaks, and the kernel's calls with types.
        layer("Basics"),
        layer("Kernel", ["Basics", "CLinux"]),

        // Formats: bytes ↔ values, pure.
        layer("YAMLTree", ["Basics", "CYAML"]),
        layer("Archives", ["Basics", "Kernel", "CLinux", "CLibraries"]),
        layer("SSHAgent", ["Kernel", "CLinux", "CLibraries"]),
        layer("JSONFormat"),
        layer("OCIFormats", ["Basics", "JSONFormat"]),
        layer("Netlink", ["Basics"]),
        layer("DNSFormat", ["Basics"]),
        layer("SeccompCompiler", ["Basics", "JSONFormat"]),
        layer("DockerfileSyntax", ["Basics"]),

        // Meaning: pure decisions.
        layer("ComposeModel", ["Basics"]),
        layer("ComposeLoader", ["Basics", "YAMLTree", "ComposeModel"]),
        layer("ContainerModel", ["Basics"]),
        layer("Planning", ["Basics", "YAMLTree", "ComposeModel", "ContainerModel"]),
        layer("LaunchPlanning", ["Basics", "OCIFormats", "ContainerModel", "SeccompCompiler", "CLaunch"]),

        // Mechanisms: synchronous, on the kernel and the disk.
        layer("Records", ["Basics", "Kernel", "CLinux", "JSONFormat"]),
        layer(
            "Images", ["Basics", "Kernel", "CLinux", "Archives", "OCIFormats", "ContainerModel", "Records"]),
        layer(
            "Registry",
            ["Basics", "Kernel", "CLinux", "CLibraries", "Archives", "JSONFormat", "OCIFormats", "Images"]),
        layer("Cgroups", ["Basics", "Kernel", "CLinux", "OCIFormats", "ContainerModel"]),
        layer(
            "Networking",
            ["Basics", "Kernel", "CLinux", "Netlink", "DNSFormat", "JSONFormat", "ContainerModel", "Records"]),
        layer("Volumes", ["Basics", "Kernel", "CLinux", "ContainerModel", "LaunchPlanning", "Records"]),
        layer(
            "ContainerRuntime",
            [
                "Basics", "Kernel", "CLinux", "CLaunch", "SeccompCompiler", "ContainerModel",
                "LaunchPlanning",
                "Cgroups", "Records",
            ]),
        layer(
            "ImageBuild",
            [
                "Basics", "Kernel", "CLinux", "Archives", "OCIFormats", "DockerfileSyntax", "ContainerModel",
                "Images",
                "ContainerRuntime", "LaunchPlanning",
            ]),

        layer(
            "OCIRuntime",
            [
                "Basics", "Kernel", "CLinux", "CLaunch", "JSONFormat", "OCIFormats", "SeccompCompiler",
                "ContainerModel", "LaunchPlanning", "Cgroups", "Volumes", "ContainerRuntime",
            ]),

        // Engine: observe, plan, execute, supervise.
        layer(
            "Controller",
            [
                "Basics", "Kernel", "CLinux", "CLaunch", "ContainerModel", "Planning", "LaunchPlanning",
                "Netlink", "JSONFormat",
                "Records", "Cgroups",
                "Networking", "Volumes", "ContainerRuntime",
            ]),

        // Faces.
        layer(
            "Commands",
            [
                "Basics", "Kernel", "CLinux", "YAMLTree", "JSONFormat", "ComposeModel", "ComposeLoader",
                "ContainerModel", "Planning",
                "Archives", "SSHAgent", "OCIFormats", "DockerfileSyntax", "Images", "Registry", "ImageBuild",
                "LaunchPlanning",
                "ContainerRuntime", "OCIRuntime",
                "Records", "Volumes", "Netlink", "Networking", "Cgroups", "Controller",
            ]),
        .executableTarget(
            name: "covey", dependencies: ["Commands", "CLaunch"], swiftSettings: product,
            // Not position-independent: no start-up relocation, so the pages of the keeper, of the
            // controller it forks and of every client are the file's own and shared (docs/decisions/002).
            // libstdc++ and libgcc within: binding to the shared ones is a third of a start (docs/decisions/011).
            linkerSettings: [
                .unsafeFlags(
                    [
                        "-Xclang-linker", "-no-pie", "-Xlinker", "--no-export-dynamic", "-use-ld=lld",
                        "-L\(Context.packageDirectory)/Sources/static", "-Xclang-linker", "-static-libgcc",
                    ],
                    .when(configuration: .release))
            ]),

        tests("BasicsTests", ["Basics"]),
        tests("KernelTests", ["Kernel", "Basics", "CLinux"]),
        tests("SSHAgentTests", ["SSHAgent", "Kernel", "CLinux"]),
        tests("YAMLTreeTests", ["YAMLTree", "Basics"]),
        .testTarget(
            name: "ComposeLoaderTests",
            dependencies: ["ComposeLoader", "ComposeModel", "YAMLTree", "Basics", "Kernel"],
            exclude: ["Golden", "stacks"], swiftSettings: swift),
        tests("JSONFormatTests", ["JSONFormat"]),
        tests("ArchivesTests", ["Archives", "Basics", "Kernel"]),
        tests(
            "ImagesTests",
            ["Images", "Archives", "OCIFormats", "ContainerModel", "Kernel", "Basics", "Records", "Volumes"]),
        tests(
            "RegistryTests",
            ["Registry", "Images", "Archives", "OCIFormats", "JSONFormat", "Kernel", "Basics"]),
        tests("NetlinkTests", ["Netlink", "Basics"]),
        tests("DNSFormatTests", ["DNSFormat", "Basics"]),
        tests(
            "NetworkingTests",
            ["Networking", "Netlink", "DNSFormat", "ContainerModel", "Kernel", "Basics", "Records"]),
        tests("SeccompCompilerTests", ["SeccompCompiler", "Basics"]),
        tests("DockerfileSyntaxTests", ["DockerfileSyntax", "Basics"]),
        tests("CgroupsTests", ["Cgroups", "ContainerModel", "OCIFormats", "Kernel", "Basics"]),
        tests("PlanningTests", ["Planning", "ComposeModel", "ContainerModel", "Basics"]),
        tests(
            "RuntimeTests",
            [
                "ContainerRuntime", "LaunchPlanning", "ContainerModel", "Kernel", "Basics", "Cgroups",
                "CLaunch",
                "SeccompCompiler",
            ]),
        .testTarget(
            name: "OCIRuntimeTests",
            dependencies: [
                "OCIRuntime", "OCIFormats", "JSONFormat", "LaunchPlanning", "Cgroups", "Kernel", "Basics",
            ], exclude: ["schemas"], swiftSettings: swift),
        tests("ImageBuildTests", ["ImageBuild", "Images", "DockerfileSyntax", "Kernel", "Basics"]),
        tests("ControllerTests", ["Controller", "ContainerModel", "Planning", "Kernel", "Basics", "CLinux"]),
        tests("CommandsTests", ["Commands", "Controller", "ComposeModel", "Basics", "Kernel"]),
        tests("RepositoryTests", ["Basics"]),
        .testTarget(
            name: "Scenarios", dependencies: ["Basics", "Kernel"], exclude: ["projects"], swiftSettings: swift
        ),
    ]
)
