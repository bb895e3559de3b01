import { assert, assertEquals, assertLessOrEqual, assertRejects } from "@std/assert";
import { FakeClock, settle } from "../../testing/fake_clock.ts";
import { SeededRandom, withSeed } from "../../testing/seeded_random.ts";
import { canPunch, type NatKind } from "../../testing/nat_kinds.ts";
import { formatEndpoint, parseEndpoint } from "../wireguard/endpoint.ts";
import type { Endpoint } from "../wireguard/settings.ts";
import { type Kind, KINDS, type NatHost, NatNetwork, RELAY } from "./fixtures/nat_network.ts";
import { PUNCH_ROUND_MS, PUNCH_ROUNDS, PunchClient, WATCH_MS } from "./punch_client.ts";
import { PunchExit } from "./punch_exit.ts";
import { PROBE_BYTES, ProbeKeys } from "./punch_probe.ts";

const CLIENT = "203.0.113.1";
const EXIT = "203.0.113.2";
const SECRETS = { client: new Uint8Array(32).fill(1), exit: new Uint8Array(32).fill(2) };

interface WorldOptions {
  readonly client?: Kind;
  readonly exit?: Kind;
  readonly loss?: number;
  readonly latencyMs?: number;
  readonly random?: SeededRandom;
}

/** Both sides of a punch that has been agreed on. */
class World {
  readonly clock = new FakeClock();
  readonly network: NatNetwork;
  readonly clientHost: NatHost;
  readonly exitHost: NatHost;
  readonly client: PunchClient;
  readonly exit: PunchExit;
  readonly stop = new AbortController();
  /** Everything that was on the way, for those who replay it. */
  readonly seen: { bytes: Uint8Array; from: Endpoint; to: Endpoint }[] = [];
  mayProbe: (at: Endpoint) => boolean = () => true;

  constructor(options: WorldOptions = {}) {
    const { client = "port-restricted", exit = "port-restricted", latencyMs = 20, loss = 0 } = options;
    const { clock } = this;
    this.network = new NatNetwork({ clock, random: options.random ?? new SeededRandom(1), latencyMs, loss });
    this.network.passes = (bytes, from, to) => (this.seen.push({ bytes: bytes.slice(), from, to }), true);
    this.clientHost = this.network.host(client, CLIENT);
    this.exitHost = this.network.host(exit, EXIT);
    const [clientAt, exitAt] = [this.clientHost.outside(RELAY), this.exitHost.outside(RELAY)];
    this.client = new PunchClient({
      keys: new ProbeKeys("client", SECRETS),
      candidates: [exitAt],
      clock,
      send: (bytes, to) => this.network.send(this.clientHost, bytes, to),
      mayProbe: (at) => this.mayProbe(at),
    });
    this.exit = new PunchExit({ keys: new ProbeKeys("exit", SECRETS), candidates: [clientAt], clock });
    this.clientHost.onDatagram = (bytes, from) => this.client.receive(bytes, from);
    this.exitHost.onDatagram = (bytes, from) => {
      const answer = this.exit.receive(bytes);
      if (answer) this.network.send(this.exitHost, answer, from);
    };
    this.#askAgain();
  }

  search(): Promise<Endpoint | undefined> {
    return this.clock.runUntil(this.client.search(this.stop.signal));
  }

  #askAgain(): void {
    for (const { to, bytes } of this.exit.asks()) this.network.send(this.exitHost, bytes, to);
    if (this.exit.isAsking) this.clock.after(PUNCH_ROUND_MS, () => this.#askAgain());
  }
}

for (const client of KINDS) {
  for (const exit of KINDS) {
    const isDirect = client === "none" || exit === "none" || canPunch(client as NatKind, exit as NatKind);
    Deno.test(`client behind ${client}, exit behind ${exit}: ${isDirect ? "direct" : "relay"}`, async () => {
      const world = new World({ client, exit });
      const found = await world.search();
      assertEquals(found !== undefined, isDirect);
      assertEquals(world.exit.isHeard, isDirect);
      if (found) assertEquals(formatEndpoint(found).slice(0, EXIT.length), EXIT);
    });
  }
}

Deno.test("a third of all datagrams lost, they find each other all the same", async () => {
  for (let seed = 0; seed < 50; seed++) {
    await withSeed(seed, async (random) => {
      const kinds = ["full-cone", "restricted", "port-restricted"] as const;
      const world = new World({ client: kinds[seed % 3]!, exit: kinds[seed % 2]!, loss: 0.33, random });
      assert(await world.search());
    });
  }
});

Deno.test("a way as long as satellites make it is found", async () => {
  assert(await new World({ latencyMs: 300 }).search());
});

Deno.test("what is found is where the answer came from, and first is who answers first", async () => {
  const world = new World({ client: "none", exit: "none" });
  assertEquals(formatEndpoint((await world.search())!), `${EXIT}:5000`);
});

Deno.test("a search is bounded in time and number, and both fall silent after it", async () => {
  const world = new World({ client: "symmetric", exit: "symmetric" });
  assertEquals(await world.search(), undefined);
  assertLessOrEqual(world.clock.now(), PUNCH_ROUNDS * PUNCH_ROUND_MS + 1_000);
  world.clock.advance(60_000);
  assertEquals([world.clientHost.sent, world.exitHost.sent], [PUNCH_ROUNDS, PUNCH_ROUNDS]);
  assertEquals(world.clock.pendingTimers, 0);
});

Deno.test("a way is watched for as long as it answers, and given up soon after it has stopped", async () => {
  const world = new World();
  const at = (await world.search())!;
  let isLost = false;
  const watching = world.client.watch(at, world.stop.signal).then(() => isLost = true);
  await world.clock.advanceAsync(600_000);
  assert(!isLost);
  assertLessOrEqual(world.clientHost.sent, 600_000 / WATCH_MS + 2 * PUNCH_ROUNDS);
  world.network.passes = () => false;
  const cutAtMs = world.clock.now();
  await world.clock.runUntil(watching);
  assertLessOrEqual(world.clock.now() - cutAtMs, 900);
});

Deno.test("a stall of the machine is not taken for the end of the way", async () => {
  const world = new World();
  const at = (await world.search())!;
  let isLost = false;
  world.client.watch(at, world.stop.signal).then(() => isLost = true, () => {});
  let unread: (() => void)[] | undefined;
  world.clientHost.onDatagram = (bytes, from) => {
    const read = () => world.client.receive(bytes, from);
    if (unread) unread.push(read);
    else read();
  };
  for (let round = 0; round < 20; round++) {
    // Until an ask is under way.
    const { sent } = world.clientHost;
    for (let waited = 0; waited < 1_000 && world.clientHost.sent === sent; waited++) await world.clock.advanceAsync(1);
    // Timers that fell due run first, what the socket holds is read after them.
    const late: (() => void)[] = unread = [];
    world.clock.advance(5_000);
    await settle();
    unread = undefined;
    for (const read of late) read();
  }
  assert(!isLost);
});

Deno.test("a long way is waited for as long as it takes", async () => {
  const world = new World({ latencyMs: 300 });
  const at = (await world.search())!;
  let isLost = false;
  world.client.watch(at, world.stop.signal).then(() => isLost = true, () => {});
  await world.clock.advanceAsync(60_000);
  assert(!isLost);
  world.network.passes = () => false;
  await world.clock.advanceAsync(1_500);
  assert(isLost);
});

Deno.test("a way that loses a tenth is not given up", async () => {
  await withSeed(7, async (random) => {
    const world = new World({ random });
    const at = (await world.search())!;
    world.network.passes = () => random.next() > 0.1;
    let isLost = false;
    world.client.watch(at, world.stop.signal).then(() => isLost = true, () => {});
    await world.clock.advanceAsync(60_000);
    assert(!isLost);
    world.stop.abort();
    await world.clock.advanceAsync(1_000);
  });
});

Deno.test("aborting ends a search and a watch", async () => {
  const world = new World({ client: "symmetric", exit: "symmetric" });
  const searching = world.client.search(world.stop.signal);
  world.clock.advance(50);
  world.stop.abort(new Error("over"));
  await assertRejects(() => searching, Error, "over");
  await assertRejects(() => world.client.watch(RELAY, world.stop.signal), Error, "over");
});

const stranger = parseEndpoint("192.0.2.66:66")!;

Deno.test("forged probes are neither answered nor believed", async () => {
  const world = new World({ client: "none", exit: "none" });
  const other = { client: new Uint8Array(32), exit: new Uint8Array(32) };
  const [forgedClient, forgedExit] = [new ProbeKeys("client", other), new ProbeKeys("exit", other)];
  for (let count = 0; count < 100; count++) {
    const claimed = new ProbeKeys("client", SECRETS).ask().bytes;
    claimed[31]! ^= 1;
    assertEquals(world.exit.receive(claimed), undefined);
    assertEquals(world.exit.receive(forgedClient.ask().bytes), undefined);
    world.client.receive(forgedExit.ask().bytes, stranger);
    world.client.receive(forgedExit.answer(1), parseEndpoint(`${EXIT}:5000`)!);
  }
  assertEquals(world.clientHost.sent, 0);
  assert(await world.search());
});

Deno.test("probes that come back to their maker prove nothing", () => {
  const world = new World();
  const client = new ProbeKeys("client", SECRETS);
  const exit = new ProbeKeys("exit", SECRETS);
  world.client.receive(client.ask().bytes, stranger);
  assertEquals(world.clientHost.sent, 0);
  assertEquals(world.exit.receive(exit.ask().bytes), undefined);
  assertEquals(world.exit.receive(client.answer(1)), undefined, "an answer is not answered");
});

Deno.test("replayed probes are answered once, wherever they come from", async () => {
  const world = new World({ client: "full-cone", exit: "full-cone" });
  assert(await world.search());
  await world.clock.advanceAsync(5_000);
  const [sentByClient, sentByExit] = [world.clientHost.sent, world.exitHost.sent];
  for (const { bytes, to } of [...world.seen]) world.network.deliver(bytes, stranger, to);
  await world.clock.advanceAsync(5_000);
  assertEquals([world.clientHost.sent, world.exitHost.sent], [sentByClient, sentByExit]);
});

Deno.test("an answer from another place than was asked is not believed", async () => {
  const world = new World({ client: "none", exit: "none" });
  world.network.passes = (bytes, from, to) => {
    // Somebody on the way passes the exit's answers on under another address.
    if (formatEndpoint(from) !== `${EXIT}:5000`) return true;
    world.clock.after(20, () => world.client.receive(bytes, stranger));
    return to === from;
  };
  world.mayProbe = () => false;
  assertEquals(await world.search(), undefined);
});

Deno.test("whoever holds the keys can make neither side send more than was sent to it, nor anywhere in number", () => {
  const world = new World({ client: "none", exit: "none" });
  const client = new ProbeKeys("client", SECRETS);
  let answers = 0;
  for (let count = 0; count < 10_000; count++) {
    const answer = world.exit.receive(client.ask().bytes);
    if (!answer) continue;
    answers++;
    assertEquals(answer.length, PROBE_BYTES);
  }
  assertLessOrEqual(answers, 200);
  const exit = new ProbeKeys("exit", SECRETS);
  const places = new Set<string>();
  const before = world.clientHost.sent;
  for (let port = 1; port <= 1_000; port++) {
    world.client.receive(exit.ask().bytes, parseEndpoint(`192.0.2.1:${port}`)!);
  }
  for (const { to, bytes } of world.seen) if (bytes[1] === 1) places.add(formatEndpoint(to));
  assertLessOrEqual(places.size, 5);
  assertLessOrEqual(world.clientHost.sent - before, 1_000 + 4);
});

Deno.test("where it may not probe, the client does not ask, whoever asked from there", async () => {
  const world = new World({ client: "none", exit: "none" });
  world.mayProbe = () => false;
  world.client.receive(new ProbeKeys("exit", SECRETS).ask().bytes, stranger);
  await world.clock.advanceAsync(1_000);
  const asks = world.seen.filter(({ to, bytes }) => bytes[1] === 1 && formatEndpoint(to) === formatEndpoint(stranger));
  assertEquals(asks, []);
});
