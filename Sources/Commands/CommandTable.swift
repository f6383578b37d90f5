// SPDX-License-Identifier: Apache-2.0
//
// CommandTable: every command with its flags. Flags are named as Docker Compose names them, where it has them.

let globalFlags: [Flag] = [
    Flag(.file, "f", .many("FILE"), "Compose file; several are merged in order"),
    Flag(.project, "p", .one("NAME"), "project name"),
    Flag(.envFile, nil, .many("FILE"), "file of variables for ${…}, instead of .env"),
    Flag(.projectDirectory, nil, .one("DIR"), "directory that relative paths start from"),
    Flag(.profile, nil, .many("NAME"), "profile to switch on; * is all"),
    Flag(.root, nil, .one("DIR"), "state directory (COVEY_ROOT, /var/lib/covey)"),
    Flag(.run, nil, .one("DIR"), "directory of what runs (COVEY_RUN, /run/covey)"),
    Flag(
        .progress, nil, .choice(["auto", "tty", "plain", "json", "quiet"]), "how progress is shown"),
    Flag(.ansi, nil, .choice(["auto", "always", "never"]), "colours and cursor movement"),
    Flag(.noColor, nil, "the same as --ansi never (NO_COLOR)"),
    Flag(.help, "h", "this text"),
    Flag(.version, nil, "the version", hidden: true),
]

private let timeout = Flag(.timeout, "t", .one("SECONDS"), "how long to wait for a stop before SIGKILL")
private let tableOrJSON = Flag(.format, nil, .choice(["table", "json"]), "how the list is written")

let commandTable: [CommandDefinition] = [
    CommandDefinition(
        "up", "Make what runs match the Compose file", operands: .services,
        details: """
            Creates, starts, recreates and removes until the declared services run; what already matches is left alone.
            In the foreground it shows the logs: Ctrl-C stops the services, a second one kills them.
            """,
        flags: [
            Flag(.detach, "d", "return when everything is started"),
            Flag(.wait, nil, "return when everything is running or healthy; implies -d"),
            Flag(.waitTimeout, nil, .one("SECONDS"), "how long --wait waits"),
            Flag(.build, nil, "build images before, also those that exist"),
            Flag(.forceRecreate, nil, "recreate containers that have not changed"),
            Flag(.removeOrphans, nil, "remove containers of services that are no longer declared"),
            Flag(.scale, nil, .many("SERVICE=N"), "how many containers of a service"),
            timeout,
            Flag(.noLogPrefix, nil, "no service name before each line"),
            Flag(.timestamps, nil, "the time before each line"),
        ], run: runUp),
    CommandDefinition(
        "down", "Stop and remove everything of the project",
        details: "Named volumes stay without -v; external networks and volumes always stay.",
        flags: [
            Flag(.volumes, "v", "remove named volumes too"), timeout,
            Flag(.removeOrphans, nil, "done anyway", hidden: true),
        ], run: runDown),
    CommandDefinition(
        "ps", "List the project's containers", operands: .services,
        flags: [
            Flag(.all, "a", "stopped ones too"), tableOrJSON,
            Flag(.quiet, "q", "names only"),
            Flag(.services, nil, "service names only"),
        ], run: runPs),
    CommandDefinition(
        "ls", "List the projects of this host",
        flags: [
            Flag(.all, "a", "stopped ones too"), tableOrJSON, Flag(.quiet, "q", "names only"),
        ], run: runLs),
    CommandDefinition(
        "logs", "Show what the containers wrote", operands: .services,
        flags: [
            Flag(.follow, "f", "go on with what they write from now on"),
            Flag(.tail, "n", .one("N"), "only the last N lines of each container, or all"),
            Flag(.timestamps, "t", "the time before each line"),
            Flag(.noLogPrefix, nil, "no service name before each line"),
            Flag(.index, nil, .one("N"), "only this container of the service"),
        ], run: runLogs),
    CommandDefinition(
        "exec", "Run a program in a running container",
        operands: .atLeast("SERVICE COMMAND [ARGUMENT…]", 2),
        details: "A terminal is used when the input is one. Ends with the program's exit code.",
        flags: [
            Flag(.noTTY, "T", "no terminal"),
            Flag(.env, "e", .many("NAME=VALUE"), "variable of the program's environment"),
            Flag(.user, "u", .one("USER[:GROUP]"), "run as this user"),
            Flag(.workdir, "w", .one("DIR"), "run in this directory"),
            Flag(.index, nil, .one("N"), "which container of the service"),
            Flag(.interactive, "i", "done anyway", hidden: true),
            Flag(.tty, "t", "done anyway", hidden: true),
        ], passesRest: true, run: runExec),
    CommandDefinition(
        "plan", "Say what `up` would change, and why", operands: .services,
        details: "Ends with 0 when there is nothing to do, 2 when there are changes, 1 on an error.",
        flags: [
            Flag(.format, nil, .choice(["text", "json"]), "how the plan is written"),
            Flag(.forceRecreate, nil, "as for `up`"),
            Flag(.removeOrphans, nil, "as for `up`"),
            Flag(.scale, nil, .many("SERVICE=N"), "how many containers of a service"),
        ], run: runPlan),
    CommandDefinition(
        "config", "Check the Compose file and print it resolved", operands: .services,
        flags: [
            Flag(.format, nil, .choice(["yaml", "json"]), "how it is written"),
            Flag(.quiet, "q", "only check it"),
            Flag(.output, "o", .one("FILE"), "write it to a file"),
            Flag(.services, nil, "service names only"),
            Flag(.volumes, nil, "volume names only"),
            Flag(.networks, nil, "network names only"),
            Flag(.images, nil, "image names only"),
            Flag(.models, nil, "model names only"),
            Flag(.profiles, nil, "profile names only"),
            Flag(.hash, nil, .one("SERVICE"), "a digest of each service's configuration; * is all"),
            Flag(.environment, nil, "the variables that ${…} sees"),
            Flag(.variables, nil, "the variables the files name"),
            Flag(.noInterpolate, nil, "leave ${…} as it is"),
            Flag(.noNormalize, nil, "leave unsaid what the files leave unsaid"),
            Flag(.noPathResolution, nil, "leave relative paths relative"),
            Flag(.noConsistency, nil, "don't check that what is named exists"),
            Flag(.noEnvResolution, nil, "don't read env_file and label_file"),
            Flag(.resolveImageDigests, nil, "refused: no registry is asked yet", hidden: true),
            Flag(.lockImageDigests, nil, "refused: no registry is asked yet", hidden: true),
        ], needsRoot: false, run: runConfig),
    CommandDefinition(
        "build", "Build the services' images", operands: .services,
        flags: [Flag(.noCache, nil, "run every step again")], run: runBuild),
    CommandDefinition("start", "Start stopped services", operands: .services, run: runStart),
    CommandDefinition(
        "stop", "Stop services, keep their containers", operands: .services, flags: [timeout], run: runStop),
    CommandDefinition("restart", "Restart services", operands: .services, flags: [timeout], run: runRestart),
    CommandDefinition(
        "kill", "Send a signal to services", operands: .services,
        flags: [Flag(.signal, "s", .one("SIGNAL"), "the signal, SIGKILL unless said otherwise")], run: runKill
    ),
    CommandDefinition(
        "image ls", "List the images of the store", flags: [tableOrJSON, Flag(.quiet, "q", "ids only")],
        run: runImageList),
    CommandDefinition(
        "image import", "Take an image into the store",
        operands: Operands(usage: "SOURCE [NAME]", least: 1, most: 2),
        details:
            "SOURCE is oci:PATH[:REF], oci-archive:PATH[:REF], docker-archive:PATH[:REF], dir:ROOTFS or tar:FILE.",
        flags: [Flag(.alias, nil, .one("NAME"), "the name it gets; the source's own unless said otherwise")],
        run: runImageImport),
    CommandDefinition(
        "image rm", "Remove images from the store", operands: .atLeast("IMAGE…", 1), run: runImageRemove),
    CommandDefinition(
        "version", "Show the version",
        flags: [Flag(.format, "f", .choice(["text", "json"]), "how it is written")], needsRoot: false,
        run: runVersion),
    CommandDefinition(
        "debug launch", "Print the launch program of a service's first container",
        operands: .exactly("SERVICE", 1), run: runDebugLaunch),
    CommandDefinition(
        "debug doctor", "Say what this host lacks and what falls back",
        flags: [Flag(.format, nil, .choice(["text", "json"]), "how it is written")],
        needsRoot: false, run: runDoctor),
]
