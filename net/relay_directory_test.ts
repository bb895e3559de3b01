import { assertEquals, assertRejects } from "@std/assert";
import type { RelayList, RelayQuery, RelayRecord } from "../protocol/directory.ts";
import { encodeBase64 } from "../protocol/encoding.ts";
import { generateSecrets, Identity } from "../protocol/identity.ts";
import { portablePrimitives as primitives } from "../protocol/primitives.ts";
import { FakeClock } from "../testing/fake_clock.ts";
import { SeededRandom } from "../testing/seeded_random.ts";
import { RelayDirectory } from "./relay_directory.ts";
import { keysOfRelay } from "./relay_registration.ts";

const random = new SeededRandom(1);

function recordOf(change: Partial<RelayRecord> = {}): RelayRecord {
  return {
    ...keysOfRelay(new Identity(generateSecrets(random), primitives)),
    ...{ kind: "upstream", region: "local", url: "http://127.0.0.1:1", version: "0.1.0", load: 0 },
    ...{ registeredAtMs: 0, expiresAtMs: 60_000 },
    ...change,
  };
}

/** A base that tells what it is given, page by page, as soon as it may. */
class FakeBase {
  pages: RelayRecord[][] = [[]];
  isDown = false;
  queries: RelayQuery[] = [];
  /** Whoever asks waits for it. */
  gate: Promise<void> = Promise.resolve();

  async listRelays(query: RelayQuery, { signal }: { signal?: AbortSignal } = {}): Promise<RelayList> {
    this.queries.push(query);
    await this.gate;
    signal?.throwIfAborted();
    if (this.isDown) throw new Error("base is down");
    const number = Number(query.after ?? 0);
    const isMore = number + 1 < this.pages.length;
    return { relays: this.pages[number]!, ...(isMore && { next: String(number + 1) }) };
  }
}

function rig() {
  const base = new FakeBase();
  const clock = new FakeClock();
  const directory = new RelayDirectory({ directory: base, primitives, clock, random });
  return { base, clock, directory, [Symbol.dispose]: () => directory[Symbol.dispose]() };
}

Deno.test("what base tells is found by id and by key, page by page and each once", async () => {
  using world = rig();
  const [one, two] = [recordOf(), recordOf({ kind: "central", load: 0.5 })];
  world.base.pages = [[one], [{ ...one, load: 0.25 }, two]];
  await world.directory.refresh();
  assertEquals(world.directory.list("upstream").map(({ load }) => load), [0.25]);
  assertEquals(world.directory.find("central", two.relayId), two);
  assertEquals(world.directory.bySealingKey("central", two.sealingKey), two);
  assertEquals(world.directory.bySealingKey("upstream", two.sealingKey), undefined);
});

Deno.test("a relay whose sealing key its identity has not signed is left out", async () => {
  using world = rig();
  const [one, two] = [recordOf(), recordOf()];
  world.base.pages = [[{ ...one, sealingKey: two.sealingKey }, { ...one, relayId: two.relayId }, two]];
  await world.directory.refresh();
  assertEquals(world.directory.list("upstream"), [two]);
});

Deno.test("whoever asks just after another waits for a moment, and gets what is known then", async () => {
  using world = rig();
  await world.directory.refresh();
  const newcomer = recordOf();
  world.base.pages = [[newcomer]];
  const asked = Promise.all([world.directory.refresh(), world.directory.refresh()]);
  await world.clock.advanceAsync(499);
  assertEquals([world.base.queries.length, world.directory.list("upstream")], [1, []]);
  await world.clock.advanceAsync(1);
  await asked;
  assertEquals([world.base.queries.length, world.directory.list("upstream")], [2, [newcomer]]);
});

Deno.test("one who gives up takes nothing from others who wait for the same answer", async () => {
  using world = rig();
  const gate = Promise.withResolvers<void>();
  world.base.gate = gate.promise;
  world.base.pages = [[recordOf()]];
  const givingUp = new AbortController();
  const [first, second] = [world.directory.refresh(givingUp.signal), world.directory.refresh()];
  const rejected = assertRejects(() => first, Error, "enough");
  givingUp.abort(new Error("enough"));
  await rejected;
  gate.resolve();
  await second;
  assertEquals([world.directory.problem, world.directory.list("upstream").length], [undefined, 1]);
});

Deno.test("pages without an end are not read for ever", async () => {
  using world = rig();
  world.base.pages = Array.from({ length: 100_000 }, () => []);
  await world.directory.refresh();
  assertEquals(world.base.queries.length, 256);
});

Deno.test("while base is away what it has said stays, for an hour", async () => {
  using world = rig();
  const record = recordOf();
  world.base.pages = [[record]];
  await world.directory.refresh();
  world.base.isDown = true;
  await world.clock.advanceAsync(3_599_000);
  await world.directory.refresh();
  assertEquals([world.directory.problem, world.directory.list("upstream")], ["base is down", [record]]);
  await world.clock.advanceAsync(1000);
  assertEquals(world.directory.list("upstream"), []);
});

Deno.test("whoever listens hears of changes alone, and asking ends when it is disposed", async () => {
  using world = rig();
  const running = world.directory.run(new AbortController().signal);
  await world.clock.advanceAsync(0);
  let changes = 0;
  using _listening = world.directory.onChange(() => changes++);
  world.base.pages = [[recordOf()]];
  for (let turn = 0; turn < 3; turn++) await world.clock.advanceAsync(20_000);
  assertEquals(changes, 1);
  world.directory[Symbol.dispose]();
  await running;
});

Deno.test("in a closed network those without a certificate are left out", async () => {
  const base = new FakeBase();
  base.pages = [[recordOf(), recordOf({ certificate: encodeBase64(new Uint8Array(100)) })]];
  const networkPublicKey = primitives.ed25519PublicKey(random.fill(new Uint8Array(32)));
  const clock = new FakeClock();
  using directory = new RelayDirectory({ directory: base, primitives, clock, random, networkPublicKey });
  await directory.refresh();
  assertEquals(directory.list("upstream"), []);
});
