/**
 * Connections through a relay that stops forwarding, as when a machine has lost its power: nobody is told anything, and
 * each end finds out by itself. `roles/supernode/half_open_test.ts` has the exact times, on a fake clock.
 */

import { assert, assertStringIncludes } from "@std/assert";
import { FakeSupernode } from "../../net/fixtures/fake_supernode.ts";
import { hostPrimitives } from "../../net/host_primitives.ts";
import { dialWebsocket } from "../../net/websocket_dial.ts";
import { clockOf, deadline } from "../../protocol/clock.ts";
import { CONTROL_PATH, RELAY_PATH, supernodeEndpoint } from "../../protocol/control/endpoints.ts";
import { randomOf } from "../../protocol/random.ts";
import { formatTarget, parseTarget, type Target } from "../../protocol/stream.ts";
import { PlayedPeer } from "../../roles/fixtures/played_peer.ts";
import { SilentRelay } from "../../testing/silent_relay.ts";
import { eventually } from "../../testing/waiting.ts";
import { hello, helloAtLast, isHello } from "./fixtures/processes.ts";
import { SupernodeUnderTest } from "./fixtures/supernode.ts";

const clock = clockOf(globalThis);
const random = randomOf(crypto);

/** Where a supernode's URL leads, and the same URL by way of somewhere else. */
function targetOf(url: string): Target {
  return parseTarget(new URL(url).host)!;
}

function byWayOf(relay: SilentRelay, url: string): string {
  const other = new URL(url);
  other.host = formatTarget(relay.address);
  return other.href;
}

Deno.test("an exit that falls silent loses its data link in some seconds, and streams leave through another", async () => {
  await using supernode = new SupernodeUnderTest();
  await supernode.start();
  const { processes, process } = supernode;
  const url = process.addresses["supernode"]!;
  await using relay = SilentRelay.start(targetOf(url));
  const exitBy = (name: string, at: string) => processes.start("exit", name, ["--region", "here", "--supernode", at]);
  const silent = await exitBy("silent", byWayOf(relay, url));
  const client = await processes.start("client", "client", ["--listen", "127.0.0.1:0", "--supernode", url]);
  const proxy = client.addresses["listen"]!;
  assertStringIncludes(await helloAtLast(proxy), silent.peerId);

  const other = await exitBy("other", url);
  relay.fallSilent();
  const silentMs = clock.now();
  let page = "";
  await eventually("a way through the other exit", async () => {
    page = await hello(proxy);
    return isHello(page) && page.includes(other.peerId);
  });
  assert(clock.now() - silentMs < 15_000, `${clock.now() - silentMs} ms`);
  await eventually("sessions at the other exit only", async () => {
    const { sessions } = await process.admin("GET", "/v1/sessions") as { sessions: SessionView[] };
    return sessions.length > 0 && sessions.every((session) => JSON.stringify(session).includes(other.peerId));
  });
});

type SessionView = Readonly<Record<string, unknown>>;

Deno.test("a peer whose supernode falls silent gives the stream up in the time it was told, and comes back", async () => {
  await using supernode = new FakeSupernode({ pingEveryMs: 1_000, timeoutMs: 3_000 });
  await using relay = SilentRelay.start(targetOf(supernode.address.url));
  const address = { url: byWayOf(relay, supernode.address.url), supernodeId: supernode.address.supernodeId };
  // With a limit: what is dialled while the relay is silent is never answered.
  const dial = async (path: typeof CONTROL_PATH | typeof RELAY_PATH, headers: Record<string, string> = {}) => {
    using limit = deadline(clock, 5_000, "dial");
    return await dialWebsocket(supernodeEndpoint(address.url, path), { headers, random, signal: limit.signal });
  };
  await using peer = new PlayedPeer({
    role: "exit",
    supernode: address,
    door: {
      control: () => dial(CONTROL_PATH),
      link: (_, token) => dial(RELAY_PATH, { Authorization: `Bearer ${token}` }),
    },
    clock,
    random,
    primitives: hostPrimitives(),
  });
  await peer.start();
  await eventually("a stream and a link", () => peer.isOpen && peer.isLinked);
  relay.fallSilent();
  const silentMs = clock.now();
  await eventually("an end of the stream", () => !peer.isOpen);
  assert(clock.now() - silentMs <= 4_000, `${clock.now() - silentMs} ms`);
  relay.speakAgain();
  await eventually("another stream and link", () => peer.isOpen && peer.isLinked);
});
