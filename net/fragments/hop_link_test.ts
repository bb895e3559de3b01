import { assert, assertEquals, assertRejects } from "@std/assert";
import { DialError } from "../../protocol/errors.ts";
import { Arrivals, FakeFinder, HopPeer, type HopPort, hopPort } from "./fixtures/hops.ts";
import { HopLink } from "./hop_link.ts";
import { websocketAddress } from "../websocket_dial.ts";
import { relayUrl } from "./legs.ts";

const never = new AbortController().signal;

interface Acceptor extends HopPort {
  readonly messages: Arrivals<string>;
  readonly links: Arrivals<HopLink>;
  readonly outcomes: Arrivals<string>;
}

function acceptor(peer: HopPeer, finder: FakeFinder): Acceptor {
  const messages = new Arrivals<string>();
  const links = new Arrivals<HopLink>();
  const outcomes = new Arrivals<string>();
  const port = hopPort((stream, first, settled) => {
    const options = {
      acceptorId: peer.id,
      identify: (key: Uint8Array) => finder.bySealingKey("upstream", key),
      refresh: () => finder.refresh(),
      welcome: (link: HopLink) => ({
        onOpen: () => links.add(link),
        onMessage: (message: Uint8Array) => messages.add(new TextDecoder().decode(message)),
        onClose: (error: unknown) => outcomes.add(`closed ${error ?? ""}`.trim()),
      }),
    };
    HopLink.accept({ stream, first }, options, peer.tools, never).then(
      (link) => link ?? outcomes.add("refused"),
      () => outcomes.add("failed"),
    ).finally(settled);
  });
  return { url: port.url, messages, links, outcomes, [Symbol.asyncDispose]: () => port[Symbol.asyncDispose]() };
}

function dial(from: HopPeer, to: HopPeer, at: { url: string }, options: { believedId?: string } = {}) {
  const messages = new Arrivals<string>();
  const closed = Promise.withResolvers<unknown>();
  const link = HopLink.dial(
    {
      address: websocketAddress(relayUrl({ relayId: to.id, url: at.url }, "v1/hop")),
      acceptorId: options.believedId ?? to.id,
      sealingKey: to.identity.wireguardPublicKey,
      welcome: () => ({
        onMessage: (message) => messages.add(new TextDecoder().decode(message)),
        onClose: closed.resolve,
      }),
    },
    from.tools,
    never,
  );
  return { link, messages, closed: closed.promise };
}

const text = (words: string) => new TextEncoder().encode(words);

Deno.test("a hop carries whole messages both ways, and says goodbye", async () => {
  const [central, upstream] = [new HopPeer(), new HopPeer()];
  await using port = acceptor(central, new FakeFinder([upstream.record("upstream")]));
  const near = dial(upstream, central, port);
  const link = await near.link;
  const far = await port.links.come();
  link.send(text("one "), text("message"));
  link.send(text("another"));
  far.send(text("back"));
  await port.messages.come(2);
  await near.messages.come();
  assertEquals([port.messages.all, near.messages.all], [["one message", "another"], ["back"]]);
  assert(link.isWritable);
  link.close();
  await near.closed;
  assertEquals(await port.outcomes.come(), "closed");
  assert(!link.send(text("late")));
});

Deno.test("messages as long as they may be come through", async () => {
  const [central, upstream] = [new HopPeer(), new HopPeer()];
  await using port = acceptor(central, new FakeFinder([upstream.record("upstream")]));
  const near = dial(upstream, central, port);
  const link = await near.link;
  for (const length of [1, 65_536, 256 * 1024, 125, 126]) link.send(new Uint8Array(length).fill(0x61));
  await port.messages.come(5);
  assertEquals(port.messages.all.map(({ length }) => length), [1, 65_536, 256 * 1024, 125, 126]);
  link.close();
  await near.closed;
});

Deno.test("a relay that nobody knows is turned away, one that is known by now is not", async () => {
  const [central, upstream] = [new HopPeer(), new HopPeer()];
  const finder = new FakeFinder();
  await using port = acceptor(central, finder);
  await assertRejects(() => dial(upstream, central, port).link, DialError, "4403");
  assertEquals([await port.outcomes.come(), finder.refreshes], ["refused", 1]);
  finder.late = [upstream.record("upstream")];
  const near = dial(upstream, central, port);
  (await near.link).close();
  await near.closed;
  assertEquals(finder.refreshes, 2);
});

Deno.test("a hop that is meant for another, or comes from another kind of relay, is turned away", async () => {
  const [central, upstream] = [new HopPeer(), new HopPeer()];
  await using port = acceptor(central, new FakeFinder([upstream.record("upstream")]));
  await assertRejects(() => dial(upstream, central, port, { believedId: upstream.id }).link, DialError);
  await using other = acceptor(central, new FakeFinder([upstream.record("downstream")]));
  await assertRejects(() => dial(upstream, central, other).link, DialError);
});

Deno.test("what is no handshake ends the connection", async () => {
  const central = new HopPeer();
  await using port = acceptor(central, new FakeFinder());
  const socket = new WebSocket(port.url.replace("http", "ws"));
  const closed = new Promise<CloseEvent>((resolve) => socket.onclose = resolve);
  socket.onopen = () => socket.send(new Uint8Array(50));
  assertEquals((await closed).code, 4403);
  assertEquals(await port.outcomes.come(), "refused");
});

Deno.test("a hop whose messages pile up says so, drops what is too much, and goes on", async () => {
  const [central, upstream] = [new HopPeer(), new HopPeer()];
  await using port = acceptor(central, new FakeFinder([upstream.record("upstream")]));
  const near = dial(upstream, central, port);
  const link = await near.link;
  let sent = 0;
  while (link.send(new Uint8Array(64 * 1024).fill(0x62))) sent++;
  assert(sent >= 12 && sent < 40, `${sent}`);
  assert(!link.isWritable);
  await new Promise<void>((resolve) => link.onWritable = resolve);
  assert(link.send(text("after")));
  await port.messages.come(sent + 1);
  assertEquals(port.messages.all.at(-1), "after");
  link.close();
  await near.closed;
});
