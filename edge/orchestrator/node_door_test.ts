import { assert, assertEquals } from "@std/assert";
import { generateSecrets, Identity } from "../../protocol/identity.ts";
import { portablePrimitives as primitives } from "../../protocol/primitives.ts";
import { giveConsent } from "../../protocol/sharing/consent.ts";
import { makeChallenge, makeHello } from "../../protocol/sharing/node_auth.ts";
import type { Hello } from "../../protocol/sharing/node_messages.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { ORCHESTRATOR_ID, startOrchestrator } from "./fixtures/orchestrator.ts";
import { NodeDoor } from "./node_door.ts";

const FROM = { address: "192.0.2.9" };

async function start() {
  const orchestrator = await startOrchestrator();
  const { access, deps: { clock }, tables } = orchestrator;
  const owner = (await access.accounts.create({ name: "Ada", roles: ["operator"] }))!;
  const door = new NodeDoor({ devices: tables.devices, access, primitives, clock, defaultRegion: "world" });
  const { code } = await access.codes.make({ kind: "node", label: "Attic", ownerId: owner.userId });
  const hello = (given: Partial<Hello> = {}, seed = 1): Hello => {
    const random = new SeededRandom(seed);
    const identity = new Identity(generateSecrets(random), primitives);
    const made = makeHello(identity, makeChallenge(ORCHESTRATOR_ID, clock.wallNow(), random), {
      nonce: "AAAAAAAAAAAAAAAAAAAAAA",
      runId: "AAAAAAAAAAAAAAAAAAAAAA",
      tunnel: { index: 0, count: 1 },
      consent: giveConsent(identity, { primitives, atMs: clock.wallNow() }),
      info: { kind: "linux", agent: "culvert 0.1.0" },
      egress: { ports: ["443"], datagrams: false, ipv6: false },
    });
    return { ...made, ...given };
  };
  const codeOf = async (hello: Hello) => {
    const verdict = await door.admit(hello, FROM);
    return "code" in verdict ? verdict.code : "admitted";
  };
  return { orchestrator, owner, door, code, hello, codeOf };
}

Deno.test("a node with its owner's code is let in on probation, and from then on without one", async () => {
  const { orchestrator, owner, door, code, hello } = await start();
  const device = await door.admit(hello({ code, claims: { country: "de" } }), FROM);
  assert("ownerId" in device);
  const { ownerId, label, standing, region, country } = device;
  assertEquals([ownerId, label, standing, region, country], [owner.userId, "Attic", "probation", "world", "de"]);
  assert((await orchestrator.audited()).includes("node.enrolled"));

  orchestrator.deps.clock.advance(60_000);
  const again = await door.admit(hello({ info: { kind: "linux", agent: "culvert 0.2.0" } }), FROM);
  assert("ownerId" in again);
  assertEquals([again.info.agent, again.createdAtMs, again.lastSeenAtMs - again.createdAtMs], [
    "culvert 0.2.0",
    device.createdAtMs,
    60_000,
  ]);
});

Deno.test("a node is refused with a reason that its owner and the audit log are told", async () => {
  const { orchestrator, owner, hello, codeOf, code } = await start();
  assertEquals(await codeOf(hello()), "unknown_node");
  assertEquals(await codeOf(hello({ code: "aaaa-aaaa-aaaa-aaaa" })), "bad_code");
  const { consent } = hello();
  assertEquals(await codeOf(hello({ code, consent: { ...consent, version: "0" } })), "consent_needed");
  assertEquals(await codeOf(hello({ code, consent: { ...consent, atMs: consent.atMs + 1 } })), "consent_needed");
  assertEquals(await codeOf(hello({ code, consent: hello({}, 2).consent })), "consent_needed");

  assertEquals(await codeOf(hello({ code })), "admitted");
  assertEquals(await codeOf(hello({ code }, 2)), "bad_code", "used by the other");
  const found = await orchestrator.tables.devices.get(hello().nodeId);
  await orchestrator.tables.devices.replace(found!, { ...found!.record, standing: "banned" });
  assertEquals(await codeOf(hello({ code })), "banned");
  const banned = await orchestrator.tables.devices.get(hello().nodeId);
  await orchestrator.tables.devices.replace(banned!, { ...banned!.record, standing: "good" });
  await orchestrator.access.accounts.change(owner.userId, (user) => ({ ...user, status: "suspended" as const }));
  assertEquals(await codeOf(hello()), "suspended");
  const [entry] = await orchestrator.deps.audit.list({ limit: 1 });
  assertEquals([entry?.actor, entry?.action, entry?.outcome], ["192.0.2.9", "node.admission", "refused"]);
});

Deno.test("guessing codes gets slower and slower, and does not keep nodes out that are known", async () => {
  const { hello, codeOf, code } = await start();
  assertEquals(await codeOf(hello({ code })), "admitted");
  for (let tries = 0; tries < 6; tries++) assertEquals(await codeOf(hello({ code: "aaaa" }, 9)), "bad_code");
  assertEquals(await codeOf(hello({ code: "aaaa" }, 9)), "rate_limited");
  assertEquals(await codeOf(hello()), "admitted");
});

Deno.test("a node that its owner has removed needs a new code, even on the day it came", async () => {
  const { orchestrator, owner, hello, codeOf, code } = await start();
  assertEquals(await codeOf(hello({ code })), "admitted");
  const { token } = await orchestrator.access.tokens.make({ userId: owner.userId, familyId: "aaaa" });
  const removed = await orchestrator.post("/v1/nodes/remove", { nodeId: hello().nodeId }, { token });
  assertEquals(removed.status, 200);
  assertEquals(await codeOf(hello({ code })), "bad_code");
});
