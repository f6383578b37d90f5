// SPDX-License-Identifier: Apache-2.0
//
// CommandTable: every command with its flags. Flags are named as Docker Compose names them, where it has them.

let globalFlags: [Flag] = [
    Flag(.file, "f", .many("FILE"), "Compose file; several are merged in order"),
    Flag(.project, "p", .one("NAME"), "project name"),
    Flag(.envFile, nil, .many("FILE"), "file of variables for ${…}, instead of .env"),
    Flag(.projectDirectory, nil, .one("DIR"), "directory that relative paths start from"),
    Flag(.profile, nil, .many("NAME"), "profile to switch on; * is all"),
    Flag(.allResources, nil, "also networks and volumes that no service uses"),
    Flag(.compatibility, nil, "names with _ instead of -, as Compose 1 gave them"),
    Flag(
        .parallel, nil, .one("N"),
        "how many layers of a registry and build steps at once; -1: as many as is good"),
    Flag(.dryRun, nil, "only say what would be done"),
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
private let pull = Flag(
    .pull, nil, .choice(["always", "missing", "never", "policy"]),
    "when images are asked for again; policy: as the file says")
private let locked = Flag(.locked, nil, "only with the images compose.lock names")
private let quietPull = Flag(.quietPull, nil, "don't show how far pulls are")
private let noBuild = Flag(.noBuild, nil, "build nothing: an image that is missing is an error")
/// Nothing is asked but by `rm`.
private let yes = Flag(.yes, "y", "done anyway", hidden: true)
private let noTruncation = Flag(.noTruncation, nil, "whole texts, however wide")

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
            Flag(.renewVolumes, "V", "new anonymous volumes for containers that are recreated"),
            Flag(.removeOrphans, nil, "remove containers of services that are no longer declared"),
            Flag(.scale, nil, .many("SERVICE=N"), "how many containers of a service"),
            timeout,
            Flag(.noLogPrefix, nil, "no service name before each line"),
            Flag(.timestamps, nil, "the time before each line"),
            Flag(.abortOnExit, nil, "stop everything when a container has ended, and end with its code"),
            Flag(.abortOnFailure, nil, "stop everything when a container has failed, and end with its code"),
            Flag(
                .exitCodeFrom, nil, .one("SERVICE"),
                "end with this service's code; implies the first of these"),
            Flag(.attach, nil, .many("SERVICE"), "show the logs of these services only"),
            Flag(.attachDependencies, nil, "also show the logs of what the named services depend on"),
            Flag(.menu, nil, "refused", hidden: true),
            Flag(.noAttach, nil, .many("SERVICE"), "don't show this service's logs"),
            Flag(.noDependencies, nil, "leave alone what the named services depend on"),
            Flag(.noStart, nil, "create containers, start nothing"),
            Flag(.noRecreate, nil, "leave containers alone that exist, also changed ones"),
            Flag(.alwaysRecreateDependencies, nil, "recreate what the named services depend on"),
            Flag(.quietBuild, nil, "don't show what build steps write"),
            noBuild, pull, quietPull, locked, yes,
            Flag(.watch, "w", "do what `develop.watch` says when files change, as `watch` does"),
        ], dryRun: .told, run: runUp),
    CommandDefinition(
        "watch", "Bring services up, and follow changes of their files", operands: .services,
        details: """
            Goes by `develop.watch`: files are written into the running containers from outside, services are restarted
            or built again. Goes on until Ctrl-C; what runs then runs on.
            """,
        flags: [
            Flag(.noUp, nil, "only follow what is up already"),
            Flag(
                .prune, nil, "remove images that a rebuild left without a name; so it is unless --prune=false"
            ),
            Flag(.quiet, nil, "don't show what build steps write"),
        ], run: runWatch),
    CommandDefinition(
        "create", "Create the services' containers, start nothing", operands: .services,
        flags: [
            Flag(.build, nil, "build images before, also those that exist"),
            Flag(.forceRecreate, nil, "recreate containers that have not changed"),
            Flag(.noRecreate, nil, "leave containers alone that exist, also changed ones"),
            Flag(.removeOrphans, nil, "remove containers of services that are no longer declared"),
            Flag(.scale, nil, .many("SERVICE=N"), "how many containers of a service"),
            Flag(.quietBuild, nil, "don't show what build steps write"),
            noBuild, pull, quietPull, locked, yes,
        ], dryRun: .told, run: runCreate),
    CommandDefinition(
        "scale", "Change how many containers services have", operands: .atLeast("SERVICE=N…", 1),
        details: "The next `up` goes back to what the Compose file says.",
        flags: [Flag(.noDependencies, nil, "leave alone what the services depend on")], dryRun: .told,
        run: runScale),
    CommandDefinition(
        "down", "Stop and remove everything of the project, or of services", operands: .services,
        details: """
            Named volumes stay without -v; external networks and volumes always stay.

            With services named, their containers go, those of all that depend on them, and the networks and, with -v, the
            volumes that they alone had.
            """,
        flags: [
            Flag(.volumes, "v", "remove named volumes too, those the file declares"), timeout,
            Flag(
                .removeImages, nil, .choice(["local", "all"]),
                "remove images too; local: those that were built here and got no name of their own"),
            Flag(.removeOrphans, nil, "done anyway", hidden: true),
        ], dryRun: .told, run: runDown),
    CommandDefinition(
        "ps", "List the project's containers", operands: .services,
        flags: [
            Flag(.all, "a", "stopped ones too"),
            Flag(
                .format, nil, .one("FORMAT"),
                "table, json or fields: '{{.Name}} {{.State}}'; with a head: 'table {{.Name}}'"),
            Flag(.quiet, "q", "names only"),
            Flag(.services, nil, "service names only"),
            Flag(
                .status, nil, .many("STATE"),
                "only those in this state: running, paused, restarting, exited, …"),
            Flag(.filter, nil, .many("status=STATE"), "the same, as Docker Compose writes it"),
            Flag(
                .orphans, nil,
                "also of services no longer declared; done unless --orphans=false is given"),
            noTruncation,
        ], dryRun: .harmless, run: runPs),
    CommandDefinition(
        "ls", "List the projects of this host",
        flags: [
            Flag(.all, "a", "stopped ones too"), tableOrJSON, Flag(.quiet, "q", "names only"),
            Flag(.filter, nil, .many("name=TEXT"), "only projects whose name holds this text"),
        ], dryRun: .harmless, run: runLs),
    CommandDefinition(
        "logs", "Show what the containers wrote", operands: .services,
        flags: [
            Flag(.follow, "f", "go on with what they write from now on"),
            Flag(.tail, "n", .one("N"), "only the last N lines of each container, or all"),
            Flag(.timestamps, "t", "the time before each line"),
            Flag(
                .since, nil, .one("TIME"),
                "only lines from then on: 2026-01-02T03:04:05Z, or 10m for so long ago"),
            Flag(.until, nil, .one("TIME"), "only lines until then"),
            Flag(.noLogPrefix, nil, "no service name before each line"),
            Flag(.index, nil, .one("N"), "only this container of the service"),
        ], dryRun: .harmless, run: runLogs),
    CommandDefinition(
        "events", "Show what happens to the project, and what was repaired", operands: .services,
        details: """
            Goes on until Ctrl-C or --until. A moment is a date (2026-01-02T15:04:05), seconds since 1970, or how long ago
            (10m). What somebody else changed is a `drift` event: cause, action, result.
            """,
        flags: [
            Flag(.json, nil, "one JSON object for each event"),
            Flag(.since, nil, .one("TIME"), "also what happened since then"),
            Flag(.until, nil, .one("TIME"), "nothing later than this"),
        ], dryRun: .harmless, run: runEvents),
    CommandDefinition(
        "exec", "Run a program in a running container",
        operands: .atLeast("SERVICE COMMAND [ARGUMENT…]", 2),
        details: "A terminal is used when the input is one. Ends with the program's exit code.",
        flags: [
            Flag(.detach, "d", "return when it is started; what it writes is lost"),
            Flag(.noTTY, "T", "no terminal"),
            Flag(.privileged, nil, "with every capability, and without a filter of system calls"),
            Flag(.env, "e", .many("NAME=VALUE"), "variable of the program's environment"),
            Flag(.user, "u", .one("USER[:GROUP]"), "run as this user"),
            Flag(.workdir, "w", .one("DIR"), "run in this directory"),
            Flag(.index, nil, .one("N"), "which container of the service"),
            Flag(.interactive, "i", "done anyway", hidden: true),
            Flag(.tty, "t", "done anyway", hidden: true),
        ], passesRest: true, run: runExec),
    CommandDefinition(
        "run", "Run a command in a container of its own",
        operands: .atLeast("SERVICE [COMMAND [ARGUMENT…]]", 1),
        details: """
            The container is made after the service, beside its own ones, once what the service depends on is ready.
            A terminal is used when input and output are one. Ends with the command's exit code. The container stays
            until `rm` or `down` unless --rm is given; `ps -a` lists it.
            """,
        flags: [
            Flag(.detach, "d", "return when it is started, and print the container's name"),
            Flag(.remove, nil, "remove the container and its anonymous volumes when it has ended"),
            Flag(.env, "e", .many("NAME[=VALUE]"), "variable of its environment"),
            Flag(.envFromFile, nil, .many("FILE"), "file of variables of its environment"),
            Flag(.user, "u", .one("USER[:GROUP]"), "run as this user"),
            Flag(.workdir, "w", .one("DIR"), "run in this directory"),
            Flag(.entrypoint, nil, .one("PROGRAM"), "instead of the image's entrypoint"),
            Flag(.volume, "v", .many("[SOURCE:]TARGET[:OPTIONS]"), "mount a volume or directory"),
            Flag(.publish, "p", .many("[[IP:]HOST:]PORT[/PROTOCOL]"), "publish a port"),
            Flag(.servicePorts, "P", "publish the service's ports; without it none are"),
            Flag(.noDependencies, nil, "leave alone what the service depends on"),
            Flag(.name, nil, .one("NAME"), "the container's name"),
            Flag(.label, "l", .many("NAME[=VALUE]"), "label of the container"),
            Flag(.capAdd, nil, .many("CAPABILITY"), "give a capability"),
            Flag(.capDrop, nil, .many("CAPABILITY"), "take a capability away"),
            Flag(.noTTY, "T", "no terminal"),
            Flag(.interactive, "i", "hand the standard input over; done unless -i=false is given"),
            Flag(.build, nil, "build images before, also those that exist"),
            Flag(.removeOrphans, nil, "remove containers of services that are no longer declared"),
            Flag(.useAliases, nil, "answer to the service's names on its networks"),
            Flag(.quiet, "q", "show no progress"),
            Flag(.quietBuild, nil, "don't show what build steps write"),
            pull, quietPull, locked,
            Flag(.tty, "t", "done anyway", hidden: true),
        ], passesRest: true, run: runOneOff),
    CommandDefinition(
        "plan", "Say what `up` would change, and why", operands: .services,
        details: "Ends with 0 when there is nothing to do, 2 when there are changes, 1 on an error.",
        flags: [
            Flag(.format, nil, .choice(["text", "json"]), "how the plan is written"),
            Flag(.pull, nil, "also ask the registries what a pull would change"),
            locked,
            Flag(.forceRecreate, nil, "as for `up`"),
            Flag(.removeOrphans, nil, "as for `up`"),
            Flag(.scale, nil, .many("SERVICE=N"), "how many containers of a service"),
        ], dryRun: .harmless, run: runPlan),
    CommandDefinition(
        "config", alias: "convert", "Check the Compose file and print it resolved", operands: .services,
        details: "`covey convert` is the same.",
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
            Flag(.resolveImageDigests, nil, "pin images to the digests the store has of them"),
            Flag(.lockImageDigests, nil, "only the pinned images, as an override file"),
        ], needsRoot: false, dryRun: .harmless, run: runConfig),
    CommandDefinition(
        "build", "Build the services' images", operands: .services,
        flags: [
            Flag(.buildArgument, nil, .many("NAME=VALUE"), "a value for an ARG; NAME alone: the shell's"),
            Flag(
                .cacheFrom, nil, .many("PLACE"),
                "type=registry,ref=NAME or type=local,src=DIR: steps known there"),
            Flag(
                .cacheTo, nil, .many("PLACE"), "the same with dest=DIR: write the steps there; mode=min|max"),
            Flag(.check, nil, "look for what is rarely meant in the Dockerfiles, and build nothing"),
            Flag(.memory, "m", .one("SIZE"), "what a step may have of memory"),
            Flag(.noCache, nil, "run every step again"),
            Flag(.pull, nil, "ask registries for what base images are now"),
            Flag(.push, nil, "send the images of services that name one to their registries"),
            Flag(.printOnly, nil, "print what would be built as a bake file, and build nothing"),
            Flag(.quiet, "q", "don't show what build steps write"),
            Flag(.secret, nil, .many("id=NAME,src=FILE"), "a secret for RUN --mount=type=secret"),
            Flag(.ssh, nil, .many("ID[=SOCKET|KEY]"), "an SSH agent, or keys, for RUN --mount=type=ssh"),
            Flag(.withDependencies, nil, "also what the services depend on"),
            Flag(.builder, nil, "there is one", hidden: true, value: .one("NAME")),
            Flag(.provenance, nil, "refused", hidden: true, value: .one("VALUE")),
            Flag(.sbom, nil, "refused", hidden: true, value: .one("VALUE")),
        ], run: runBuild),
    CommandDefinition(
        "pull", "Fetch the services' images from their registries", operands: .services,
        details: "Services whose pull_policy is never or build, or that name no image, are passed over.",
        flags: [
            Flag(.ignoreBuildable, nil, "pass over services that can be built"),
            Flag(.ignorePullFailures, nil, "go on with what can be had"),
            Flag(.includeDependencies, nil, "also those of the services they depend on"),
            Flag(.policy, nil, .choice(["always", "missing"]), "missing: only what is not here"),
            Flag(.quiet, "q", "show no progress"),
        ], run: runPull),
    CommandDefinition(
        "lock", "Write down which images the project's names stand for now", operands: .services,
        details: "compose.lock beside the Compose file; `up`, `run` and `pull` then use these and no others.",
        run: runLock),
    CommandDefinition(
        "push", "Send images that are built here to their registries", operands: .services,
        details: "Services that have both `build` and `image`, as with Docker Compose.",
        flags: [
            Flag(.ignorePushFailures, nil, "go on with what can be sent"),
            Flag(.includeDependencies, nil, "also those of the services they depend on"),
            Flag(.quiet, "q", "show no progress"),
        ], run: runPush),
    CommandDefinition(
        "login", "Keep a registry's credential, once it was seen to work",
        operands: Operands(usage: "[REGISTRY]", least: 0, most: 1),
        details:
            "In Docker's config.json, or with the credential helper that it names. Docker Hub unless said otherwise.",
        flags: [
            Flag(.username, "u", .one("NAME"), "the user"),
            Flag(.passwordInput, nil, "read the password from the standard input"),
            Flag(.password, "p", .one("PASSWORD"), "the password; seen by others in the list of processes"),
        ], needsRoot: false, run: runLogin),
    CommandDefinition(
        "logout", "Forget a registry's credential",
        operands: Operands(usage: "[REGISTRY]", least: 0, most: 1),
        needsRoot: false, run: runLogout),
    CommandDefinition(
        "resume", "Start what restart policies want, after a reboot",
        details: """
            Of every project of this host what has not run since the boot: services with
            `restart: always`, and with `unless-stopped` those nobody had stopped. No Compose file is needed.
            To have it done at each boot, run once:
            covey resume --unit >/etc/systemd/system/covey-resume.service
            systemctl enable covey-resume
            """,
        flags: [Flag(.unit, nil, "print the systemd unit that runs this, change nothing")],
        needsRoot: false, run: runResume),
    CommandDefinition(
        "start", "Start stopped services", operands: .services,
        flags: [
            Flag(.wait, nil, "return when everything is running or healthy"),
            Flag(.waitTimeout, nil, .one("SECONDS"), "how long --wait waits"),
        ], dryRun: .told, run: runStart),
    CommandDefinition(
        "stop", "Stop services, keep their containers", operands: .services, flags: [timeout], dryRun: .told,
        run: runStop),
    CommandDefinition(
        "restart", "Restart services", operands: .services,
        flags: [
            timeout, Flag(.noDependencies, nil, "not also those that `depends_on` says restart with them"),
        ], dryRun: .told, run: runRestart),
    CommandDefinition(
        "kill", "Send a signal to services", operands: .services,
        flags: [
            Flag(.signal, "s", .one("SIGNAL"), "the signal, SIGKILL unless said otherwise"),
            Flag(.removeOrphans, nil, "remove containers of services that are no longer declared"),
        ], dryRun: .told, run: runKill),
    CommandDefinition(
        "rm", "Remove containers that don't run", operands: .services,
        details:
            "One-off containers that `run` left are among them. Anonymous volumes go with their container.",
        flags: [
            Flag(.force, "f", "don't ask"),
            Flag(.stop, "s", "stop those that run, and remove them too"),
            Flag(.volumes, "v", "done anyway", hidden: true),
        ], dryRun: .told, run: runRemove),
    CommandDefinition(
        "pause", "Freeze all processes of services", operands: .services,
        details: "Health checks are not run meanwhile; `exec` is refused; `stop`, `kill` and `down` work.",
        run: runPause),
    CommandDefinition("unpause", "Let paused services go on", operands: .services, run: runUnpause),
    CommandDefinition(
        "wait", "Wait until services have ended", operands: .atLeast("SERVICE…", 1),
        details: "Prints the codes of their containers and ends with the first one's.",
        flags: [Flag(.downProject, nil, "take the project down when the first container has ended")],
        run: runWait),
    CommandDefinition(
        "attach", "Show a running container's output, and type into it", operands: .exactly("SERVICE", 1),
        details: """
            Input reaches a service that has `tty` or `stdin_open`. Ends with the container, with its code, or when the
            detach keys are typed.
            """,
        flags: [
            Flag(.index, nil, .one("N"), "which container of the service"),
            Flag(.noInput, nil, "only show its output"),
            Flag(.proxySignals, nil, "pass signals on; done unless --sig-proxy=false is given"),
            Flag(
                .detachKeys, nil, .one("KEYS"), "what leaves it running; ctrl-p,ctrl-q unless said otherwise"),
        ], run: runAttach),
    CommandDefinition(
        "cp", "Copy files between a container and here", operands: .exactly("SOURCE TARGET", 2),
        details: """
            One of the two is SERVICE:PATH, the other a path here, or - for a tar on the standard input or output. Of a
            running container its volumes are seen too. SOURCE/. is what is in a directory, without itself. Into a service
            of several containers it is copied into each; out of it, from the first.
            """,
        flags: [
            Flag(.index, nil, .one("N"), "only this container of the service"),
            Flag(.all, nil, "also containers that `run` made of the service"),
            Flag(.followLink, "L", "where SOURCE is a link, copy what it leads to"),
            Flag(.archive, "a", "keep owners; else copies are root's in a container, and yours here"),
        ], run: runCopy),
    CommandDefinition(
        "export", "Write a container's files into a tar", operands: .exactly("SERVICE", 1),
        details: "Its image's and those it wrote, without volumes.",
        flags: [
            Flag(.output, "o", .one("FILE"), "the tar; the standard output unless said otherwise"),
            Flag(.index, nil, .one("N"), "which container of the service"),
        ], run: runExport),
    CommandDefinition(
        "commit", "Make an image of what a container wrote", operands: .exactly("SERVICE IMAGE", 2),
        flags: [
            Flag(.author, "a", .one("NAME"), "who made it"), Flag(.message, "m", .one("TEXT"), "what for"),
            Flag(
                .change, "c", .many("INSTRUCTION"),
                "a Dockerfile's instruction that changes no file, such as CMD, ENV or USER"),
            Flag(
                .pause, "p",
                "pause the service while its files are read; done unless --pause=false is given"),
            Flag(.index, nil, .one("N"), "which container of the service"),
        ], run: runCommit),
    CommandDefinition(
        "top", "List the processes of services", operands: .services, dryRun: .harmless, run: runTop),
    CommandDefinition(
        "stats", "Show what containers use", operands: .services,
        details: "Drawn again each second until Ctrl-C. 100 % is one processor.",
        flags: [
            Flag(.all, "a", "stopped ones too"), tableOrJSON, Flag(.noStream, nil, "only once"),
            Flag(.noTruncation, nil, "done anyway", hidden: true),
        ], dryRun: .harmless, run: runStats),
    CommandDefinition(
        "port", "Say where a container's port is published", operands: .exactly("SERVICE PRIVATE_PORT", 2),
        flags: [
            Flag(.proto, nil, .choice(["tcp", "udp"]), "the port's protocol, tcp unless said otherwise"),
            Flag(.index, nil, .one("N"), "which container of the service"),
        ], dryRun: .harmless, run: runPort),
    CommandDefinition(
        "images", "List the images containers were made of", operands: .services,
        flags: [tableOrJSON, Flag(.quiet, "q", "ids only")], dryRun: .harmless, run: runImages),
    CommandDefinition(
        "volumes", "List the project's volumes", operands: .services,
        flags: [tableOrJSON, Flag(.quiet, "q", "names only")], dryRun: .harmless, run: runVolumes),
    CommandDefinition(
        "image ls", "List the images of the store", flags: [tableOrJSON, Flag(.quiet, "q", "ids only")],
        dryRun: .harmless, run: runImageList),
    CommandDefinition(
        "image import", "Take an image into the store",
        operands: Operands(usage: "SOURCE [NAME]", least: 1, most: 2),
        details:
            "SOURCE is oci:PATH[:REF], oci-archive:PATH[:REF], docker-archive:PATH[:REF], dir:ROOTFS or tar:FILE.",
        flags: [Flag(.alias, nil, .one("NAME"), "the name it gets; the source's own unless said otherwise")],
        run: runImageImport),
    CommandDefinition(
        "image pull", "Fetch images from their registries", operands: .atLeast("IMAGE…", 1),
        details: "Prints each one's digest, by which it can be named: NAME@DIGEST.",
        flags: [Flag(.quiet, "q", "show no progress")], run: runImagePull),
    CommandDefinition(
        "image push", "Send images to the registries their names say", operands: .atLeast("IMAGE…", 1),
        details: "Prints each one's digest there, which is the one here.",
        flags: [Flag(.quiet, "q", "show no progress")], run: runImagePush),
    CommandDefinition(
        "image tag", "Give an image a second name", operands: .exactly("IMAGE NAME", 2), run: runImageTag),
    CommandDefinition(
        "image inspect", "Show all there is to know of images, as JSON", operands: .atLeast("IMAGE…", 1),
        dryRun: .harmless, run: runImageInspect),
    CommandDefinition(
        "image history", "Show the steps an image was made by", operands: .exactly("IMAGE", 1),
        flags: [tableOrJSON],
        dryRun: .harmless, run: runImageHistory),
    CommandDefinition(
        "image diff", "Show the files two images do not have alike",
        operands: Operands(usage: "IMAGE [OTHER]", least: 1, most: 2),
        details:
            "A is added, C changed, D deleted on the way from IMAGE to OTHER; with one image, by its last layer.",
        flags: [tableOrJSON], dryRun: .harmless, run: runImageDiff),
    CommandDefinition(
        "image save", "Write images into an archive", operands: .atLeast("IMAGE…", 1),
        details: "Docker, podman and skopeo read it (docker-archive: and oci-archive:).",
        flags: [
            Flag(.output, "o", .one("FILE"), "the archive; the standard output unless said otherwise"),
            Flag(
                .compression, nil, .choice(["none", "gzip"]), "of the archive; gzip for a FILE in .gz or .tgz"
            ),
        ], run: runImageSave),
    CommandDefinition(
        "image load", "Take all images of an archive in, by their names there",
        details:
            "What `save` of Covey, Docker or podman wrote, plain or compressed with gzip, zstd, xz or bzip2.",
        flags: [Flag(.inputFile, "i", .one("FILE"), "the archive; the standard input unless said otherwise")],
        run: runImageLoad),
    CommandDefinition(
        "image prune", "Remove what no image and no container needs",
        flags: [
            Flag(.all, "a", "also images that no container was made of"),
            Flag(.buildCache, nil, "also the steps of earlier builds"),
            Flag(.force, "f", "done anyway", hidden: true),
        ], run: runImagePrune),
    CommandDefinition(
        "system df", "Show what images, containers and volumes take on the disk", flags: [tableOrJSON],
        dryRun: .harmless, run: runSystemUsage),
    CommandDefinition(
        "image rm", "Remove images from the store", operands: .atLeast("IMAGE…", 1), run: runImageRemove),
    CommandDefinition(
        "oci", "Be an OCI runtime, as runc and crun are", operands: .atLeast("COMMAND …", 1),
        details: """
            For Podman, containerd and whoever else speaks the OCI runtime specification. `covey oci --help` says more; a
            link named covey-oci to this program does without the word.
            """,
        needsRoot: false, passesRest: true, run: { _ in 0 }),
    CommandDefinition(
        "version", "Show the version",
        flags: [
            Flag(.format, "f", .choice(["text", "pretty", "json"]), "how it is written; pretty is text"),
            Flag(.short, nil, "the number alone"),
        ], needsRoot: false, dryRun: .harmless, run: runVersion),
    CommandDefinition(
        "debug launch", "Print the launch program of a service's first container",
        operands: .exactly("SERVICE", 1), dryRun: .harmless, run: runDebugLaunch),
    CommandDefinition(
        "debug doctor", "Say what this host lacks and what falls back",
        flags: [Flag(.format, nil, .choice(["text", "json"]), "how it is written")],
        needsRoot: false, dryRun: .harmless, run: runDoctor),
]
