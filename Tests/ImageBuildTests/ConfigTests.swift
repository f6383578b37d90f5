// SPDX-License-Identifier: Apache-2.0

import Basics
import ImageBuild
import Images
import Testing

@Suite("an image's config", .enabled(if: isRoot, "needs root"))
struct ConfigTests {
    @Test("holds what the Dockerfile says")
    func everything() throws {
        let sandbox = try BuildSandbox("a = 1")
        _ = try sandbox.build(
            """
            FROM scratch
            ENV A=1 B="two words"
            ENV C $A
            ENTRYPOINT ["/e", "$A"]
            CMD run $A
            WORKDIR /w
            USER me:us
            EXPOSE 80 53/udp 8000-8001
            VOLUME /v ["/x"]
            VOLUME ["/data"]
            LABEL l=1 "m n"='o p'
            STOPSIGNAL SIGINT
            HEALTHCHECK --interval=5s --retries=2 CMD test -f /ok
            SHELL ["/bin/ash", "-c"]
            MAINTAINER Someone
            COPY a /
            """
        ) { $0.labels = ["z": "9"] }
        let image = try sandbox.image()
        let config = try sandbox.store.config(of: image)
        let defaults = try #require(config.config)
        #expect(
            defaults.env == [
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "A=1", "B=two words",
                "C=1",
            ])
        #expect(defaults.entrypoint == ["/e", "$A"])
        #expect(defaults.cmd == ["/bin/sh", "-c", "run $A"])
        #expect(defaults.workingDir == "/w")
        #expect(defaults.user == "me:us")
        #expect(defaults.exposedPorts?.keys.sorted() == ["53/udp", "80/tcp", "8000/tcp", "8001/tcp"])
        #expect(defaults.labels == ["l": "1", "m n": "o p", "z": "9"])
        #expect(defaults.stopSignal == "SIGINT")
        #expect(defaults.healthcheck?.test == ["CMD-SHELL", "test -f /ok"])
        #expect(defaults.healthcheck?.interval == 5_000_000_000)
        #expect(defaults.healthcheck?.retries == 2)
        #expect(defaults.shell == ["/bin/ash", "-c"])
        #expect(config.author == "Someone")
        #expect(config.rootfs.diffIDs == image.diffIDs)
        #expect(image.diffIDs.count == 2)
        #expect(config.history?.filter { $0.emptyLayer != true }.count == 2)
        #expect(config.history?.last?.createdBy == "COPY a /")
    }

    @Test("a base's CMD goes with a new ENTRYPOINT, its other values stay")
    func inherits() throws {
        let sandbox = try BuildSandbox("a = 1")
        _ = try sandbox.build("FROM scratch\nCOPY a /\nENV A=1\nCMD [\"c\"]\nLABEL l=1", tag: "parent")
        _ = try sandbox.build("FROM parent\nENTRYPOINT [\"e\"]\nENV B=$A")
        let image = try sandbox.image()
        #expect(image.defaults.entrypoint == ["e"])
        #expect(image.defaults.command == [])
        #expect(image.defaults.environment.suffix(2) == ["A=1", "B=1"])
        #expect(image.defaults.labels == ["l": "1"])
        _ = try sandbox.build("FROM parent\nCMD [\"d\"]\nENTRYPOINT [\"e\"]")
        #expect(try sandbox.image().defaults.command == ["d"])
    }

    @Test("an image can have several names")
    func tags() throws {
        let sandbox = try BuildSandbox("a = 1")
        let built = try sandbox.build("FROM scratch\nCOPY a /") { $0.tags = ["one", "two:3"] }
        #expect(try sandbox.image("one").facts.id == built.id)
        #expect(try sandbox.image("two:3").facts.id == built.id)
    }

    @Test("arguments of FROM, of stages and of the platform have their scopes")
    func scopes() throws {
        let sandbox = try BuildSandbox("a = 1")
        _ = try sandbox.build("FROM scratch\nCOPY a /", tag: "parent:1")
        let text = """
            ARG VERSION=9
            ARG OTHER=x
            FROM parent:$VERSION
            LABEL before=$VERSION$OTHER
            ARG VERSION
            ARG OTHER=mine
            ARG TARGETARCH
            LABEL after=$VERSION$OTHER arch=$TARGETARCH
            """
        _ = try sandbox.build(text) { $0.arguments = ["VERSION": "1", "UNUSED": "1"] }
        let labels = try sandbox.image().defaults.labels
        #expect(labels["before"] == "")
        #expect(labels["after"] == "1mine")
        #expect(["amd64", "arm64"].contains(labels["arch"] ?? ""))
        #expect(
            sandbox.warnings == [
                "`$VERSION` is not declared here, and nothing takes its place",
                "`$OTHER` is not declared here, and nothing takes its place",
                "the build argument `UNUSED` is used by no ARG of the stages that were built",
            ])
    }

    @Test("output comes line by line, with its step")
    func output() throws {
        let sandbox = try BuildSandbox()
        try sandbox.makeBase()
        _ = try sandbox.build("FROM base\nRUN echo one; echo two >&2; printf three")
        #expect(sandbox.output == ["one", "two", "three"])
    }

    @Test("ONBUILD waits in the image and is done by the one built on it, once")
    func triggers() throws {
        let sandbox = try BuildSandbox("a = 1\nb = 2")
        try sandbox.makeBase()
        _ = try sandbox.build(
            "FROM base\nONBUILD COPY a /fromonbuild\nONBUILD RUN echo $W > /ran\nONBUILD LABEL l=1\nONBUILD COPY <<E /h\nx\nE\nENV W=w",
            tag: "parent:1")
        #expect(try sandbox.store.config(of: sandbox.image("parent:1")).config?.onBuild?.count == 4)
        _ = try sandbox.build("FROM parent:1 AS c\nFROM scratch\nCOPY --from=c /ran /fromonbuild /h /")
        #expect(try sandbox.tree() == "f 644 0:0 fromonbuild = 1\nf 644 0:0 h = x⏎\nf 644 0:0 ran = w⏎")
        _ = try sandbox.build("FROM parent:1", tag: "child:1")
        #expect(try sandbox.image("child:1").defaults.labels["l"] == "1")
        #expect(try sandbox.store.config(of: sandbox.image("child:1")).config?.onBuild == nil)
    }

    @Test("with SOURCE_DATE_EPOCH the same files give the same digest at another time and place")
    func reproducible() throws {
        let text = """
            FROM base AS make
            WORKDIR /w
            COPY . .
            RUN mkdir d && echo x > d/y && ln -s y d/z
            FROM scratch
            COPY --from=make /w /w
            COPY <<E /h
            x
            E
            """
        var ids: Set<Digest> = []
        for time in ["202001010000", "202501010000"] {
            let sandbox = try BuildSandbox("a = 1\ns/b = 2")
            try sandbox.makeBase()
            spawn(["/usr/bin/touch", "-t", time, "\(sandbox.context)/a", "\(sandbox.context)/s"])
            let built = try sandbox.build(text) { $0.arguments = ["SOURCE_DATE_EPOCH": "1500000000"] }
            #expect(sandbox.warnings == [])
            ids.insert(built.id)
        }
        #expect(ids.count == 1)
        let failure = failing {
            _ = try BuildSandbox().build("FROM scratch") { $0.arguments = ["SOURCE_DATE_EPOCH": "soon"] }
        }
        #expect(failure?.doing == "SOURCE_DATE_EPOCH is `soon`")
    }

    @Test("a look at the Dockerfile runs nothing, and warnings can be errors")
    func checks() throws {
        let sandbox = try BuildSandbox("a = 1\n.dockerignore = a")
        let text = "FROM absent:1\nRUN exit 1\nCOPY a /\nENV X=$Y\nWORKDIR $Z"
        _ = failing { _ = try sandbox.build(text) { $0.checksOnly = true } }
        #expect(
            sandbox.warnings == [
                "`a` is left out by .dockerignore", "`$Y` is not declared here, and nothing takes its place",
                "`$Z` is not declared here, and nothing takes its place; did you mean `$X`?",
            ])
        #expect((try? sandbox.store.lookUp("test")) == .some(nil))
        let failure = failing { _ = try sandbox.build("# check=error=true\nFROM scratch\nWORKDIR a") }
        #expect(failure?.cause == "its `check` directive makes them errors")
    }
}
