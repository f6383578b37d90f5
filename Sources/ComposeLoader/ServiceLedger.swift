// SPDX-License-Identifier: Apache-2.0
//
// The ledger of a service (05-services.md) and what stands directly inside it, in the schema's order.

/// Every attribute by element.
public enum Ledger {
    /// `services.<name>`.
    public static let service = Fields([
        .works(
            "develop", "`covey watch`, `up --watch`; files are written from outside of the container",
            Shape(fields: develop), by: "Watch.synchronized"),
        .works("deploy", "", Shape(fields: deploy), by: "Containers.limits"),
        .works("annotations", "kept with the container", .keyed, by: "PlanningTests.hostAccess"),
        .works("attach", "`up --attach` shows it all the same", by: "Particulars.unattached"),
        .works("build", "", Shape(.build, fields: build), by: "Lifecycle.build"),
        .works(
            "blkio_config", "weights where the kernel has them for the disk's scheduler",
            Shape(fields: blockIO), by: "Limits.blockDevices"),
        .works("cap_add", "Linux's capability names, or ALL", by: "Containers.confinement"),
        .works("cap_drop", "Linux's capability names, or ALL", by: "Containers.confinement"),
        .works("cgroup", "the cgroup namespace; limits hold in both", by: "Particulars.hostNamespaces"),
        .works(
            "cgroup_parent",
            "below the project's own cgroup, where it is made; an absolute one must be there. On cgroup v1 it counts in the hierarchies of the container's limits and in the one its processes are followed by; in the others the container stays in the project's",
            by: "Limits.cgroupParent"),
        .works("command", "", .replaced, by: "Lifecycle.upAndDown"),
        .works("configs", "", Shape(each: Shape(fields: grant)), by: "Containers.files"),
        .works("container_name", "only with one replica", by: "Networks.names"),
        .notHere("cpu_count", "Windows only; use `cpus`"),
        .notHere("cpu_percent", "Windows only; use `cpus`"),
        .works("cpu_shares", by: "Particulars.held"),
        .works("cpu_quota", "not beside `cpus`", by: "Particulars.held"),
        .works("cpu_period", "not beside `cpus`", by: "Particulars.held"),
        .works(
            "cpu_rt_period", "cgroup v1 with CONFIG_RT_GROUP_SCHED; elsewhere the container is not started",
            by: "Limits.realtime"),
        .works("cpu_rt_runtime", "as `cpu_rt_period`", by: "Limits.realtime"),
        .works("cpus", by: "Attributes.plain"),
        .works("cpuset", by: "Particulars.held"),
        .notHere(
            "credential_spec", "Windows only",
            Shape(fields: Fields([.works("config"), .works("file"), .works("registry")]))),
        .works(
            "depends_on", "all three conditions, `restart`, `required`",
            Shape(.dependencies, each: Shape(fields: dependency)), by: "Containers.dependencies"),
        .works("device_cgroup_rules", by: "HostAccess.devices"),
        .works(
            "devices",
            "devices and directories of the host, CDI names; a CDI device whose file wants hooks is refused",
            Shape(each: Shape(fields: Fields([.works("source"), .works("target"), .works("permissions")]))),
            by: "HostAccess.devices"),
        .works(
            "dns", "on internal networks alone only servers that are on them are asked", .list,
            by: "NetworkingTests.ownServers"),
        .works("dns_opt", "in place of the host's", .list, by: "Particulars.held"),
        .works("dns_search", "in place of the host's", .list, by: "Particulars.held"),
        .works("domainname", by: "Particulars.held"),
        .works("entrypoint", "", .replaced, by: "OneOffs.dependencies"),
        .works(
            "env_file", "short and long, `required`, `format: raw`",
            Shape(.list, each: Shape(fields: envFile)), by: "Attributes.plain"),
        .works("label_file", "`labels` win over it", .list, by: "ComposeLoaderTests.goldenProjects"),
        .works("environment", "values are the text that was written", .keyed, by: "Commands.config"),
        .works("expose", "containers of one network reach each other's ports anyway", by: "Attributes.plain"),
        .works(
            "extends", "of the same file or another one on this host", Shape(.replace, fields: extends),
            by: "ComposeLoaderTests.goldenProjects"),
        .works(
            "provider",
            "a program in PATH or a plug-in of Docker's, run by `up`, `stop` and `down` with Covey's own rights",
            Shape(fields: Fields([.works("type"), .works("options")])), by: "Providers.lifecycle"),
        .works(
            "external_links", "to containers that run on a network they share",
            by: "Particulars.externalLinks"),
        .works(
            "extra_hosts", "addresses and `host-gateway`, the gateway of the container's first network",
            Shape(.hosts), by: "Networks.defaultNetwork"),
        .works(
            "gpus", "through CDI files; a device whose file wants hooks is refused",
            Shape(.gpus, each: Shape(fields: deviceRequest)), by: "HostAccess.interfaces"),
        .works("group_add", "names of the image's groups, or numbers", by: "Particulars.held"),
        .works("healthcheck", "", Shape(fields: healthcheck), by: "Containers.unhealthy"),
        .works("hostname", by: "Networks.defaultNetwork"),
        .works("image", by: "Lifecycle.upAndDown"),
        .works("init", by: "Containers.zombies"),
        .works(
            "ipc", "`host`, `none`, `private`, `shareable`, `service:`, `container:`", by: "Sharing.service"),
        .notHere("isolation", "Windows only", unless: ["default"]),
        .works("labels", "", .keyed, by: "PlanningTests.passedThrough"),
        .works(
            "links", "to services on a network of its own; an alias is known to this service alone",
            by: "Particulars.links"),
        .works(
            "logging",
            "`json-file` and `local` with `max-size` and `max-file`, for each stream, their other options have no effect, which is warned about; `journald`; `syslog` over unix, udp and tcp to a numeric address; `none`",
            Shape(.logging, fields: Fields([.works("driver"), .works("options")])), by: "Particulars.logging"),
        .works("mac_address", "of the first network", by: "Particulars.hardwareAddress"),
        .works("mem_limit", by: "Containers.limits"),
        .works("mem_reservation", by: "Particulars.held"),
        .works(
            "mem_swappiness", "cgroup v1 only; on v2 the container is not started", by: "Particulars.legacy"),
        .works("memswap_limit", "with `mem_limit`", by: "Particulars.held"),
        .works(
            "network_mode",
            "`none`, `host`, `service:`, `container:`, `bridge` (one of the project's own), a network that is there",
            by: "Sharing.service"),
        .notHere(
            "models", "needs a model runner",
            Shape(.named, each: Shape(fields: Fields([.works("endpoint_var"), .works("model_var")])))),
        .works("networks", "", Shape(.named, each: Shape(fields: attachment)), by: "Networks.isolation"),
        .works(
            "oom_kill_disable", "cgroup v1 only; on v2 the container is not started", by: "Particulars.legacy"
        ),
        .works("oom_score_adj", by: "Particulars.held"),
        .works("pid", "`host`, `service:`, `container:`", by: "Sharing.service"),
        .works("pids_limit", "-1 and 0 are no limit", by: "Containers.limits"),
        .works("platform", "the host's own only", by: "Attributes.elsewhere"),
        .works(
            "ports",
            "all short and long forms, tcp and udp; with `network_mode: host`, or on internal networks alone, they have no effect, which is warned about",
            Shape(each: Shape(fields: port)),
            by: "Networks.ports"),
        .works(
            "post_start", "after every start, by a restart policy too; output goes to the container's log",
            Shape(each: Shape(fields: hook)), by: "Hooks.postStart"),
        .works(
            "pre_start", "its command runs without the image's entrypoint; once for each new container",
            Shape(each: Shape(fields: firstHook)), by: "Hooks.preStart"),
        .works(
            "pre_stop", "bounded by the stop's own grace period; one that fails is told and stops nobody",
            Shape(each: Shape(fields: hook)), by: "Hooks.preStop"),
        .works("privileged", by: "HostAccess.privileged"),
        .works("profiles", by: "Attributes.plain"),
        .works(
            "pull_policy", "all forms; `latest` is a tag like others, as Docker Compose has it",
            by: "Registries.pulling"),
        .works("pull_refresh_after", "with `pull_policy: refresh`", by: "Registries.pulling"),
        .works("read_only", by: "Containers.confinement"),
        .works("restart", "all four, `on-failure:N`", by: "Containers.restart"),
        .notHere(
            "runtime",
            "Covey is the runtime: its keeper clones each first process and is its parent, which another program would have to be"
        ),
        .works("scale", by: "Networks.replicas"),
        .works(
            "security_opt",
            "`no-new-privileges`, `seccomp` (a file, `unconfined`, `builtin`), `systempaths=unconfined`; `apparmor` and `label` where the kernel has them",
            by: "HostAccess.seccomp"),
        .works("shm_size", by: "Attributes.plain"),
        .works("secrets", "", Shape(each: Shape(fields: grant)), by: "Containers.files"),
        .works("sysctls", "", .keyed, by: "Containers.confinement"),
        .works("stdin_open", by: "Tools.attach"),
        .works("stop_grace_period", by: "Lifecycle.stopSignal"),
        .works("stop_signal", "names and numbers", by: "Lifecycle.stopSignal"),
        .works(
            "storage_opt",
            "`size`, where the state directory is on XFS or ext4 with project quotas (prjquota)",
            by: "Limits.storage"),
        .works("tmpfs", "options size, mode, uid, gid, exec, ro", .list, by: "Containers.volumes"),
        .works("tty", by: "Commands.serviceTerminal"),
        .works("ulimits", "", Shape(each: Shape(.replace, fields: limit)), by: "Containers.confinement"),
        .notHere("use_api_socket", "there is no engine socket", unless: ["false"]),
        .works("user", by: "Containers.confinement"),
        .works("uts", "`host`", by: "Particulars.hostNamespaces"),
        .works(
            "userns_mode", "`host`; no container has a user namespace of its own", by: "Particulars.held"),
        .works(
            "volumes", "short and long; volume, bind, tmpfs, image", Shape(each: Shape(fields: mount)),
            by: "Containers.volumes"),
        .works(
            "volumes_from",
            "services, and containers of any project; when anonymous volumes of another service are renewed, who has them is started again",
            by: "Mounts.volumesFrom, Volumes.followsRenewed"),
        .works("working_dir", "absolute", by: "Attributes.plain"),
    ])

    /// `services.<name>.build`.
    public static let build = Fields([
        .works("context", "a directory or a git repository", by: "BuildSources.repositories"),
        .works("dockerfile"),
        .works("dockerfile_inline", by: "ComposeLoaderTests.builds"),
        .works(
            "entitlements", "`security.insecure`, for `RUN --security=insecure`; `network.host` is anybody's",
            by: "Building.attributes"),
        .works("args", "", .keyed, by: "ComposeLoaderTests.builds"),
        .works(
            "ssh", "agents' sockets, and key files of OpenSSH without a passphrase", .keyed,
            by: "Building.attributes"),
        .works("labels", "", .keyed, by: "ComposeLoaderTests.builds"),
        .works("cache_from", "`type=registry` and `type=local`", by: "BuildCaches.registry"),
        .works("cache_to", "`type=registry` and `type=local`", by: "BuildCaches.registry"),
        .works("no_cache", by: "ImageBuildTests.noCache"),
        .works("no_cache_filter", by: "ImageBuildTests.noCacheStages"),
        .works(
            "additional_contexts",
            "directories, `service:NAME`, docker-image://, git repositories, and the transports oci:, oci-archive:, docker-archive:, dir:",
            .keyed, by: "ImageBuildTests.contexts"),
        .works("network", "`default`, `host`, `none`", by: "Building.attributes"),
        .notHere(
            "provenance", "an attestation belongs to an image index in a registry; one image is built here",
            unless: ["false"]),
        .notHere(
            "sbom", "it needs a scanner, an image of somebody else's that reads what was built",
            unless: ["false"]),
        .works("pull", by: "BuildCaches.flags"),
        .works("target", by: "ImageBuildTests.target"),
        .works("shm_size", by: "Building.attributes"),
        .works("extra_hosts", "", Shape(.hosts), by: "Building.attributes"),
        .notHere("isolation", "Windows only", unless: ["default"]),
        .works("privileged", "as `entitlements: [security.insecure]`", by: "Building.attributes"),
        .works(
            "secrets", "`source` and `target`, the id", Shape(each: Shape(fields: grant)),
            by: "Building.attributes"),
        .works("tags", by: "ImageBuildTests.tags"),
        .works("ulimits", "", Shape(each: Shape(.replace, fields: limit)), by: "Building.attributes"),
        .works("platforms", "the host's own only", by: "PlanningTests.refused"),
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
        .works("aliases", by: "Networks.names"),
        .works("interface_name", by: "Endpoints.attributes"),
        .works("ipv4_address", by: "Attributes.plain"),
        .works("ipv6_address", by: "IPv6Networks.addresses"),
        .works(
            "link_local_ips", "any addresses, with Docker's prefixes /16 and /64", by: "Endpoints.attributes"),
        .works("mac_address", by: "Particulars.hardwareAddress"),
        .works(
            "driver_opts", "`com.docker.network.endpoint.ifname` and `com.docker.network.endpoint.sysctls`",
            by: "Endpoints.attributes"),
        .works("priority", by: "Particulars.hardwareAddress"),
        .works("gw_priority", by: "Endpoints.attributes"),
    ])

    /// An element of `services.<name>.ports`, long syntax.
    public static let port = Fields([
        .works("name", "kept for people to read"),
        .noEffect("mode", "`host` and `ingress` are the same on one host", unless: ["ingress", "host"]),
        .works("host_ip"),
        .works("target"),
        .works("published", "a port or a range"),
        .works("protocol", "tcp, udp"),
        .noEffect("app_protocol", "a hint for others"),
    ])

    /// An element of `services.<name>.volumes`, long syntax.
    public static let mount = Fields([
        .works("type", "volume, bind, tmpfs, image; npipe and cluster are refused"),
        .works("source"),
        .works("target"),
        .works("read_only"),
        .noEffect("consistency", "a hint for other systems"),
        .works(
            "bind", "",
            Shape(
                fields: Fields([
                    .works("propagation", "of a mount of the host that is shared", by: "Mounts.propagation"),
                    .works("create_host_path"),
                    .works("recursive", by: "Mounts.beneath"),
                    .noEffect("selinux", "files are not relabelled"),
                ]))),
        .works(
            "volume", "",
            Shape(
                fields: Fields([
                    .works(
                        "labels",
                        "of a volume with a name; an anonymous one is its container's own and listed nowhere, which is warned about",
                        .keyed, by: "PlanningTests.volumeLabels"), .works("nocopy"),
                    .works("subpath"),
                ]))),
        .works("tmpfs", "", Shape(fields: Fields([.works("size"), .works("mode")]))),
        .works("image", "", Shape(fields: Fields([.works("subpath")])), by: "Mounts.image"),
    ])

    /// `services.<name>.deploy`.
    public static let deploy = Fields([
        .works(
            "mode", "`replicated`; `global` is one container, this host being the one node",
            by: "Deploys.plain"),
        .notHere(
            "endpoint_mode", "a name resolves to the addresses of all containers; there is no virtual one",
            unless: ["dnsrr"]),
        .works("replicas", "must agree with `scale`", by: "Attributes.plain"),
        .noEffect("labels", "they are the service's, not its containers'; `config` shows them", .keyed),
        .works(
            "rollback_config", "as `update_config`, without `failure_action: rollback`",
            Shape(fields: updating),
            by: "Updates.rolledBack"),
        .works(
            "update_config",
            "`start-first` gives new containers the next free number; not with a fixed port, name or address; a service with anonymous volumes, which go over from the old container, is updated stop-first",
            Shape(fields: updating), by: "Updates.startFirst, Volumes.startFirstKeeps"),
        .works(
            "resources", "",
            Shape(
                fields: Fields([
                    .works(
                        "limits", "must agree with `cpus`, `mem_limit`, `pids_limit`",
                        Shape(fields: Fields([.works("cpus"), .works("memory"), .works("pids")]))),
                    .works(
                        "reservations", "",
                        Shape(
                            fields: Fields([
                                .works("cpus", "a weight, 1024 for each, unless `cpu_shares` is given"),
                                .works("memory", "as `mem_reservation`"),
                                .notHere(
                                    "generic_resources", "belongs to a cluster",
                                    Shape(each: Shape(fields: generic))),
                                .works(
                                    "devices", "as `gpus`", Shape(each: Shape(fields: deviceRequest)),
                                    by: "HostAccess.interfaces"),
                            ])), by: "Deploys.plain"),
                ]))),
        .works(
            "restart_policy", "stands before `restart`",
            Shape(
                fields: Fields([
                    .works("condition", "`any` without one"),
                    .works("delay", "in place of a delay that grows"),
                    .works("max_attempts"),
                    .works("window", "a container that lived as long was started well"),
                ])), by: "Deploys.restarts"),
        .notHere(
            "placement", "belongs to a cluster",
            Shape(
                fields: Fields([
                    .works("constraints"),
                    .works("preferences", "", Shape(each: Shape(fields: Fields([.works("spread")])))),
                    .works("max_replicas_per_node"),
                ]))),
    ])

    /// `update_config` and `rollback_config` of `services.<name>.deploy`.
    static let updating = Fields([
        .works("parallelism"), .works("delay"), .works("failure_action"),
        .works("monitor", "5 s where it is not written and `failure_action` is, else none"),
        .works("max_failure_ratio"), .works("order"),
    ])

    static let generic = Fields([
        .works(
            "discrete_resource_spec", "", Shape(fields: Fields([.works("kind"), .works("value")])))
    ])

    /// An element of `services.<name>.gpus`.
    static let deviceRequest = Fields([
        .works("capabilities"), .works("count"), .works("device_ids"),
        .works("driver", "`cdi`, `nvidia`, `amd`"),
        .notHere("options", "for drivers of another engine", .keyed),
    ])

    /// `services.<name>.extends`.
    static let extends = Fields([.works("service"), .works("file")])

    /// An element of `services.<name>.ulimits`.
    static let limit = Fields([.works("soft"), .works("hard")])

    /// An element of `services.<name>.post_start` and `pre_stop`.
    static let hook = Fields(hookAttributes)

    /// An element of `services.<name>.pre_start`.
    static let firstHook = Fields(
        hookAttributes.filter { $0.name != "privileged" } + [
            .works("privileged"), .works("image"), .works("per_replica"),
        ])

    private static let hookAttributes: [Attribute] = [
        .works("command", "", .replaced), .works("user"), .works("privileged"), .works("working_dir"),
        .works("environment", "", .keyed),
    ]

    /// `services.<name>.develop`.
    static let develop = Fields([
        .works(
            "watch", "",
            Shape(
                each: Shape(
                    fields: Fields([
                        .works("path", "waited for where it does not exist yet"), .works("action"),
                        .works("target", "a file goes into it when it is a directory or ends with `/`"),
                        .works("ignore"), .works("include"), .works("initial_sync"),
                        .works("exec", "", Shape(fields: hook)),
                    ]))))
    ])

    /// `services.<name>.blkio_config`.
    static let blockIO = Fields(
        [.works("weight")]
            + ["device_read_bps", "device_read_iops", "device_write_bps", "device_write_iops"].map {
                .works($0, "", Shape(each: Shape(fields: Fields([.works("path"), .works("rate")]))))
            }
            + [
                .works(
                    "weight_device", "",
                    Shape(each: Shape(fields: Fields([.works("path"), .works("weight")]))))
            ])

    /// `services.<name>`, for merging one alone.
    static let serviceShape = Shape(fields: service)
}
