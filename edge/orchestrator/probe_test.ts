import { assert, assertEquals } from "@std/assert";
import { ProbeTickets } from "../../protocol/sharing/probe_ticket.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { probeRoutes } from "./probe.ts";

const tickets = new ProbeTickets(new Uint8Array(32).fill(7));
const clock = new FakeClock();
const app = probeRoutes({ tickets, clock });
const ticket = tickets.issue(clock.wallNow() + 1000, new SeededRandom(1));
const ask = async (path: string) => await app.request(path, undefined, { remoteAddress: "192.0.2.9" });

Deno.test("a probe is answered with a proof, the address it came from, and so many bytes", async () => {
  const answer = await ask(`/probe/${ticket}?bytes=70000`);
  assertEquals(answer.status, 200);
  assertEquals(answer.headers.get("culvert-probe-address"), "192.0.2.9");
  assert(tickets.isProof(answer.headers.get("culvert-probe-proof")!, ticket, "192.0.2.9", 70_000));
  assertEquals((await answer.bytes()).length, 70_000);
});

const refused = [
  { name: "without a ticket", path: "/probe/", status: 404 },
  { name: "with a ticket of somebody else's", path: `/probe/${"A".repeat(54)}`, status: 404 },
  { name: "for too many bytes", path: `/probe/${ticket}?bytes=1048577`, status: 400 },
  { name: "for fewer bytes than none", path: `/probe/${ticket}?bytes=-1`, status: 400 },
  { name: "for what is no number", path: `/probe/${ticket}?bytes=x`, status: 400 },
];
for (const { name, path, status } of refused) {
  Deno.test(`a probe ${name} is answered with ${status}`, async () => {
    const answer = await ask(path);
    assertEquals(answer.status, status);
    assertEquals(answer.headers.get("culvert-probe-proof"), null);
    await answer.body?.cancel();
  });
}

Deno.test("a ticket that has expired is none", async () => {
  await clock.advance(1000);
  const answer = await ask(`/probe/${ticket}`);
  assertEquals(answer.status, 404);
  await answer.body?.cancel();
});
