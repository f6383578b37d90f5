// SPDX-License-Identifier: Apache-2.0
//
// What Tests/bench/loader builds and runs: each case loaded a number of times, the processor time of each told.

import Basics
import ComposeLoader
import Glibc

@main
enum LoaderBench {
    static func main() {
        let root = CommandLine.arguments[1]
        let rounds = Int(CommandLine.arguments[2]) ?? 20
        let wanted = CommandLine.arguments.count > 3 ? CommandLine.arguments[3] : ""
        for (name, files, directory) in cases(root) where wanted.isEmpty || name.contains(wanted) {
            var times: [Double] = []
            var outcome = ""
            for _ in 0..<rounds {
                let before = processorTime()
                outcome = load(files, directory)
                times.append(processorTime() - before)
            }
            times.sort()
            print("\(padded(name, 34)) \(figure(times[0])) \(figure(times[times.count / 2]))  \(outcome)")
        }
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        print("\(padded("most memory", 34)) \(usage.ru_maxrss / 1024) MB")
    }

    private static func load(_ files: [String: [UInt8]], _ directory: String) -> String {
        let options = LoadOptions(workingDirectory: directory, environment: ["HOME": "/root"])
        func known(_ path: String) -> [UInt8]? {
            files[path.hasPrefix(directory + "/") ? String(path.dropFirst(directory.count + 1)) : path]
        }
        let access = FileAccess(
            read: { known($0) }, exists: { known($0) != nil }, isDirectory: { _ in false })
        do throws(Failure) {
            return "loaded, \(try loadProject(options, reading: access).project.services.count) services"
        } catch {
            return String(error.doing.prefix(60))
        }
    }

    private static func cases(_ root: String) -> [(String, [String: [UInt8]], String)] {
        func one(_ name: String, _ text: String) -> (String, [String: [UInt8]], String) {
            (name, ["compose.yaml": Array(text.utf8)], "/w/demo")
        }
        var services = "services:\n"
        for number in 0..<1000 {
            services += """
                  s\(number):
                    image: registry.example/app:${TAG:-1}
                    command: [serve, --port, "80"]
                    environment: {N: \(number), MODE: "${MODE:-fast}"}
                    ports: ["\(10_000 + number):80"]
                    volumes: ["data:/data", "./conf:/etc/app:ro"]
                    depends_on: [\(number == 0 ? "" : "s\(number - 1)")]
                    healthcheck: {test: [CMD, check], interval: 5s}
                    deploy: {resources: {limits: {cpus: "0.5", memory: 64M}}}

                """.split(separator: "\n").map { "  \($0.dropFirst(2))" }.joined(separator: "\n") + "\n"
        }
        services += "volumes: {data: }\n"
        let many = 0..<20_000
        var aliases = "x-0: &a0 [a, a, a, a, a, a, a, a, a, a]\n"
        for level in 1..<12 {
            let uses = Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ")
            aliases += "x-\(level): &a\(level) [\(uses)]\n"
        }
        let shop = ["compose.yaml", "db_password.txt"].map { ($0, contents("\(root)/samples/shop/\($0)")) }
        return [
            one("1,000 services", services),
            ("samples/shop", Dictionary(uniqueKeysWithValues: shop), "/w/shop"),
            one(
                "20,000 duplicate keys",
                "services: {web: {image: a, environment: {" + many.map { _ in "A: 1" }.joined(separator: ", ")
                    + "}}}"),
            one(
                "a cycle over 20,000 services",
                "services:\n"
                    + many.map { "  s\($0): {image: a, depends_on: [s\(($0 + 1) % many.count)]}\n" }.joined()),
            one(
                "20,000 unknown attributes",
                "services:\n  web:\n    image: a\n" + many.map { "    unknown\($0): 1\n" }.joined()),
            one(
                "20,000 services of wrong values",
                "services:\n" + many.map { "  s\($0): {image: a, init: perhaps}\n" }.joined()),
            one(
                "52,000 published ports",
                "services: {web: {image: a, ports: [\"10000-61999:10000-61999\"]}}"),
            one(
                "4 MiB of wrong values",
                "services: {web: {image: a, environment: [\n"
                    + String(repeating: "{}, ", count: ((4 << 20) - 100) / 4) + "]}}\n"),
            one(
                "20,000 services in one line",
                "services: {" + many.map { "s\($0): {image: a}" }.joined(separator: ", ") + "}"),
            one(
                "8,000 rings through one service",
                "services:\n"
                    + (0..<8_000).map { "  s\($0): {image: a, depends_on: [s\(($0 + 1) % 8_000), s0]}\n" }
                    .joined()),
            one(
                "10,000 undeclared dependencies",
                "services:\n"
                    + (0..<10_000).map { "  service\($0): {image: a, depends_on: [servise\($0)]}\n" }.joined()
            ),
            one(
                "100,000 unset variables",
                "services: {web: {image: a, labels: {l: \""
                    + (0..<100_000).map { "$v\($0)" }.joined(separator: " ") + "\"}}}\n"),
            one(
                "100 documents on 15,000 services",
                "services:\n" + (0..<15_000).map { "  s\($0): {image: a}\n" }.joined()
                    + (1..<100).map { "---\nservices: {t\($0): {image: b}}\n" }.joined()),
            one("101 levels", "services: " + String(repeating: "[", count: 101)),
            one("100,000 levels", "a: " + String(repeating: "{a: ", count: 100_000)),
            one("4 MiB and a byte", String(repeating: "a", count: 4 << 20 + 1)),
            one(
                "4 MiB of small values",
                "services: {web: {image: a}}\nx-a: ["
                    + String(repeating: "a, ", count: ((4 << 20) - 60) / 3) + "]\n"),
            one(
                "4 MiB of unknown attributes",
                "services: {web: {image: a}}\n"
                    + (0..<260_000).map { "u\($0): 1\n" }.joined().prefix((4 << 20) - 100) + "\n"),
            one("aliases that multiply", aliases + "services: {web: {image: a}}"),
        ]
    }

    private static func contents(_ path: String) -> [UInt8] {
        guard let file = fopen(path, "re") else { return [] }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        return Array(bytes[..<fread(&bytes, 1, bytes.count, file)])
    }

    private static func processorTime() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) * 1000 + Double(time.tv_nsec) / 1_000_000
    }

    private static func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }

    private static func figure(_ milliseconds: Double) -> String {
        let tenths = Int((milliseconds * 10).rounded())
        let text = "\(tenths / 10).\(tenths % 10)"
        return String(repeating: " ", count: max(0, 8 - text.count)) + text
    }
}
