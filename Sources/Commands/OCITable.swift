// SPDX-License-Identifier: Apache-2.0
//
// OCITable: the commands and flags of `covey oci`, as runc has them. What they do is OCIRuntime's; how they are told is
// OCICommands'.

let ociGlobalFlags: [Flag] = [
    Flag(.root, nil, .one("DIR"), "where the containers' state is, /run/covey-oci unless said otherwise"),
    Flag(.log, nil, .one("FILE"), "where errors and warnings go as well"),
    Flag(.logFormat, nil, .choice(["text", "json"]), "how they are written there"),
    Flag(.debug, nil, "tell in the log what is done"),
    Flag(
        .cgroupManager, nil, .choice(["cgroupfs", "systemd", "disabled"]),
        "who makes cgroups; only cgroupfs is served"),
    Flag(.systemdCgroup, nil, "refused: cgroups are made in the file system"),
    Flag(.help, "h", "this text"),
    Flag(.version, "v", "the version"),
]

private let bundleFlags: [Flag] = [
    Flag(.bundle, "b", .one("DIR"), "the bundle, the working directory unless said otherwise"),
    Flag(.config, nil, .one("FILE"), "its configuration, instead of config.json"),
    Flag(.consoleSocket, nil, .one("SOCKET"), "unix socket the terminal's master is sent to"),
    Flag(.pidFile, nil, .one("FILE"), "where the process id is written"),
    Flag(.noPivot, nil, "move the root file system over / instead of pivot_root(2)"),
    Flag(.noNewKeyring, nil, "keep the caller's session keyring"),
    Flag(.preserveDescriptors, nil, .one("N"), "hand the descriptors 3 to 2+N to the program"),
]

let ociCommandTable: [CommandDefinition] = [
    CommandDefinition(
        "create", "Create a container that waits for `start`", operands: .exactly("ID", 1),
        flags: bundleFlags,
        run: runOCICreate),
    CommandDefinition(
        "start", "Run a created container's program", operands: .exactly("ID", 1), run: runOCIStart),
    CommandDefinition("state", "Print a container's state", operands: .exactly("ID", 1), run: runOCIState),
    CommandDefinition(
        "kill", "Send a signal, SIGTERM unless said otherwise",
        operands: Operands(usage: "ID [SIGNAL]", least: 1, most: 2),
        flags: [Flag(.all, "a", "to all processes of the container")], run: runOCIKill),
    CommandDefinition(
        "delete", "Remove a container that has stopped", operands: .exactly("ID", 1),
        flags: [
            Flag(.force, "f", "kill it first; a missing one is fine"),
            Flag(.regex, nil, "all whose ID the regular expression ID fits"),
        ], run: runOCIDelete),
    CommandDefinition(
        "events", "Tell what a container uses, and when its memory is short, as lines of JSON",
        operands: .exactly("ID", 1),
        flags: [
            Flag(.interval, nil, .one("DURATION"), "how often, 5s unless said otherwise"),
            Flag(.stats, nil, "what it uses now, and no more"),
        ], run: runOCIEvents),
    CommandDefinition(
        "run", "Create and start a container, and wait for its end", operands: .exactly("ID", 1),
        flags: bundleFlags + [
            Flag(.detach, "d", "don't wait"),
            Flag(.keep, nil, "don't delete it at its end"),
            Flag(.noSubreaper, nil, "adopt no orphans; none are anyway", hidden: true),
        ], run: runOCIRun),
    CommandDefinition(
        "exec", "Run a program in a running container",
        operands: .atLeast("ID [COMMAND [ARGUMENT…]]", 1),
        flags: [
            Flag(.consoleSocket, nil, .one("SOCKET"), "unix socket the terminal's master is sent to"),
            Flag(.cwd, nil, .one("DIR"), "working directory in the container"),
            Flag(.env, "e", .many("NAME=VALUE"), "variable of its environment"),
            Flag(.tty, "t", "give it a terminal"),
            Flag(.user, "u", .one("UID[:GID]"), "run as this user"),
            Flag(.additionalGids, "g", .many("GID"), "further groups"),
            Flag(.process, "p", .one("FILE"), "a `process` object that says all of this"),
            Flag(.detach, "d", "don't wait"),
            Flag(.pidFile, nil, .one("FILE"), "where the process id is written"),
            Flag(.processLabel, nil, .one("LABEL"), "SELinux label"),
            Flag(.apparmor, nil, .one("PROFILE"), "AppArmor profile"),
            Flag(.noNewPrivileges, nil, "no new privileges"),
            Flag(.cap, "c", .many("CAPABILITY"), "give a capability"),
            Flag(.preserveDescriptors, nil, .one("N"), "hand the descriptors 3 to 2+N to the program"),
            Flag(
                .cgroup, nil, .many("[CONTROLLER:]PATH"),
                "a cgroup below the container's own; of one v1 controller, or of all"),
            Flag(.ignorePaused, nil, "also in a paused container, where it waits until that goes on"),
            Flag(.noSubreaper, nil, "adopt no orphans; none are anyway", hidden: true),
        ], passesRest: true, run: runOCIExec),
    CommandDefinition(
        "list", "List containers",
        flags: [
            Flag(.format, "f", .choice(["table", "json"]), "how the list is written"),
            Flag(.quiet, "q", "names only"),
        ], run: runOCIList),
    CommandDefinition(
        "ps", "List a container's processes", operands: .atLeast("ID [PS OPTIONS]", 1),
        flags: [Flag(.format, "f", .choice(["table", "json"]), "how the list is written")],
        passesRest: true, run: runOCIProcesses),
    CommandDefinition(
        "pause", "Stop all processes of a container where they are", operands: .exactly("ID", 1),
        run: runOCIPause),
    CommandDefinition(
        "resume", "Let a paused container go on", operands: .exactly("ID", 1), run: runOCIResume),
    CommandDefinition(
        "update", "Change a container's limits", operands: .exactly("ID", 1),
        flags: [
            Flag(.resources, "r", .one("FILE"), "a `linux.resources` object, - is the input"),
            Flag(.blkioWeight, nil, .one("N"), "weight of its block I/O, 10 to 1000"),
            Flag(.cpuPeriod, nil, .one("µs"), "period of the quota"),
            Flag(.cpuQuota, nil, .one("µs"), "processor time in each period"),
            Flag(.cpuBurst, nil, .one("µs"), "time that may be saved up"),
            Flag(.cpuShare, nil, .one("N"), "relative weight"),
            Flag(.cpuRealtimePeriod, nil, .one("µs"), "realtime period"),
            Flag(.cpuRealtimeRuntime, nil, .one("µs"), "realtime in each period"),
            Flag(.cpuIdle, nil, .one("0|1"), "run only when nothing else does"),
            Flag(.cpusetProcessors, nil, .one("LIST"), "processors"),
            Flag(.cpusetNodes, nil, .one("LIST"), "memory nodes"),
            Flag(.memory, nil, .one("BYTES"), "memory"),
            Flag(.memoryReservation, nil, .one("BYTES"), "memory that is kept for it"),
            Flag(.memorySwap, nil, .one("BYTES"), "memory and swap together, -1 is no limit"),
            Flag(.pidsLimit, nil, .one("N"), "processes, -1 is no limit"),
        ], run: runOCIUpdate),
    CommandDefinition(
        "features", "Print what this runtime can do", needsRoot: false, run: runOCIFeatures),
    CommandDefinition(
        "spec", "Write a config.json to begin with",
        flags: [
            Flag(.bundle, "b", .one("DIR"), "where, the working directory unless said otherwise"),
            Flag(.rootless, nil, "with a user namespace, whose root is who asks"),
        ], needsRoot: false, run: runOCISpec),
    CommandDefinition(
        "checkpoint", "Refused: checkpoints need CRIU", operands: .atLeast("[OPTION…] ID", 0),
        needsRoot: false,
        isRefused: true, run: runOCICheckpoint),
    CommandDefinition(
        "restore", "Refused: checkpoints need CRIU", operands: .atLeast("[OPTION…] ID", 0), needsRoot: false,
        isRefused: true, run: runOCICheckpoint),
]
