// SPDX-License-Identifier: Apache-2.0
//
// The ledger of a service (05-services.md) and what stands directly inside it, in the schema's order.

/// Every attribute by element.
public enum Ledger {
    /// `services.<name>`.
    public static let service = Fields([
        .refused("develop"),
        .works("deploy", "", Shape(fields: deploy)),
        .refused("annotations", "not supported yet", .keyed),
        .refused("attach", unless: ["true"]),
        .works("build", "", Shape(.build, fields: build)),
        .refused("blkio_config"),
        .works("cap_add", "Linux's capability names, or ALL"),
        .works("cap_drop", "Linux's capability names, or ALL"),
        .refused("cgroup", unless: ["private"]),
        .refused("cgroup_parent"),
        .works("command", "", .replaced),
        .works("configs", "", Shape(each: Shape(fields: grant))),
        .works("container_name", "only with one replica"),
        .notHere("cpu_count", "Windows only"),
        .notHere("cpu_percent", "Windows only"),
        .refused("cpu_shares"),
        .refused("cpu_quota", "use `cpus`"),
        .refused("cpu_period", "use `cpus`"),
        .refused("cpu_rt_period"),
        .refused("cpu_rt_runtime"),
        .works("cpus"),
        .refused("cpuset"),
        .notHere("credential_spec", "Windows only"),
        .works(
            "depends_on", "all three conditions, `restart`, `required`",
            Shape(.dependencies, each: Shape(fields: dependency))),
        .refused("device_cgroup_rules"),
        .refused("devices"),
        .works("dns", "", .list),
        .refused("dns_opt", "not supported yet", .list),
        .refused("dns_search", "not supported yet", .list),
        .refused("domainname"),
        .works("entrypoint", "", .replaced),
        .works(
            "env_file", "short and long, `required`, `format: raw`",
            Shape(.list, each: Shape(fields: envFile))),
        .refused("label_file", "not supported yet", .list),
        .works("environment", "values are the text that was written", .keyed),
        .works("expose", "containers of one network reach each other's ports anyway"),
        .refused(
            "extends", "not supported yet", Shape(fields: Fields([.refused("service"), .refused("file")]))),
        .notHere("provider", "runs another engine's plug-in"),
        .refused("external_links", "use `networks` with `external: true`"),
        .works("extra_hosts", "addresses; `host-gateway` is refused"),
        .refused("gpus"),
        .refused("group_add"),
        .works("healthcheck", "", Shape(fields: healthcheck)),
        .works("hostname"),
        .works("image"),
        .works("init"),
        .refused("ipc", unless: ["private", "shareable"]),
        .notHere("isolation", "Windows only", unless: ["default"]),
        .works("labels", "", .keyed),
        .refused("links", "services reach each other by name; use `networks` with `aliases` for more"),
        .refused("logging", "output is always kept, see `covey logs`", Shape(.logging)),
        .refused("mac_address"),
        .works("mem_limit"),
        .refused("mem_reservation"),
        .refused("mem_swappiness"),
        .refused("memswap_limit"),
        .works("network_mode", "`none` only"),
        .notHere("models", "needs a model runner", Shape(.named)),
        .works("networks", "", Shape(.named, each: Shape(fields: attachment))),
        .refused("oom_kill_disable", unless: ["false"]),
        .refused("oom_score_adj", unless: ["0"]),
        .refused("pid"),
        .works("pids_limit", "-1 and 0 are no limit"),
        .works("platform", "the host's own only"),
        .works("ports", "all short and long forms, tcp and udp", Shape(each: Shape(fields: port))),
        .refused("post_start"),
        .refused("pre_start"),
        .refused("pre_stop"),
        .refused("privileged", unless: ["false"]),
        .works("profiles"),
        .works("pull_policy", "`missing`, `if_not_present`, `never`, `build`; nothing is pulled yet"),
        .refused("pull_refresh_after"),
        .works("read_only"),
        .works("restart", "all four, `on-failure:N`"),
        .refused("runtime", "Covey is the runtime"),
        .works("scale"),
        .works("security_opt", "`no-new-privileges`, `seccomp:unconfined`"),
        .works("shm_size"),
        .works("secrets", "", Shape(each: Shape(fields: grant))),
        .works("sysctls", "", .keyed),
        .works("stdin_open"),
        .works("stop_grace_period"),
        .works("stop_signal", "names and numbers"),
        .refused("storage_opt"),
        .works("tmpfs", "options size, mode, uid, gid", .list),
        .works("tty"),
        .works("ulimits", "", Shape(each: .replaced)),
        .notHere("use_api_socket", "there is no engine socket", unless: ["false"]),
        .works("user"),
        .refused("uts"),
        .refused("userns_mode"),
        .works("volumes", "short and long; volume, bind, tmpfs", Shape(each: Shape(fields: mount))),
        .refused("volumes_from"),
        .works("working_dir", "absolute"),
    ])

    /// `services.<name>.build`.
    public static let build = Fields([
        .works("context", "a directory"),
        .works("dockerfile"),
        .works("dockerfile_inline"),
        .refused("entitlements"),
        .works("args", "", .keyed),
        .refused("ssh"),
        .works("labels", "", .keyed),
        .refused("cache_from", "the layer cache is the store's own"),
        .refused("cache_to", "the layer cache is the store's own"),
        .works("no_cache"),
        .refused("no_cache_filter"),
        .works(
            "additional_contexts",
            "directories, `service:NAME`, and the transports oci:, oci-archive:, docker-archive:, dir:",
            .keyed),
        .refused("network", unless: ["default"]),
        .refused("provenance", unless: ["false"]),
        .refused("sbom", unless: ["false"]),
        .refused("pull", unless: ["false"]),
        .works("target"),
        .refused("shm_size"),
        .refused("extra_hosts"),
        .notHere("isolation", "Windows only", unless: ["default"]),
        .refused("privileged", unless: ["false"]),
        .refused("secrets"),
        .works("tags"),
        .refused("ulimits"),
        .works("platforms", "the host's own only"),
    ])

    /// `services.<name>.depends_on.<service>`.
    public static let dependency = Fields([.works("restart"), .works("required"), .works("condition")])

    /// An element of `services.<name>.env_file`.
    public static let envFile = Fields([.works("path"), .works("format", "`raw`"), .works("required")])

    /// An element of `services.<name>.configs` and `secrets`.
    public static let grant = Fields([
        .works("source"), .works("target"), .works("uid"), .works("gid"), .works("mode"),
    ])

    /// `services.<name>.healthcheck`.
    public static let healthcheck = Fields([
        .works("disable"), .works("interval"), .works("retries"), .works("test", "", .replaced),
        .works("timeout"),
        .works("start_period"), .works("start_interval"),
    ])

    /// `services.<name>.networks.<network>`.
    public static let attachment = Fields([
        .works("aliases"),
        .refused("interface_name"),
        .works("ipv4_address"),
        .refused("ipv6_address"),
        .refused("link_local_ips"),
        .refused("mac_address"),
        .refused("driver_opts"),
        .works("priority"),
        .refused("gw_priority", unless: ["0"]),
    ])

    /// An element of `services.<name>.ports`, long syntax.
    public static let port = Fields([
        .works("name", "kept for people to read"),
        .noEffect("mode", "`host` and `ingress` are the same on one host"),
        .works("host_ip"),
        .works("target"),
        .works("published", "a port or a range"),
        .works("protocol", "tcp, udp"),
        .noEffect("app_protocol", "a hint for others"),
    ])

    /// An element of `services.<name>.volumes`, long syntax.
    public static let mount = Fields([
        .works("type", "volume, bind, tmpfs; image, npipe and cluster are refused"),
        .works("source"),
        .works("target"),
        .works("read_only"),
        .noEffect("consistency", "a hint for other systems"),
        .works(
            "bind", "",
            Shape(
                fields: Fields([
                    .works("propagation"),
                    .works("create_host_path"),
                    .refused("recursive", unless: ["enabled"]),
                    .noEffect("selinux", "files are not relabelled"),
                ]))),
        .works(
            "volume", "",
            Shape(
                fields: Fields([
                    .refused("labels", "not supported yet", .keyed), .works("nocopy"), .works("subpath"),
                ]))),
        .works("tmpfs", "", Shape(fields: Fields([.works("size"), .works("mode")]))),
        .refused("image"),
    ])

    /// `services.<name>.deploy`.
    public static let deploy = Fields([
        .notHere("mode", "belongs to a cluster", unless: ["replicated"]),
        .notHere("endpoint_mode", "belongs to a cluster"),
        .works("replicas", "must agree with `scale`"),
        .refused("labels", "they name the service, not its containers; use the service's `labels`", .keyed),
        .refused("rollback_config"),
        .refused("update_config"),
        .works(
            "resources", "",
            Shape(
                fields: Fields([
                    .works(
                        "limits", "must agree with `cpus`, `mem_limit`, `pids_limit`",
                        Shape(fields: Fields([.works("cpus"), .works("memory"), .works("pids")]))),
                    .refused("reservations"),
                ]))),
        .works(
            "restart_policy", "stands before `restart`",
            Shape(
                fields: Fields([
                    .works("condition"), .refused("delay"), .works("max_attempts"), .refused("window"),
                ]))),
        .notHere("placement", "belongs to a cluster"),
    ])
}
