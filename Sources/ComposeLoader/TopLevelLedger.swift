// SPDX-License-Identifier: Apache-2.0
//
// The ledger of a file's top level and of its networks, volumes, configs and secrets.

extension Ledger {
    /// The top level of a file.
    public static let topLevel = Fields([
        .obsolete("version"),
        .works("name", by: "Commands.config"),
        .works(
            "include", "files on this host", Shape(each: Shape(fields: include)),
            by: "ComposeLoaderTests.goldenProjects"),
        .works(
            "services", "", Shape(each: Shape(fields: service), isPerService: true), by: "Lifecycle.upAndDown"
        ),
        .works(
            "models", "loaded; a service that uses one is refused", Shape(each: Shape(fields: model)),
            by: "ComposeLoaderTests.stack"),
        .works("networks", "", Shape(each: Shape(fields: network)), by: "Networks.isolation"),
        .works("volumes", "", Shape(each: Shape(fields: volume)), by: "Lifecycle.volumes"),
        .works("secrets", "", Shape(each: Shape(fields: secret)), by: "Containers.files"),
        .works("configs", "", Shape(each: Shape(fields: config)), by: "Containers.files"),
        .proposed("jobs", "write a service with `profiles`, and `run` it"),
    ])

    /// `networks.<name>`.
    public static let network = Fields([
        .works("name"),
        .works("driver", "`bridge`"),
        .works("driver_opts", "`com.docker.network.driver.mtu`", by: "IPv6Networks.addresses"),
        .works(
            "ipam", "",
            Shape(
                fields: Fields([
                    .works("driver", "`default`", by: "Endpoints.attributes"),
                    .works(
                        "config", "one IPv4 and one IPv6 subnet", Shape(.subnets, each: Shape(fields: subnet))
                    ),
                    .notHere("options", "they are for drivers of others; `default` has none"),
                ]))),
        .works("external", "", external, by: "ComposeLoaderTests.resources"),
        .works("internal", by: "Networks.inside"),
        .works(
            "enable_ipv4", "where it is off, ports are published over the host's IPv6",
            by: "Endpoints.withoutIPv4"),
        .works(
            "enable_ipv6", "published ports lead to the IPv4 address", by: "IPv6Networks.outside"),
        .noEffect("attachable", "every container of the host's user may be attached"),
        .works("labels", "", .keyed),
    ])

    /// An element of `networks.<name>.ipam.config`.
    public static let subnet = Fields([
        .works("subnet"), .works("ip_range"), .works("gateway"),
        .works("aux_addresses", "never given to a container", by: "Endpoints.attributes"),
    ])

    /// `volumes.<name>`.
    public static let volume = Fields([
        .works("name"),
        .works("driver", "`local`"),
        .works(
            "driver_opts",
            "`type`, `device` and `o` as mount(8) takes them, `o: bind` for a directory of the host; `x-systemd.mount-timeout=` among them is how long a server may be silent, 90 s unless it is said, `0` or `infinity` for ever",
            by: "Mounts.volumeOptions, SilentVolumes.patience"),
        .works("external", "", external, by: "ComposeLoaderTests.resources"),
        .works("labels", "", .keyed),
    ])

    /// `secrets.<name>`.
    public static let secret = Fields([
        .works("name"),
        .works("environment"),
        .works("file"),
        .notHere("external", "there is no store of secrets on one host", unless: ["false"], external),
        .works("labels", "", .keyed),
        .notHere("driver", "belongs to a cluster"),
        .notHere("driver_opts", "belongs to a cluster"),
        .notHere("template_driver", "belongs to a cluster"),
    ])

    /// `configs.<name>`.
    public static let config = Fields([
        .works("name"),
        .works("content"),
        .works("environment"),
        .works("file"),
        .notHere("external", "there is no store of configs on one host", unless: ["false"], external),
        .works("labels", "", .keyed),
        .notHere("template_driver", "belongs to a cluster"),
    ])

    /// `models.<name>`.
    static let model = Fields([
        .works("name"), .works("model"), .works("context_size"), .works("runtime_flags"),
    ])

    /// An element of `include`.
    static let include = Fields([.works("path"), .works("env_file"), .works("project_directory")])

    private static let external = Shape(fields: Fields([.works("name", "the older form, warned about")]))

    static let root = Shape(fields: topLevel)
}
