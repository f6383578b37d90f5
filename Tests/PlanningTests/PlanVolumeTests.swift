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
}
