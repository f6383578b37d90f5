// SPDX-License-Identifier: Apache-2.0
//
// The ledger is whole (every attribute of the Compose schema has a standing) and docs/compose-support.md is
// printed from it. COVEY_UPDATE_GOLDEN=1 writes the file.

import Basics
import ComposeLoader
import Glibc
import Testing

/// The Compose schema's attributes (compose-spec.json, and compose-go's additions), by element.
private let schema: [(String, Fields, String)] = [
    ("top level", Ledger.topLevel, "version name include services models networks volumes secrets configs"),
    (
        "service", Ledger.service,
        """
        develop deploy annotations attach build blkio_config cap_add cap_drop cgroup cgroup_parent command configs
        container_name cpu_count cpu_percent cpu_shares cpu_quota cpu_period cpu_rt_period cpu_rt_runtime cpus cpuset
        credential_spec depends_on device_cgroup_rules devices dns dns_opt dns_search domainname entrypoint env_file
        label_file environment expose extends provider external_links extra_hosts gpus group_add healthcheck hostname
        image init ipc isolation labels links logging mac_address mem_limit mem_reservation mem_swappiness
        memswap_limit network_mode models networks oom_kill_disable oom_score_adj pid pids_limit platform ports
        post_start pre_start pre_stop privileged profiles pull_policy pull_refresh_after read_only restart runtime
        scale security_opt shm_size secrets sysctls stdin_open stop_grace_period stop_signal storage_opt tmpfs tty
        ulimits use_api_socket user uts userns_mode volumes volumes_from working_dir
        """
    ),
    (
        "build", Ledger.build,
        """
        context dockerfile dockerfile_inline entitlements args ssh labels cache_from cache_to no_cache no_cache_filter
        additional_contexts network provenance sbom pull target shm_size extra_hosts isolation privileged secrets tags
        ulimits platforms
        """
    ),
    ("depends_on", Ledger.dependency, "restart required condition"),
    ("env_file", Ledger.envFile, "path format required"),
    ("configs and secrets", Ledger.grant, "source target uid gid mode"),
    (
        "healthcheck", Ledger.healthcheck,
        "disable interval retries test timeout start_period start_interval"
    ),
    (
        "service network", Ledger.attachment,
        "aliases interface_name ipv4_address ipv6_address link_local_ips mac_address driver_opts priority gw_priority"
    ),
    ("ports", Ledger.port, "name mode host_ip target published protocol app_protocol"),
    ("volumes", Ledger.mount, "type source target read_only consistency bind volume tmpfs image"),
    (
        "deploy", Ledger.deploy,
        "mode endpoint_mode replicas labels rollback_config update_config resources restart_policy placement"
    ),
    (
        "network", Ledger.network,
        "name driver driver_opts ipam external internal enable_ipv4 enable_ipv6 attachable labels"
    ),
    ("ipam.config", Ledger.subnet, "subnet ip_range gateway aux_addresses"),
    ("volume", Ledger.volume, "name driver driver_opts external labels"),
    ("secret", Ledger.secret, "name environment file external labels driver driver_opts template_driver"),
    ("config", Ledger.config, "name content environment file external labels template_driver"),
]

@Test("every attribute of the schema has a standing, and no other has", arguments: schema.indices)
func whole(_ index: Int) {
    let (element, fields, names) = schema[index]
    let expected = names.split { $0 == " " || $0 == "\n" }.map(String.init).sorted()
    #expect(fields.attributes.map(\.name).sorted() == expected, "\(element)")
}

@Test("what the ledger refuses is refused by name with its place, whatever its value")
func refusals() {
    for attribute in Ledger.service.attributes
    where attribute.standing == .refused || attribute.standing == .notHere {
        let text = complaint(["compose.yaml": yaml("\(attribute.name): {a: b}")])
        let yet = attribute.standing == .refused ? " yet" : ""
        #expect(
            text.hasPrefix(
                "compose.yaml:4:5: error: `services.web.\(attribute.name)` is not supported\(yet)\n"))
    }
}

@Test("docs/compose-support.md says what the ledger says")
func document() throws {
    let path =
        "\(#filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined())/docs/compose-support.md"
    let expected = supportPage()
    if getenv("COVEY_UPDATE_GOLDEN") != nil {
        let file = try #require(fopen(path, "w"))
        fputs(expected, file)
        fclose(file)
    }
    let file = try #require(fopen(path, "r"), "\(path) is missing; COVEY_UPDATE_GOLDEN=1 writes it")
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    let count = fread(&bytes, 1, bytes.count, file)
    #expect(
        String(decoding: bytes[..<count], as: UTF8.self) == expected,
        "stale: run again with COVEY_UPDATE_GOLDEN=1")
}

private func supportPage() -> String {
    var text = """
        # Compose attributes: what works

        Printed from the ledger in `Sources/ComposeLoader` by its test; change it there and run the tests with
        `COVEY_UPDATE_GOLDEN=1`.

        Nothing is silently ignored. An attribute is in one of four standings:

        - **works**: honoured as the Compose Specification says, with the limits the note names.
        - **no effect**: accepted; on one host there is rightly nothing to do.
        - **refused**: ``FILE:LINE:COLUMN: error: `PATH` is not supported yet``; loading stops. An empty value, or one of
          those listed as accepted, asks for nothing and is accepted.
        - **not here**: refused as `` `PATH` is not supported `` with the cause; it belongs to a cluster, to Windows or to
          another engine, and cannot mean anything on one Linux host.

        What is not in the schema is ``unknown attribute `PATH` ``, with the nearest known name. `x-*` is accepted in every
        element whose keys are not the user's own names. Services, networks, volumes, configs and secrets are held to
        `[a-zA-Z0-9._-]+`.

        What differs from Docker Compose on purpose: a plain value of `environment`, `labels` and `args` is the text
        that was written (`1.10` stays `1.10`, `True` stays `True`); an `env_file` that has junk after a closing quote
        is an error.


        """
    section("", Ledger.topLevel, to: &text)
    return text
}

private func section(_ path: String, _ fields: Fields, to text: inout String) {
    text +=
        "## \(path.isEmpty ? "Top level" : "`\(path)`")\n\n| attribute | standing | note |\n|---|---|---|\n"
    for attribute in fields.attributes {
        let standing =
            switch attribute.standing {
            case .works: "works"
            case .noEffect: "no effect"
            case .refused: "refused"
            case .notHere: "not here"
            }
        var notes = attribute.note.isEmpty || attribute.note == "not supported yet" ? [] : [attribute.note]
        if !attribute.harmless.isEmpty {
            notes.append("accepted: \(attribute.harmless.map { "`\($0)`" }.joined(separator: ", "))")
        }
        text += "| `\(attribute.name)` | \(standing) | \(notes.joined(separator: "; ")) |\n"
    }
    text += "\n"
    for attribute in fields.attributes where attribute.standing == .works {
        guard let inside = attribute.inside else { continue }
        let named = ["services", "networks", "volumes", "secrets", "configs", "depends_on"]
        let isNamed = path.isEmpty || attribute.name == "depends_on" || attribute.name == "networks"
        let element = named.contains(attribute.name) && isNamed ? ".NAME" : ""
        section((path.isEmpty ? "" : path + ".") + attribute.name + element, inside, to: &text)
    }
}
