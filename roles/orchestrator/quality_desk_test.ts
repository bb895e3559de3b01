import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { createMemoryTable } from "../../kv/sharing/memory_table.ts";
import { liveNode, NodeList } from "../../net/sharing/fixtures/live_node.ts";
import type { NodeProbe } from "../../net/sharing/watchdog.ts";
import { silentLog } from "../../protocol/log.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import { type Device, deviceSchema } from "../../protocol/sharing/records.ts";
import type { AuditEvent } from "../../protocol/stored_records.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { QualityDesk, type QualityDeskOptions } from "./quality_desk.ts";

const MINUTE_MS = 60_000;
const nodeId = "a".repeat(25) + "a";

async function openDesk(
  standing: Device["standing"],
  more: Partial<QualityDeskOptions> & { readonly model?: string } = {},
) {
  const clock = new FakeClock();
  const devices = createMemoryTable<Device>(clock, {
    name: "devices",
    schema: deviceSchema,
    id: (device) => device.nodeId,
  });
  const info = {
    kind: "android" as const,
    agent: "app 1",
    battery: { percent: 50, isCharging: false },
    model: more.model,
  };
  const device = deviceSchema.parse({
    ...{ nodeId, ownerId: "owner2222222", label: "mine", region: "eu", info, standing, reasons: [], score: 0.5 },
    consent: { version: "1", textHash: "x", atMs: 0, signature: "x" },
    createdAtMs: clock.wallNow(),
    lastSeenAtMs: clock.wallNow(),
  });
  await devices.insert(device);
  const node = liveNode({ nodeId });
  const nodes = new NodeList(node);
  const audited: AuditEvent[] = [];
  const desk = new QualityDesk({
    ...{ devices, nodes, clock, random: new SeededRandom(1), log: silentLog, metrics: noMetrics },
    audit: (event) => Promise.resolve(audited.push(event)),
    ...more,
  });
  desk.admit(device, "192.0.2.1");
  const probe = async (probe: NodeProbe, minutes = 0) => {
    for (let minute = 0; minute <= minutes; minute++) {
      desk.probed(node, probe);
      await desk.settled();
      if (minutes > 0) clock.advance(MINUTE_MS);
    }
  };
  const stored = async () => (await devices.get(nodeId))!.record;
  return { clock, devices, desk, nodes, audited, probe, stored };
}

const well: NodeProbe = { outcome: { latencyMs: 40, throughputMbps: 90 }, exitAddress: "198.51.100.4" };
const failed: NodeProbe = { outcome: {}, failure: "timeout" };

Deno.test("a newcomer that does well is good after an hour; owner, table and audit log are told", async () => {
  const { desk, probe, stored, audited, nodes } = await openDesk("probation");
  assert(desk.isNewcomer(nodeId));
  await probe(well, 61);
  assertEquals(desk.isNewcomer(nodeId), false);
  const { standing, score, reasons, exitAddress } = await stored();
  assertEquals([standing, exitAddress], ["good", "198.51.100.4"]);
  assert(score > 0.9 && score === desk.qualityOf(nodeId).score);
  assertEquals(reasons.map(({ standing }) => standing), ["good"]);
  assertEquals(audited.map(({ actor, action, subject }) => [actor, action, subject]), [[
    "watchdog",
    "node.good",
    nodeId,
  ]]);
  assertEquals(nodes.told, [`${nodeId}: Standing: good. ${reasons[0]!.reason}.`]);
});

Deno.test("a node that stays away is flagged, then in quarantine, and the figures of the table follow", async () => {
  const { desk, probe, stored } = await openDesk("good");
  await probe(well, 3);
  await probe(failed, 45);
  const { standing, score, reasons } = await stored();
  assertEquals([standing, desk.qualityOf(nodeId).standing], ["quarantined", "quarantined"]);
  assertEquals(reasons.map(({ standing }) => standing), ["quarantined", "flagged"]);
  assert(score < 0.6);
});

Deno.test("a liar is put in quarantine, and banned and thrown out the third time, across restarts", async () => {
  const lie: NodeProbe = { outcome: {}, lie: "lied" };
  const first = await openDesk("good");
  await first.probe(lie);
  await first.probe(lie);
  assertEquals((await first.stored()).standing, "quarantined");
  const second = new QualityDesk({
    ...{ devices: first.devices, nodes: first.nodes, clock: first.clock, log: silentLog, metrics: noMetrics },
    random: new SeededRandom(2),
    audit: () => Promise.resolve(),
  });
  second.admit({ ...await first.stored(), liesAtMs: [first.clock.wallNow(), first.clock.wallNow()] }, "192.0.2.1");
  second.probed(first.nodes.get(nodeId)!, lie);
  await second.settled();
  assertEquals((await first.stored()).standing, "banned");
  assertEquals(first.nodes.size, 0);
  assertEquals(first.audited.filter(({ action }) => action === "node.lied").length, 2);
});

Deno.test("what one client's traffic says of a node cannot undo what probes say, nor make up for it", async () => {
  const { desk, probe, clock } = await openDesk("good");
  await probe(well, 10);
  const before = desk.qualityOf(nodeId).score;
  for (let dial = 0; dial < 1000; dial++) desk.reported({ nodeId, userId: "rival", tookMs: 9000, kind: "silent" });
  const once = desk.qualityOf(nodeId).score;
  assert(once < before && once > before - 0.02, `${before}, then ${once}`);
  desk.reported({ nodeId, userId: "another", tookMs: 9000, kind: "failed", failure: "busy" });
  assertEquals(desk.qualityOf(nodeId).score, once);
  desk.reported({ nodeId, userId: "another", tookMs: 9000, kind: "silent" });
  assert(desk.qualityOf(nodeId).score < once);
  for (let dial = 0; dial < 1000; dial++) desk.reported({ nodeId, userId: "owner", tookMs: 1, kind: "dialled" });
  assert(desk.qualityOf(nodeId).score < before);
  clock.advance(MINUTE_MS);
  const minuteLater = desk.qualityOf(nodeId).score;
  desk.reported({ nodeId, userId: "rival", tookMs: 9000, kind: "stalled" });
  assert(desk.qualityOf(nodeId).score < minuteLater);
});

Deno.test("an admin's word counts at once and is written with their name", async () => {
  const { desk, stored, audited, nodes } = await openDesk("banned");
  assert(await desk.decree(nodeId, { standing: "probation", reason: "The node's owner has explained" }, "admin:x"));
  assertEquals((await stored()).standing, "probation");
  assertEquals(audited.map(({ actor, action }) => [actor, action]), [["admin:x", "node.probation"]]);
  assert(await desk.decree(nodeId, { standing: "banned", reason: "It was a mistake" }, "admin:x"));
  assertEquals(nodes.size, 0);
  assertEquals(await desk.decree("b".repeat(26), { standing: "good", reason: "no" }, "admin:x"), false);
});

Deno.test("claims of an emulator, and what a hook says, make a node chosen less often, not look worse", async () => {
  const { desk, audited } = await openDesk("good", {
    model: "sdk_gphone64_x86_64",
    attest: () => Promise.resolve({ factor: 0.5, reasons: ["The attestation is another device's"] }),
  });
  await desk.settled();
  assertAlmostEquals(desk.qualityOf(nodeId).score, 0.5 * 0.2 * 0.5, 1e-9);
  assertEquals(audited.map(({ action, detail }) => [action, detail]), [[
    "node.doubted",
    "Its model or system is that of an emulator; The attestation is another device's",
  ]]);
});

Deno.test("the risk asked about is that of the address where the traffic comes out", async () => {
  const asked: string[] = [];
  const { desk, probe, stored, clock } = await openDesk("good", {
    riskOf: (address) => {
      asked.push(address);
      return Promise.resolve({ risk: address === "198.51.100.4" ? 0.9 : 0, isHosting: false });
    },
  });
  await probe(well);
  clock.advance(MINUTE_MS);
  await probe(well, 6);
  assertEquals(asked, ["192.0.2.1", "198.51.100.4"]);
  const { standing, ipRisk, reasons } = await stored();
  assertEquals([standing, ipRisk], ["flagged", 0.9]);
  assert(reasons[0]!.reason.includes("ill repute"));
  assertEquals(desk.qualityOf("b".repeat(26)), { score: 0.5, standing: "probation" });
});

Deno.test("a store that fails is not the end of judging", async () => {
  const { desk, probe, stored } = await openDesk("good", { audit: () => Promise.reject(new Error("no store")) });
  await probe({ outcome: {}, lie: "lied" });
  assertEquals([(await stored()).standing, desk.qualityOf(nodeId).standing], ["quarantined", "quarantined"]);
});
