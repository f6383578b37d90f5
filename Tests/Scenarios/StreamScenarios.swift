// SPDX-License-Identifier: Apache-2.0
//
// How much memory an image's streams take, whoever wrote them: what is asked for in their heads grows with nothing else.

import Glibc
import Kernel
import Testing

extension Scenarios {
    @Suite("streams")
    struct Streams {
        @Test(
            "an image takes less than 64 MB to load, however its layers are compressed and however large they are"
        )
        func memory() throws {
            try Stage.play("one") { stage in
                // Of one random MiB again and again, with windows that have room for all of it.
                try stage.write("make.py", Self.make)
                try stage.inHost(["python3", "make.py"]).orThrow()
                try stage.write("measure.py", Self.measure)
                let said = try stage.inHost(
                    ["python3", "measure.py", Host.covey ?? "covey", "image", "load", "-i", "all.tar"]
                ).orThrow()
                let kilobytes = Int(said.lines.last ?? "") ?? .max
                try stage.require(kilobytes < 64_000_000 / 1024, "it took \(kilobytes) kB: \(said)")
                try stage.require(said.output.contains("loaded streams:1"), "\(said)")
                // Where the disk has no room for a window.
                try stage.covey("image", "rm", "streams:1")
                let full = try stage.inHost([
                    "sh", "-c", "trap '' XFSZ; ulimit -f 20000; exec \"$@\"", "sh", Host.covey ?? "covey",
                    "image", "load", "-i", "all.tar",
                ])
                try stage.require(
                    full.code == 1 && full.errors.contains("stream's window finds no room in /var/tmp: EFBIG")
                        && full.errors.contains("try:   make room"), "\(full)")
            }
        }

        private static let make = """
            import hashlib, io, json, os, platform, subprocess, tarfile
            block = os.urandom(1 << 20)
            commands = {"gzip": ["gzip", "-1"], "zstd": ["zstd", "-q", "-1", "--long=27"],
                "xz": ["xz", "--lzma2=preset=0,dict=64MiB,nice=273"], "bzip2": ["bzip2", "-1"]}
            diffs = []
            with tarfile.open("all.tar", "w") as whole:
                def add(name, data):
                    entry = tarfile.TarInfo(name)
                    entry.size = len(data)
                    whole.addfile(entry, io.BytesIO(data))
                for name, command in commands.items():
                    plain = io.BytesIO()
                    with tarfile.open(fileobj=plain, mode="w") as layer:
                        entry = tarfile.TarInfo(name)
                        blocks = 48 if name in ("zstd", "xz") else 4
                        entry.size = blocks << 20
                        layer.addfile(entry, io.BytesIO(block * blocks))
                    diffs.append("sha256:" + hashlib.sha256(plain.getvalue()).hexdigest())
                    add(name, subprocess.run(command, input=plain.getvalue(), stdout=subprocess.PIPE, check=True).stdout)
                machine = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
                add("config.json", json.dumps({"architecture": machine, "os": "linux",
                    "rootfs": {"type": "layers", "diff_ids": diffs}}).encode())
                add("manifest.json", json.dumps([{"Config": "config.json", "RepoTags": ["streams:1"],
                    "Layers": list(commands)}]).encode())

            """

        /// The most a program had in memory, in kilobytes (getrusage(2)), behind what it says.
        private static let measure = """
            import resource, subprocess, sys
            code = subprocess.run(sys.argv[1:]).returncode
            print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
            sys.exit(code)

            """
    }
}
