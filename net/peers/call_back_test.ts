import { assert, assertEquals } from "@std/assert";
import { CulvertError } from "../../protocol/errors.ts";
import { parseTarget } from "../../protocol/stream.ts";
import { eventually, within } from "../../testing/waiting.ts";
import { ExpectedCalls } from "./expected_calls.ts";
import {
  greetingOf,
  GuestBook,
  newIdentity,
  partsOf,
  startGuest,
  startHost,
  startRelay,
  type WorldHostOptions,
  type WorldRelay,
} from "./fixtures/peer_world.ts";
import type { PeerConnection } from "./peer_connection.ts";
import { SealedKnocks } from "./sealed_knock.ts";

const parts = partsOf(newIdentity());

/** A guest with a peer port of its own, and a host that listens nowhere and is told whom it may dial. */
async function startPair(relay: WorldRelay, options: WorldHostOptions = {}, heardAt: readonly string[] = []) {
  const book = new GuestBook();
  const host = startHost({ ...book, listens: false, relays: [relay], mayCallBack: () => true, ...options });
  await host.met();
  const identity = newIdentity();
  const addresses: string[] = [...heardAt];
  const calls = new ExpectedCalls(parts.random, () => addresses);
  const own = startHost({ identity, calls });
  addresses.push(own.address!);
  const guest = startGuest({ identity });
  guest.network.calls = calls;
  return {
    ...{ book, host, own, guest },
    async [Symbol.asyncDispose]() {
      for (const each of [guest, own, host]) await each[Symbol.asyncDispose]();
    },
  };
}

function becomesDirect(connection: PeerConnection): Promise<void> {
  return eventually("it is direct", () => connection.way === "direct");
}

Deno.test("a host that cannot be dialled calls a guest that can be, and streams go that way from then on", async () => {
  await using relay = startRelay();
  await using pair = await startPair(relay);
  await using connection = await pair.guest.network.connect(pair.host.card());
  const { peerId } = pair.guest.identity;
  await becomesDirect(connection);
  assertEquals([await greetingOf(connection), connection.isClosed], ["hello", false]);
  assertEquals(parseTarget(connection.via)?.host, "127.0.0.1");
  const everything = { peerId, scope: "", mayUpload: false };
  assertEquals(pair.book.guests, [{ ...everything, way: "relayed" }, { ...everything, way: "direct" }]);
  await eventually("the relay carries nothing any more", () => relay.relay.streamCount === 0);
  assertEquals(await greetingOf(connection), "hello");
});

Deno.test("an address that does not answer, or is somebody else's, keeps nobody from being called at another", async () => {
  await using relay = startRelay();
  await using other = startHost();
  await using pair = await startPair(relay, {}, ["127.0.0.1:9"]);
  await using connection = await pair.guest.network.connect(pair.host.card());
  await becomesDirect(connection);
  assertEquals(other.host.guests, []);
});

Deno.test("a guest cannot make a host dial what is not public, or a name", async () => {
  await using relay = startRelay();
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const called = listener.accept().then((conn) => (conn.close(), true), () => false);
  const { port } = listener.addr;
  // Left out: what it may dial. Then only public addresses are.
  const asked = [`127.0.0.1:${port}`, `localhost:${port}`, `[::ffff:127.0.0.1]:${port}`];
  const host = startHost({ listens: false, relays: [relay] });
  await host.met();
  await using guest = startGuest();
  guest.network.calls = new ExpectedCalls(parts.random, () => asked);
  const connection = await guest.network.connect(host.card());
  assertEquals([connection.way, await greetingOf(connection)], ["relayed", "hello"]);
  await host[Symbol.asyncDispose](); // which waits for calls under way
  listener.close();
  assertEquals(await called, false);
  connection.close();
});

Deno.test("a call that nobody expects, or that another peer makes, is let go of", async () => {
  const calls = new ExpectedCalls(parts.random, () => ["192.0.2.1:1"]);
  await using own = startHost({ calls });
  const [known, stranger] = [partsOf(newIdentity()), partsOf(newIdentity())];
  using expected = calls.expect(known.identity.peerId)!;
  const { host: hostname, port } = parseTarget(own.address!)!;
  const call = async (from: typeof known, token: string) => {
    const guest = { peerId: own.identity.peerId, sealingKey: own.identity.wireguardPublicKey };
    const signal = new AbortController().signal;
    return await new SealedKnocks(from).call(await Deno.connect({ hostname, port }), { guest, token, signal });
  };
  const { token } = expected.callBack;
  for (const [from, said] of [[stranger, token], [known, "A".repeat(22)]] as const) {
    const sealed = await call(from, said);
    await within("its end", sealed.read(new Uint8Array(1)).catch((error) => assert(error instanceof CulvertError)));
    sealed.abort();
  }
  const good = await call(known, token);
  const { sealed, via } = await within("the call", expected.answered);
  assertEquals(parseTarget(via)?.host, "127.0.0.1");
  const again = await call(known, token);
  await within("its end", again.read(new Uint8Array(1)).catch(() => null));
  for (const each of [good, sealed, again]) each.abort();
});

Deno.test("who cannot be dialled expects no call, and so many are waited for", () => {
  assertEquals(new ExpectedCalls(parts.random, () => []).expect("a"), undefined);
  const calls = new ExpectedCalls(parts.random, () => ["192.0.2.1:1"]);
  const expected = Array.from({ length: 257 }, () => calls.expect("a"));
  assertEquals(expected.filter((each) => each === undefined).length, 1);
  expected[0]![Symbol.dispose]();
  assert(calls.expect("a") !== undefined);
});
