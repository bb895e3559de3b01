import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { DialError } from "../../protocol/errors.ts";
import type { Hop, Path, Stream } from "../../protocol/stream.ts";
import { readFull, writeAll } from "../../protocol/stream.ts";
import { eventually } from "../../testing/waiting.ts";
import { memoryStreamPair } from "../memory.ts";
import { FakeNetwork, type FakeNetworkOptions, type FakeRelay } from "./fixtures/fake_network.ts";

const target = { host: "echo.example", port: 7 };

/** Everything it dials says back what it hears. */
class EchoPath implements Path {
  readonly trails: (readonly Hop[])[] = [];

  dial(_target: unknown, { trail = [] }: { trail?: readonly Hop[] } = {}): Promise<Stream> {
    this.trails.push(trail);
    const [near, far] = memoryStreamPair();
    void this.#echo(far);
    return Promise.resolve(near);
  }

  async #echo(stream: Stream): Promise<void> {
    const buffer = new Uint8Array(16 * 1024);
    try {
      for (let count = await stream.read(buffer); count !== null; count = await stream.read(buffer)) {
        await writeAll(stream, buffer.subarray(0, count));
      }
      await stream.closeWrite();
    } catch {
      stream.close();
    }
  }

  close(): void {}
  [Symbol.dispose](): void {}
}

function startNetwork(options: Partial<FakeNetworkOptions> = {}) {
  const onward = new EchoPath();
  return { network: new FakeNetwork({ onward, ...options }), onward };
}

/** Sends that many bytes and reads them back. */
async function echo(stream: Stream, bytes: number): Promise<void> {
  const sent = crypto.getRandomValues(new Uint8Array(bytes));
  const back = new Uint8Array(bytes);
  const [, isWhole] = await Promise.all([writeAll(stream, sent), readFull(stream, back)]);
  assert(isWhole);
  assertEquals(back, sent);
}

Deno.test("a stream through three upstreams, a central and three downstreams", async () => {
  const { network, onward } = startNetwork();
  await using _ = network;
  const path = network.path();
  using stream = await path.dial(target, { trail: [] });
  await echo(stream, 60_000);
  assertEquals([path.sessionCount, path.streamCount], [1, 1]);
  const [client, central] = onward.trails[0]!;
  assertEquals([client!.name, central!.name], ["fragments client", "central"]);
  assert(network.upstreams.every(({ record }) => client!.at.includes(record.relayId.slice(0, 8))));
  assert([...network.upstreams, ...network.downstreams].every(({ messages }) => messages > 0));
});

Deno.test("by requests and polls alone", async () => {
  const { network } = startNetwork();
  await using _ = network;
  using stream = await network.path({ isPostOnly: true }).dial(target);
  await echo(stream, 60_000);
});

Deno.test("every leg has a number of its own", async () => {
  const { network } = startNetwork();
  await using _ = network;
  using stream = await network.path().dial(target);
  await echo(stream, 50_000);
  const [opening] = network.centrals[0]!.openings;
  const names = [...opening!.request.up, ...opening!.request.down];
  assertEquals(new Set(names.map(({ leg }) => leg)).size, 6);
});

Deno.test("where no relay is known the dial says what is missing", async () => {
  for (
    const { missing, options } of [
      { missing: "a central", options: { centrals: 0 } },
      { missing: "a relay of kind upstream", options: { upstreams: 0 } },
      { missing: "a relay of kind downstream", options: { downstreams: 0 } },
    ]
  ) {
    const { network } = startNetwork(options);
    await using _ = network;
    const error = await assertRejects(
      () => network.path().dial(target),
      DialError,
      `must know ${missing}, and knows none`,
    );
    assertEquals(error.code, "path_down");
  }
});

Deno.test("a central's refusal is told, and why", async () => {
  const { network } = startNetwork();
  await using _ = network;
  network.centrals[0]!.reply = { ok: false, code: "unauthorized", message: "the certificate has ended" };
  const error = await assertRejects(() => network.path().dial(target), DialError, "the certificate has ended");
  assertEquals(error.code, "unauthorized");
});

Deno.test("a central that is busy is passed over, and sessions are spread", async () => {
  const { network } = startNetwork({ centrals: 3 });
  await using _ = network;
  network.centrals[0]!.reply = { ok: false, code: "busy", message: "" };
  const path = network.path({ sessions: 2 });
  await eventually("two sessions", () => path.sessionCount === 2);
  assertEquals(network.centrals.map(({ links }) => links.size), [0, 1, 1]);
});

Deno.test("an upstream and a downstream that swallow everything are not felt", async () => {
  const { network } = startNetwork();
  await using _ = network;
  using stream = await network.path().dial(target);
  await echo(stream, 60_000);
  network.upstreams[1]!.behaviour = "silent";
  network.downstreams[2]!.behaviour = "silent";
  for (let round = 0; round < 5; round++) await echo(stream, 60_000);
});

Deno.test("a relay that has gone is replaced by one the directory knows", async () => {
  const { network } = startNetwork({ upstreams: 4, downstreams: 4 });
  await using _ = network;
  using stream = await network.path().dial(target);
  await echo(stream, 1000);
  const spare = network.upstreams.find(({ messages }) => messages === 0)!;
  await network.upstreams.find(({ messages }) => messages > 0)!.kill();
  await eventually("the spare upstream carries", async () => {
    await echo(stream, 1000);
    return spare.messages > 1;
  });
});

Deno.test("all upstreams turn it away for a while, and the central has not heard of others: the session goes on", async () => {
  const { network } = startNetwork({ upstreams: 6 });
  await using _ = network;
  const path = network.path({ isHasty: true });
  using stream = await path.dial(target);
  await echo(stream, 60_000);
  const used = network.upstreams.filter(({ messages }) => messages > 0);
  assertEquals(used.length, 3);
  for (const upstream of used) upstream.throwOut();
  // More often than a leg is kept for; and soon, because a session whose central is not heard for seconds is given up.
  await eventually("each of them has refused again and again", () => used.every(({ refusals }) => refusals > 2));
  for (const upstream of used) upstream.isClosed = false;
  await echo(stream, 60_000);
  assertEquals(network.centrals[0]!.openings.length, 1);
});

Deno.test("a relay that comes later is taken by a session that has too few", async () => {
  const { network } = startNetwork({ upstreams: 2 });
  await using _ = network;
  using stream = await network.path().dial(target);
  const relay = network.add("upstream");
  await eventually("the new upstream carries", async () => {
    await echo(stream, 1000);
    return relay.messages > 1;
  });
});

Deno.test("a relay that comes while a session is opened is taken as well", async () => {
  const { network } = startNetwork({ upstreams: 2 });
  await using _ = network;
  const [central] = network.centrals;
  const { reply } = central!;
  let relay: FakeRelay | undefined;
  Object.defineProperty(central, "reply", {
    get() {
      relay ??= network.add("upstream");
      return reply;
    },
  });
  using stream = await network.path().dial(target);
  await eventually("the new upstream carries", async () => {
    await echo(stream, 1000);
    return relay!.messages > 1;
  });
});

Deno.test("relays that take nobody fail a dial soon, and it is said why", async () => {
  for (const kind of ["upstreams", "downstreams"] as const) {
    const { network } = startNetwork();
    await using _ = network;
    for (const relay of network[kind]) await relay.kill();
    const error = await assertRejects(() => network.path().dial(target), DialError, "The relays are not to be reached");
    assertEquals(error.code, "path_down");
  }
});

for (const behaviour of ["gone", "silent"] as const) {
  Deno.test(`a central that is ${behaviour}: its streams fail clearly, and the next dial finds another soon`, async () => {
    const { network } = startNetwork({ centrals: 2 });
    await using _ = network;
    const path = network.path();
    using stream = await path.dial(target);
    await echo(stream, 1000);
    const [lost, other] = [...network.centrals].sort((a, b) => b.links.size - a.links.size);
    lost!.behaviour = behaviour;
    const startedMs = performance.now();
    const error = await echo(stream, 1000).then(() => undefined, (error) => error);
    assertInstanceOf(error, Error);
    using next = await path.dial(target);
    await echo(next, 1000);
    assert(performance.now() - startedMs < 4000, `it took ${performance.now() - startedMs} ms`);
    assertEquals(other!.links.size, 1);
  });
}
