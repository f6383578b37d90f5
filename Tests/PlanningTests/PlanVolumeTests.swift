// SPDX-License-Identifier: Apache-2.0
//
// Plans that would cost what is in volumes, and those that do not.

import ContainerModel
import Planning
import Testing

@Suite("plans and what is in volumes")
struct PlanVolumeTests {
    private func plan(
        _ before: String, _ after: String, _ change: (inout UpOptions) -> Void = { _ in }
    ) throws -> String {
        var options = UpOptions()
        change(&options)
        let world = try World.running(stack(before))
        let plan = try planUp(stack(after), observed: world.seen, options: options)
        var next = world
        next.apply(plan, for: stack(after))
        #expect(next.broken == [])
        return plan.description
    }

    @Test("start-first with anonymous volumes goes the other way, for the same number, and says so")
    func startFirst() throws {
        let before = "web: first; anonymous /b; anonymous /a"
        let after = before + "; env A=1"
        let updated = try plan(before, after)
        #expect(
            updated == """
                1. stop container demo-web-1 within 10s: environment A added
                2. remove container demo-web-1: environment A added [after 1]
                3. create container demo-web-1: environment A added [after 2]
                4. start container demo-web-1: environment A added [after 3]
                5. settle demo-web-1: environment A added [after 4]
                notice: service "web" is updated stop-first: its anonymous volumes at /a, /b can be only one \
                container's at a time; `start-first` needs named ones, or --renew-anon-volumes
                """)
        let renewed = try plan(before, after) { $0.renewsVolumes = true }
        #expect(renewed.contains("create container demo-web-2") && !renewed.contains("notice"), "\(renewed)")
        let named = try plan("web: first; volume data", "web: first; volume data; env A=1")
        #expect(named.contains("create container demo-web-2") && !named.contains("notice"), "\(named)")
        #expect(!(try plan(before, before)).contains("notice"), "nothing is updated")
    }

    @Test("down with volumes removes those the file declares, and says which stay")
    func downByFile() throws {
        let world = try World.running(stack("web: volume cache\ndb: volume pg"))
        var options = DownOptions()
        options.removeVolumes = true
        options.declaredVolumes = ["demo_cache", "demo_unused"]
        for services in [[], ["db", "web"]] {
            options.services = services
            let plan = try planDown(world.seen, options: options)
            #expect("\(plan)".contains("remove volume demo_cache"), "\(plan)")
            #expect(!"\(plan)".contains("remove volume demo_pg"), "\(plan)")
            #expect(
                plan.notices == [
                    "volume demo_pg stays: the file no longer declares it; "
                        + "`covey -p demo down -v` removes all of the project's"
                ])
        }
        options.declaredVolumes = []
        options.external = ExternalNames(volumes: ["demo_pg", "demo_cache"])
        #expect(try planDown(world.seen, options: options).notices == [])
    }

    @Test("who has volumes_from a container whose anonymous volumes end is started again, and only then")
    func volumesFrom() throws {
        let before = "src: anonymous /own\ntaker: from src\nother: needs src"
        let reason = "the anonymous volumes of service \"src\", its `volumes_from`, are new ones"
        func forced(_ renews: Bool, _ before: String) throws -> String {
            try plan(before, before) {
                $0.forceRecreate = true
                $0.renewsVolumes = renews
                $0.services = ["src"]
            }
        }
        let renewed = try forced(true, before)
        #expect(
            renewed == """
                1. stop container demo-taker-1 within 10s: \(reason)
                2. stop container demo-src-1 within 10s: --force-recreate [after 1]
                3. remove container demo-src-1: --force-recreate [after 2]
                4. create container demo-src-1: --force-recreate [after 3]
                5. start container demo-src-1: --force-recreate [after 4]
                6. start container demo-taker-1: \(reason) [after 1, 5]
                """)
        #expect(!(try forced(false, before)).contains("taker"))
        #expect(!(try forced(true, "src: volume data\ntaker: from src")).contains("taker"))
        // Changed away without -V, and moved to another path.
        for after in ["src: env A=1", "src: anonymous /new"] {
            let text = try plan(before, before.replacing("src: anonymous /own", with: after))
            #expect(text.contains("stop container demo-taker-1 within 10s: \(reason)"), "\(text)")
        }
        #expect(!(try plan(before, before + "\nnew:")).contains("taker"))
        // A second of them is nobody's source.
        let scaled = before.replacing("/own", with: "/own; replicas 2")
        #expect(!(try plan(before, scaled)).contains("taker"))
    }
}
