import { assert, assertEquals } from "@std/assert";
import { encodeDownstreamNotice, parseToDownstream } from "../../protocol/fragment/messages.ts";
import { silentLog } from "../../protocol/log.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import { DownstreamHops, type Mailbox } from "./downstream_hops.ts";
import { Arrivals, FakeFinder, HopPeer, type HopPort, hopPort } from "./fixtures/hops.ts";
import { HopLink } from "./hop_link.ts";

const never = new AbortController().signal;
const alias = (number: number) => new Uint8Array(16).fill(number);
const text = (words: string) => new TextEncoder().encode(words);

/** A downstream that keeps what comes: the kind, the alias's first byte, and the text. */
interface Downstream extends HopPort {
  readonly peer: HopPeer;
  readonly came: Arrivals<string>;
  readonly links: Arrivals<HopLink>;
}

function downstream(central: HopPeer, peer = new HopPeer()): Downstream {
  const came = new Arrivals<string>();
  const links = new Arrivals<HopLink>();
  const port = hopPort((stream, first, settled) => {
    HopLink.accept(
      { stream, first },
      {
        acceptorId: peer.id,
        identify: (key) => key.join() === central.identity.wireguardPublicKey.join() ? true : undefined,
        refresh: () => Promise.resolve(),
        welcome: (link) => ({
          onOpen: () => links.add(link),
          onMessage(message) {
            const { kind, alias, rest } = parseToDownstream(message)!;
            came.add(`${kind} ${alias[0]} ${rest.length > 20 ? rest.length : new TextDecoder().decode(rest)}`);
          },
          onClose() {},
        }),
      },
      peer.tools,
      never,
    ).finally(settled);
  });
  return { ...port, [Symbol.asyncDispose]: () => port[Symbol.asyncDispose](), peer, came, links };
}

function hopsOf(central: HopPeer, ...downstreams: readonly Downstream[]) {
  const relays = new FakeFinder(downstreams.map(({ peer, url }) => peer.record("downstream", url)));
  const hops = new DownstreamHops({ tools: central.tools, relays, log: silentLog, metrics: noMetrics });
  return {
    hops,
    relays,
    async [Symbol.asyncDispose]() {
      hops[Symbol.dispose]();
      await hops.closed();
    },
  };
}

function attach(hops: DownstreamHops, { peer }: Downstream, number: number) {
  const changes = new Arrivals<"up" | "down">();
  const mailbox = hops.attach({
    relayId: peer.id,
    alias: alias(number),
    onUp: () => changes.add("up"),
    onDown: () => changes.add("down"),
  })!;
  return { mailbox, changes };
}

Deno.test("sessions share one hop, each under its own name, and the answer to an opening comes first", async () => {
  const central = new HopPeer();
  await using there = downstream(central);
  await using world = hopsOf(central, there);
  const one = attach(world.hops, there, 1);
  world.hops.post(there.peer.id, alias(1), text("opened"));
  assert(!one.mailbox.isWritable);
  await one.changes.come();
  const other = attach(world.hops, there, 2);
  await other.changes.come();
  one.mailbox.send(text("a"));
  other.mailbox.send(text("b"));
  world.hops.post(there.peer.id, alias(2), text("opened"));
  await there.came.come(4);
  assertEquals(there.came.all, ["3 1 opened", "2 1 a", "2 2 b", "3 2 opened"]);
  assertEquals([world.hops.size, there.links.all.length], [1, 1]);
});

Deno.test("those that wait for room are asked in turn, so that none waits for what another has yet to send", async () => {
  const central = new HopPeer();
  await using there = downstream(central);
  await using world = hopsOf(central, there);
  const sessions = [1, 2, 3].map((number) => attach(world.hops, there, number));
  await Promise.all(sessions.map(({ changes }) => changes.come()));
  const batch = new Uint8Array(64 * 1024);
  const left = [40, 40, 2];
  /** As a FragmentLink does: a batch after the other, while there is room. */
  const send = (mailbox: Mailbox, number: number) => {
    while (left[number]! > 0 && mailbox.isWritable) {
      left[number]!--;
      mailbox.send(batch);
    }
  };
  sessions.forEach(({ mailbox }, number) => {
    mailbox.onWritable = () => queueMicrotask(() => send(mailbox, number));
    send(mailbox, number);
  });
  await there.came.come(82);
  const order = there.came.all.map((line) => line[2]);
  const lastOfThird = order.lastIndexOf("3");
  assert(lastOfThird < 16, order.join(""));
  const half = order.slice(0, 40);
  for (const number of ["1", "2"]) assert(half.filter((each) => each === number).length > 12, order.join(""));
});

Deno.test("a hop that is lost comes back, and its legs are down meanwhile", async () => {
  const central = new HopPeer();
  await using there = downstream(central);
  await using world = hopsOf(central, there);
  const { mailbox, changes } = attach(world.hops, there, 1);
  await changes.come();
  (await there.links.come())[Symbol.dispose]();
  assertEquals(await changes.come(2), "down");
  assert(!mailbox.isWritable);
  mailbox.send(text("into the void"));
  assertEquals(await changes.come(3), "up");
  mailbox.send(text("again"));
  assertEquals(await there.came.come(), "2 1 again");
});

Deno.test("a leg is down while the downstream says that nobody listens", async () => {
  const central = new HopPeer();
  await using there = downstream(central);
  await using world = hopsOf(central, there);
  const { changes } = attach(world.hops, there, 1);
  const other = attach(world.hops, there, 2);
  await changes.come();
  const link = await there.links.come();
  const say = (isListening: boolean) =>
    link.send(encodeDownstreamNotice({ type: "listener", alias: alias(1), isListening }));
  for (const isListening of [true, false, false, true]) say(isListening);
  link.send(encodeDownstreamNotice({ type: "dropped", alias: alias(1), droppedBytes: 7 }));
  link.send(text("no notice"));
  await changes.come(3);
  assertEquals([changes.all, other.changes.all], [["up", "down", "up"], ["up"]]);
});

Deno.test("a downstream that nobody knows is looked for again, and found once it is known", async () => {
  const central = new HopPeer();
  await using there = downstream(central);
  await using world = hopsOf(central);
  world.relays.late = [];
  const { changes } = attach(world.hops, there, 1);
  world.hops.post(there.peer.id, alias(1), text("lost"));
  while (world.relays.refreshes === 0) await Promise.resolve();
  world.relays.late = [there.peer.record("downstream", there.url)];
  assertEquals(await changes.come(), "up");
});

Deno.test("there are no more hops than allowed", async () => {
  const central = new HopPeer();
  await using there = downstream(central);
  await using elsewhere = downstream(central);
  const relays = new FakeFinder([there, elsewhere].map(({ peer, url }) => peer.record("downstream", url)));
  const options = { tools: central.tools, relays, log: silentLog, metrics: noMetrics, maxHops: 1 };
  const hops = new DownstreamHops(options);
  const { changes } = attach(hops, there, 1);
  await changes.come();
  assertEquals(hops.attach({ relayId: elsewhere.peer.id, alias: alias(1), onUp() {}, onDown() {} }), undefined);
  hops[Symbol.dispose]();
  await hops.closed();
  assertEquals(hops.attach({ relayId: there.peer.id, alias: alias(1), onUp() {}, onDown() {} }), undefined);
});

Deno.test("names that lead nowhere take no place from downstreams that are there", async () => {
  const central = new HopPeer();
  await using there = downstream(central);
  const gone = Array.from({ length: 4 }, () => new HopPeer().record("downstream"));
  const relays = new FakeFinder([there.peer.record("downstream", there.url), ...gone]);
  const options = { tools: central.tools, relays, log: silentLog, metrics: noMetrics, maxHops: 4 };
  const hops = new DownstreamHops(options);
  const lost = { onUp() {}, onDown() {} };
  for (const { relayId } of gone) hops.attach({ relayId, alias: alias(1), ...lost });
  for (let count = 0; count < 20; count++) {
    hops.attach({ relayId: new HopPeer().id, alias: alias(1), ...lost })?.[Symbol.dispose]();
    hops.post(new HopPeer().id, alias(1), text("opened"));
  }
  assertEquals(hops.size, 4);
  await attach(hops, there, 2).changes.come();
  // Nor does anything take that place again.
  for (let count = 0; count < 20; count++) hops.attach({ relayId: new HopPeer().id, alias: alias(1), ...lost });
  await attach(hops, there, 3).changes.come();
  await there.links.come();
  assertEquals([hops.size, there.links.all.length], [4, 1]);
  hops[Symbol.dispose]();
  await hops.closed();
});

Deno.test("a hop that leads nowhere is given up when nobody needs it any more", async () => {
  const central = new HopPeer();
  await using world = hopsOf(central);
  world.hops.post(new HopPeer().id, alias(1), text("lost"));
  assertEquals(world.hops.size, 1);
  while (world.hops.size > 0) await new Promise<void>((resolve) => void central.tools.clock.after(1, resolve));
});
