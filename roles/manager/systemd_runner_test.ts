import { assertEquals, assertRejects } from "@std/assert";
import { plainService } from "../../protocol/manager/fixtures/plain_service.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { within } from "../../testing/waiting.ts";
import { Systemctl } from "./systemctl.ts";
import { SystemdRunner } from "./systemd_runner.ts";
import { UnitFiles } from "./unit_files.ts";

Deno.test("an end is an end, also where systemd cannot be asked how", async () => {
  const clock = new FakeClock();
  await using runner = new SystemdRunner({
    clock,
    events: { onNotice: () => {} },
    systemctl: new Systemctl({ clock, program: "/bin/false" }),
    files: new UnitFiles({ run: "/nowhere" }),
    exits: { ended: () => Promise.resolve() },
  });
  const service = plainService("one", ["/bin/true"]);
  const process = { pid: 4_000_000, startTicks: 1, startedMs: 1 };
  await assertRejects(() => runner.find([service]), Error, "Cannot run systemctl show");
  assertEquals(await within("its end", runner.exited(service, process)), {});
});
