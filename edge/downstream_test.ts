import { assertEquals } from "@std/assert";
import type { RelayRecord } from "../protocol/directory.ts";
import { createMemoryMailboxes, type MailboxStore } from "../kv/mailbox.ts";
import { downAlias } from "../protocol/fragment/aliases.ts";
import { encodePoll, parseDownstreamNotice, parsePollAnswer } from "../protocol/fragment/messages.ts";
import { portablePrimitives as primitives } from "../protocol/primitives.ts";
import { FakeClock } from "../testing/fake_clock.ts";
import { SeededRandom } from "../testing/seeded_random.ts";
import { createDownstream } from "./downstream.ts";
import type { DownstreamLimits } from "./downstream/limits.ts";
import { DownstreamRelay } from "./downstream/relay.ts";
import { centralRecord, FakeChannel, FakeHop, FakeRelays, hopMessage } from "./fixtures/relays.ts";
import { createMetrics } from "./metrics.ts";

const ADDRESS = "192.0.2.1";
const central = centralRecord();

function claimOf(byte: number): { readonly claim: Uint8Array; readonly alias: Uint8Array } {
  const claim = new Uint8Array(32).fill(byte);
  return { claim, alias: downAlias(claim, primitives) };
}

const first = claimOf(1);

interface WorldOptions {
  readonly limits?: DownstreamLimits;
  readonly mailboxes?: MailboxStore;
  readonly clock?: FakeClock;
  readonly seed?: number;
}

class World implements AsyncDisposable {
  readonly clock: FakeClock;
  readonly relays = new FakeRelays();
  readonly metrics = createMetrics();
  readonly relay: DownstreamRelay;
  readonly app;

  constructor({ limits = {}, mailboxes, clock = new FakeClock(), seed = 1 }: WorldOptions = {}) {
    this.clock = clock;
    this.relays.records.push(central);
    const { relays, metrics } = this;
    this.relay = new DownstreamRelay({
      relays,
      acceptHop: (channel, welcome) => {
        if (!(channel instanceof HopChannel)) return Promise.resolve(undefined);
        const { hop } = channel;
        hop.handlers = welcome(hop, channel.central);
        return Promise.resolve(hop);
      },
      mailboxes,
      primitives,
      clock,
      random: new SeededRandom(seed),
      metrics,
      limits,
    });
    this.app = createDownstream({
      relay: this.relay,
      version: "0.1.0",
      primitives,
      upgrade: () => {
        throw new Error("no WebSockets here");
      },
    });
  }

  /** A central's hop. */
  hop(of = central): FakeHop {
    const channel = new HopChannel(of);
    this.relay.joinHop(channel);
    return channel.hop;
  }

  listen(claim: Uint8Array = first.claim, address = ADDRESS): FakeChannel {
    const channel = new FakeChannel();
    this.relay.listen(channel, address);
    channel.receive(claim);
    return channel;
  }

  async poll(acknowledged: number, claim: Uint8Array = first.claim): Promise<Response> {
    const body = encodePoll({ claim, acknowledged });
    const request = new Request("http://down.example/v1/mailbox", { method: "POST", body });
    return await this.app.fetch(request, { remoteAddress: ADDRESS });
  }

  settle(): Promise<void> {
    return this.clock.advanceAsync(0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.relay[Symbol.asyncDispose]();
  }
}

class HopChannel extends FakeChannel {
  readonly hop = new FakeHop();
  readonly central: RelayRecord;

  constructor(central: RelayRecord) {
    super();
    this.central = central;
  }
}

function post(hop: FakeHop, bytes: Uint8Array, alias: Uint8Array = first.alias): void {
  hop.handlers!.onMessage(hopMessage(2, alias, bytes));
}

function notices(hop: FakeHop): unknown[] {
  return hop.sent.map((message) => {
    const notice = parseDownstreamNotice(message)!;
    return notice.type === "listener" ? notice.isListening : notice.droppedBytes;
  });
}

async function answerOf(response: Response): Promise<{ number: number; bytes: number[] }> {
  const answer = parsePollAnswer(new Uint8Array(await response.arrayBuffer()))!;
  return { number: answer.number, bytes: answer.messages.flatMap((message) => [...message.subarray(1)]) };
}

const bytesOf = (channel: FakeChannel) => channel.sent.flatMap((message) => [...message.subarray(1)]);

Deno.test("what central posts reaches the listener who knows the claim, and central hears that there is one", async () => {
  await using world = new World();
  const hop = world.hop();
  await world.settle();
  post(hop, Uint8Array.of(1));
  const listener = world.listen();
  const other = world.listen(claimOf(2).claim);
  post(hop, Uint8Array.of(2));
  assertEquals([bytesOf(listener), bytesOf(other)], [[1, 2], []]);
  listener.end();
  assertEquals(notices(hop), [true, false]);
});

Deno.test("an alias is no claim: who shows it gets nothing", async () => {
  await using world = new World();
  const hop = world.hop();
  await world.settle();
  post(hop, Uint8Array.of(1));
  const thief = new FakeChannel();
  world.relay.listen(thief, ADDRESS);
  thief.receive(first.alias);
  assertEquals([thief.closedWith, thief.sent], [4400, []]);
});

Deno.test("the newest listener wins", async () => {
  await using world = new World();
  const hop = world.hop();
  await world.settle();
  const [older, newer] = [world.listen(), world.listen()];
  post(hop, Uint8Array.of(1));
  assertEquals([older.closedWith, bytesOf(older), bytesOf(newer)], [4409, [], [1]]);
});

Deno.test("without a listener a little is kept, for a while, and central hears of the rest", async () => {
  await using world = new World();
  const hop = world.hop();
  await world.settle();
  for (let turn = 0; turn < 10; turn++) post(hop, new Uint8Array(10_000));
  assertEquals(world.relay.keptBytes, 6 * 10_001);
  await world.clock.advanceAsync(1000);
  assertEquals(notices(hop), [10_000, 30_000]);
  await world.clock.advanceAsync(31_000);
  assertEquals([world.relay.size, world.relay.keptBytes], [0, 0]);
});

Deno.test("a flood of mailboxes is bounded: by central, in number, in bytes", async () => {
  await using world = new World({ limits: { maxMailboxes: 40, allBytes: 20_000 } });
  const [hop, another, honest] = [world.hop(), world.hop(), world.hop(centralRecord(2))];
  await world.settle();
  for (let turn = 0; turn < 100; turn++) {
    post(turn % 2 === 0 ? hop : another, new Uint8Array(1000), new Uint8Array(16).fill(turn));
  }
  assertEquals([world.relay.size, world.relay.keptBytes <= 5000], [10, true]);
  post(honest, Uint8Array.of(1));
  assertEquals(world.relay.size, 11);
  hop.close();
  post(another, Uint8Array.of(1), new Uint8Array(16).fill(200));
  assertEquals(world.relay.size, 11, "a new hop is no new central");
  await world.clock.advanceAsync(40_000);
  assertEquals([world.relay.size, world.relay.keptBytes], [0, 0]);
  post(another, Uint8Array.of(1), new Uint8Array(16).fill(200));
  assertEquals(world.relay.size, 1);
});

Deno.test("a listener who does not read has only so much kept for it, and is let go", async () => {
  await using world = new World();
  const hop = world.hop();
  await world.settle();
  const listener = world.listen();
  listener.queuedBytes = 250 * 1024;
  post(hop, new Uint8Array(10_000));
  assertEquals(listener.sent.length, 0);
  await world.clock.advanceAsync(17_000);
  assertEquals(listener.closedWith, 4408);
  assertEquals(notices(hop), [10_000, false]);
});

Deno.test("a poll is answered with what waits, again until it is acknowledged", async () => {
  await using world = new World();
  const hop = world.hop();
  await world.settle();
  post(hop, Uint8Array.of(1));
  const one = await answerOf(await world.poll(0));
  post(hop, Uint8Array.of(2));
  const again = await answerOf(await world.poll(0));
  const next = await answerOf(await world.poll(one.number));
  assertEquals([one, again, next], [
    { number: 1, bytes: [1] },
    { number: 1, bytes: [1] },
    { number: 2, bytes: [2] },
  ]);
});

Deno.test("a poll waits for what comes, and what comes at once shares the answer", async () => {
  await using world = new World();
  const hop = world.hop();
  await world.settle();
  const polling = world.poll(0);
  await world.settle();
  post(hop, Uint8Array.of(1));
  post(hop, Uint8Array.of(2));
  assertEquals(await answerOf(await polling), { number: 1, bytes: [1, 2] });
});

Deno.test("a poll for which nothing comes ends, and the next takes the place of one that waits", async () => {
  await using world = new World();
  const one = world.poll(0);
  await world.settle();
  const two = world.poll(0);
  assertEquals((await one).status, 204);
  await world.settle();
  await world.clock.advanceAsync(8000);
  assertEquals((await two).status, 204);
});

Deno.test("a poll that makes no sense, and one too many, are answered with what is wrong", async () => {
  await using world = new World({ limits: { maxMailboxes: 1 } });
  const send = (body: Uint8Array<ArrayBuffer>) =>
    world.app.fetch(new Request("http://down.example/v1/mailbox", { method: "POST", body }), {});
  const short = await send(new Uint8Array(3));
  assertEquals([short.status, (await short.json()).code], [400, "bad_request"]);
  const long = await send(new Uint8Array(3000));
  assertEquals([long.status, (await long.json()).code], [413, "too_large"]);
  world.listen();
  const full = await world.poll(0, claimOf(2).claim);
  assertEquals([full.status, (await full.json()).code], [503, "busy"]);
});

Deno.test("whoever is no central of the directory cannot post, nor one that has left it", async () => {
  await using world = new World();
  world.relay.joinHop(new FakeChannel());
  const hop = world.hop();
  await world.settle();
  assertEquals((await world.metrics.text()).includes('downstream_refused_total{reason="unknown_central"} 1'), true);
  world.relays.remove(central);
  assertEquals(hop.isClosed, true);
});

Deno.test("a central that talks nonsense loses its hop", async () => {
  await using world = new World();
  const hop = world.hop();
  await world.settle();
  hop.handlers!.onMessage(Uint8Array.of(9));
  assertEquals(hop.isClosed, true);
});

/** Two processes of one downstream. */
function twins(limits: DownstreamLimits = {}): { here: World; there: World } & AsyncDisposable {
  const clock = new FakeClock();
  const mailboxes = createMemoryMailboxes(clock);
  const here = new World({ clock, mailboxes, limits, seed: 1 });
  const there = new World({ clock, mailboxes, limits, seed: 2 });
  return {
    here,
    there,
    async [Symbol.asyncDispose]() {
      await Promise.all([here, there].map((each) => each[Symbol.asyncDispose]()));
    },
  };
}

Deno.test("a listener at one process gets what central posts to another, whoever comes first", async () => {
  await using pair = twins();
  const { here, there } = pair;
  const hop = there.hop();
  await there.settle();
  post(hop, Uint8Array.of(1));
  const listener = here.listen();
  for (let turn = 0; turn < 4; turn++) await here.clock.advanceAsync(25);
  post(hop, Uint8Array.of(2));
  for (let turn = 0; turn < 4; turn++) await here.clock.advanceAsync(25);
  assertEquals(bytesOf(listener), [1, 2]);
});

Deno.test("a listener that has gone to another process is followed there", async () => {
  await using pair = twins();
  const { here, there } = pair;
  const hop = there.hop();
  await there.settle();
  const older = there.listen();
  await there.settle();
  const newer = here.listen();
  await here.clock.advanceAsync(6000);
  post(hop, Uint8Array.of(1));
  for (let turn = 0; turn < 4; turn++) await here.clock.advanceAsync(25);
  assertEquals([older.closedWith, bytesOf(older), bytesOf(newer)], [4409, [], [1]]);
});

Deno.test("polls may go to one process after the other, and nothing is lost", async () => {
  await using pair = twins();
  const { here, there } = pair;
  const hop = there.hop();
  await there.settle();
  post(hop, Uint8Array.of(1));
  const one = await answerOf(await there.poll(0));
  post(hop, Uint8Array.of(2));
  const polling = here.poll(one.number);
  for (let turn = 0; turn < 8; turn++) await here.clock.advanceAsync(25);
  // What was not acknowledged where it was given comes again.
  assertEquals(await answerOf(await polling), { number: 2, bytes: [1, 2] });
});
