// SPDX-License-Identifier: Apache-2.0
//
// The attribute paths of the Compose Specification's JSON schema (schema/compose-spec.json); a star stands for a
// name the user chose or for an element of a list.

let schemaPaths = """
    configs configs.*.content configs.*.environment configs.*.external configs.*.external.name
    configs.*.file configs.*.labels configs.*.name configs.*.template_driver include include.*.env_file
    include.*.path include.*.project_directory models models.*.context_size models.*.model models.*.name
    models.*.runtime_flags name networks networks.*.attachable networks.*.driver networks.*.driver_opts
    networks.*.enable_ipv4 networks.*.enable_ipv6 networks.*.external networks.*.external.name
    networks.*.internal networks.*.ipam networks.*.ipam.config networks.*.ipam.config.*.aux_addresses
    networks.*.ipam.config.*.gateway networks.*.ipam.config.*.ip_range networks.*.ipam.config.*.subnet
    networks.*.ipam.driver networks.*.ipam.options networks.*.labels networks.*.name secrets
    secrets.*.driver secrets.*.driver_opts secrets.*.environment secrets.*.external secrets.*.external.name
    secrets.*.file secrets.*.labels secrets.*.name secrets.*.template_driver services services.*.annotations
    services.*.attach services.*.blkio_config services.*.blkio_config.device_read_bps
    services.*.blkio_config.device_read_bps.*.path services.*.blkio_config.device_read_bps.*.rate
    services.*.blkio_config.device_read_iops services.*.blkio_config.device_read_iops.*.path
    services.*.blkio_config.device_read_iops.*.rate services.*.blkio_config.device_write_bps
    services.*.blkio_config.device_write_bps.*.path services.*.blkio_config.device_write_bps.*.rate
    services.*.blkio_config.device_write_iops services.*.blkio_config.device_write_iops.*.path
    services.*.blkio_config.device_write_iops.*.rate services.*.blkio_config.weight
    services.*.blkio_config.weight_device services.*.blkio_config.weight_device.*.path
    services.*.blkio_config.weight_device.*.weight services.*.build services.*.build.additional_contexts
    services.*.build.args services.*.build.cache_from services.*.build.cache_to services.*.build.context
    services.*.build.dockerfile services.*.build.dockerfile_inline services.*.build.entitlements
    services.*.build.extra_hosts services.*.build.isolation services.*.build.labels services.*.build.network
    services.*.build.no_cache services.*.build.platforms services.*.build.privileged
    services.*.build.provenance services.*.build.pull services.*.build.sbom services.*.build.secrets
    services.*.build.secrets.*.gid services.*.build.secrets.*.mode services.*.build.secrets.*.source
    services.*.build.secrets.*.target services.*.build.secrets.*.uid services.*.build.shm_size
    services.*.build.ssh services.*.build.tags services.*.build.target services.*.build.ulimits
    services.*.build.ulimits.*.hard services.*.build.ulimits.*.soft services.*.cap_add services.*.cap_drop
    services.*.cgroup services.*.cgroup_parent services.*.command services.*.configs
    services.*.configs.*.gid services.*.configs.*.mode services.*.configs.*.source
    services.*.configs.*.target services.*.configs.*.uid services.*.container_name services.*.cpu_count
    services.*.cpu_percent services.*.cpu_period services.*.cpu_quota services.*.cpu_rt_period
    services.*.cpu_rt_runtime services.*.cpu_shares services.*.cpus services.*.cpuset
    services.*.credential_spec services.*.credential_spec.config services.*.credential_spec.file
    services.*.credential_spec.registry services.*.depends_on services.*.depends_on.*.condition
    services.*.depends_on.*.required services.*.depends_on.*.restart services.*.deploy
    services.*.deploy.endpoint_mode services.*.deploy.labels services.*.deploy.mode
    services.*.deploy.placement services.*.deploy.placement.constraints
    services.*.deploy.placement.max_replicas_per_node services.*.deploy.placement.preferences
    services.*.deploy.placement.preferences.*.spread services.*.deploy.replicas services.*.deploy.resources
    services.*.deploy.resources.limits services.*.deploy.resources.limits.cpus
    services.*.deploy.resources.limits.memory services.*.deploy.resources.limits.pids
    services.*.deploy.resources.reservations services.*.deploy.resources.reservations.cpus
    services.*.deploy.resources.reservations.devices
    services.*.deploy.resources.reservations.devices.*.capabilities
    services.*.deploy.resources.reservations.devices.*.count
    services.*.deploy.resources.reservations.devices.*.device_ids
    services.*.deploy.resources.reservations.devices.*.driver
    services.*.deploy.resources.reservations.devices.*.options
    services.*.deploy.resources.reservations.generic_resources
    services.*.deploy.resources.reservations.generic_resources.*.discrete_resource_spec
    services.*.deploy.resources.reservations.generic_resources.*.discrete_resource_spec.kind
    services.*.deploy.resources.reservations.generic_resources.*.discrete_resource_spec.value
    services.*.deploy.resources.reservations.memory services.*.deploy.restart_policy
    services.*.deploy.restart_policy.condition services.*.deploy.restart_policy.delay
    services.*.deploy.restart_policy.max_attempts services.*.deploy.restart_policy.window
    services.*.deploy.rollback_config services.*.deploy.rollback_config.delay
    services.*.deploy.rollback_config.failure_action services.*.deploy.rollback_config.max_failure_ratio
    services.*.deploy.rollback_config.monitor services.*.deploy.rollback_config.order
    services.*.deploy.rollback_config.parallelism services.*.deploy.update_config
    services.*.deploy.update_config.delay services.*.deploy.update_config.failure_action
    services.*.deploy.update_config.max_failure_ratio services.*.deploy.update_config.monitor
    services.*.deploy.update_config.order services.*.deploy.update_config.parallelism services.*.develop
    services.*.develop.watch services.*.develop.watch.*.action services.*.develop.watch.*.exec
    services.*.develop.watch.*.exec.command services.*.develop.watch.*.exec.environment
    services.*.develop.watch.*.exec.privileged services.*.develop.watch.*.exec.user
    services.*.develop.watch.*.exec.working_dir services.*.develop.watch.*.ignore
    services.*.develop.watch.*.include services.*.develop.watch.*.initial_sync
    services.*.develop.watch.*.path services.*.develop.watch.*.target services.*.device_cgroup_rules
    services.*.devices services.*.devices.*.permissions services.*.devices.*.source
    services.*.devices.*.target services.*.dns services.*.dns_opt services.*.dns_search
    services.*.domainname services.*.entrypoint services.*.env_file services.*.env_file.*.format
    services.*.env_file.*.path services.*.env_file.*.required services.*.environment services.*.expose
    services.*.extends services.*.extends.file services.*.extends.service services.*.external_links
    services.*.extra_hosts services.*.gpus services.*.gpus.*.capabilities services.*.gpus.*.count
    services.*.gpus.*.device_ids services.*.gpus.*.driver services.*.gpus.*.options services.*.group_add
    services.*.healthcheck services.*.healthcheck.disable services.*.healthcheck.interval
    services.*.healthcheck.retries services.*.healthcheck.start_interval services.*.healthcheck.start_period
    services.*.healthcheck.test services.*.healthcheck.timeout services.*.hostname services.*.image
    services.*.init services.*.ipc services.*.isolation services.*.label_file services.*.labels
    services.*.links services.*.logging services.*.logging.driver services.*.logging.options
    services.*.mac_address services.*.mem_limit services.*.mem_reservation services.*.mem_swappiness
    services.*.memswap_limit services.*.models services.*.models.*.endpoint_var
    services.*.models.*.model_var services.*.network_mode services.*.networks services.*.networks.*.aliases
    services.*.networks.*.driver_opts services.*.networks.*.gw_priority services.*.networks.*.interface_name
    services.*.networks.*.ipv4_address services.*.networks.*.ipv6_address
    services.*.networks.*.link_local_ips services.*.networks.*.mac_address services.*.networks.*.priority
    services.*.oom_kill_disable services.*.oom_score_adj services.*.pid services.*.pids_limit
    services.*.platform services.*.ports services.*.ports.*.app_protocol services.*.ports.*.host_ip
    services.*.ports.*.mode services.*.ports.*.name services.*.ports.*.protocol services.*.ports.*.published
    services.*.ports.*.target services.*.post_start services.*.post_start.*.command
    services.*.post_start.*.environment services.*.post_start.*.privileged services.*.post_start.*.user
    services.*.post_start.*.working_dir services.*.pre_stop services.*.pre_stop.*.command
    services.*.pre_stop.*.environment services.*.pre_stop.*.privileged services.*.pre_stop.*.user
    services.*.pre_stop.*.working_dir services.*.privileged services.*.profiles services.*.provider
    services.*.provider.options services.*.provider.type services.*.pull_policy
    services.*.pull_refresh_after services.*.read_only services.*.restart services.*.runtime
    services.*.scale services.*.secrets services.*.secrets.*.gid services.*.secrets.*.mode
    services.*.secrets.*.source services.*.secrets.*.target services.*.secrets.*.uid services.*.security_opt
    services.*.shm_size services.*.stdin_open services.*.stop_grace_period services.*.stop_signal
    services.*.storage_opt services.*.sysctls services.*.tmpfs services.*.tty services.*.ulimits
    services.*.ulimits.*.hard services.*.ulimits.*.soft services.*.use_api_socket services.*.user
    services.*.userns_mode services.*.uts services.*.volumes services.*.volumes.*.bind
    services.*.volumes.*.bind.create_host_path services.*.volumes.*.bind.propagation
    services.*.volumes.*.bind.recursive services.*.volumes.*.bind.selinux services.*.volumes.*.consistency
    services.*.volumes.*.image services.*.volumes.*.image.subpath services.*.volumes.*.read_only
    services.*.volumes.*.source services.*.volumes.*.target services.*.volumes.*.tmpfs
    services.*.volumes.*.tmpfs.mode services.*.volumes.*.tmpfs.size services.*.volumes.*.type
    services.*.volumes.*.volume services.*.volumes.*.volume.labels services.*.volumes.*.volume.nocopy
    services.*.volumes.*.volume.subpath services.*.volumes_from services.*.working_dir version volumes
    volumes.*.driver volumes.*.driver_opts volumes.*.external volumes.*.external.name volumes.*.labels
    volumes.*.name
    """.split { $0 == " " || $0 == "\n" }.map(String.init)
