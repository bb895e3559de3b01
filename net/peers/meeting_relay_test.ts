import { assert, assertEquals, assertRejects } from "@std/assert";
import { encodeCertificate, issueCertificate } from "../../protocol/certificate.ts";
import { CulvertError, DialError } from "../../protocol/errors.ts";
import { type Metrics, noMetrics } from "../../protocol/metrics.ts";
import { encodeMeetingHeader } from "../../protocol/peers/meeting.ts";
import { writeAll } from "../../protocol/stream.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { Meddler } from "../../testing/meddler.ts";
import { eventually, within } from "../../testing/waiting.ts";
import { readReply } from "../read_frame.ts";
import {
  greetingOf,
  newIdentity,
  partsOf,
  readText,
  startGuest,
  startHost,
  startRelay,
  type WorldRelay,
} from "./fixtures/peer_world.ts";
import { MeetingLinks } from "./meeting_links.ts";
import type { PeerConnection } from "./peer_connection.ts";

const forever = new AbortController().signal;

async function failureOf(deed: Promise<unknown>): Promise<string> {
  return (await assertRejects(() => deed, DialError)).code;
}

/** The relay as somebody between it and its peers sees it: what is masked on the wire is not masked for him. */
function tapped(relay: WorldRelay): { readonly meddler: Meddler; readonly relay: WorldRelay } {
  const meddler = Meddler.start({ host: "127.0.0.1", port: Number(new URL(relay.place.url).port) });
  const place = { ...relay.place, url: `http://127.0.0.1:${meddler.address.port}/` };
  return { meddler, relay: { ...relay, place } };
}

Deno.test("a relay sees nothing of what two peers say to each other, nor by what one may come in", async () => {
  const words = "nobody in between may read this";
  await using relay = startRelay();
  const { meddler, relay: seen } = tapped(relay);
  await using _meddler = meddler;
  await using host = startHost({ listens: false, relays: [seen], greeting: words });
  await host.met();
  await using guest = startGuest();
  const invitation = "SECRETSECRETSECRETSECA";
  await using connection = await guest.network.connect(host.card(), { invitation });
  assertEquals(await greetingOf(connection), words);
  assert(meddler.seen.has("/v1/meet/host") && meddler.seen.has("/v1/meet/guest"), "all went by there");
  for (const secret of [words, invitation, "sealingKeySignature", "scope"]) assert(!meddler.seen.has(secret), secret);
});

Deno.test("what is changed on its way by a relay is noticed, and never read", async () => {
  await using relay = startRelay();
  const { meddler, relay: seen } = tapped(relay);
  await using _meddler = meddler;
  await using host = startHost({ listens: false, relays: [seen], greeting: "x".repeat(4096) });
  await host.met();
  await using guest = startGuest();
  await using connection = await guest.network.connect(host.card());
  const stream = await connection.open();
  meddler.meddle = (message) => {
    if (message.length > 2048) message[message.length - 20]! ^= 1;
    return [message];
  };
  await stream.closeWrite();
  await assertRejects(() => within("its end", readText(stream)), CulvertError);
  await within("its end", connection.ended);
});

Deno.test("a program that fetches something in passing is not taken for the one of the same peer that serves", async () => {
  await using relay = startRelay();
  await using host = startHost({ listens: false, relays: [relay] });
  await host.met();
  await using other = startHost({ listens: false, relays: [relay] });
  await other.met();
  // The same identity as the host, and the newer link to the relay.
  await using passing = startGuest({ identity: host.identity });
  await using toOther = await passing.network.connect(other.card());
  await using guest = startGuest();
  await using toHost = await guest.network.connect(host.card());
  assertEquals([await greetingOf(toOther), await greetingOf(toHost)], ["hello", "hello"]);
});

Deno.test("who has no link to the relay cannot be reached there, nor can who has only asked for others", async () => {
  await using relay = startRelay();
  await using host = startHost({ listens: false, relays: [relay] });
  await host.met();
  await using asker = startGuest();
  await using _asking = await asker.network.connect(host.card());
  await using guest = startGuest();
  for (const { peerId } of [asker.identity, newIdentity()]) {
    using stream = await guest.links.open(relay.place, forever);
    await writeAll(stream, encodeMeetingHeader({ kind: "to", peerId })!);
    assertEquals(await failureOf(readReply(stream, "the peer")), "unresolved");
  }
});

Deno.test("a stream that does not say to whom it should go is not kept", async () => {
  const clock = new FakeClock(Date.now());
  await using relay = startRelay({ clock });
  await using guest = startGuest();
  using slow = await guest.links.open(relay.place, forever);
  await writeAll(slow, Uint8Array.of(1));
  using wrong = await guest.links.open(relay.place, forever);
  await writeAll(wrong, encodeMeetingHeader({ kind: "from", peerId: guest.identity.peerId })!);
  assertEquals(await failureOf(readReply(wrong, "the peer")), "unsupported");
  const ended = slow.read(new Uint8Array(1)).then(() => false, () => true);
  await clock.advanceAsync(10_000);
  assert(await within("its end", ended));
});

Deno.test("a relay carries so many connections of one peer, and frees their places when they end", async () => {
  await using relay = startRelay({ limits: { maxStreamsPerPeer: 1 } });
  const hosts = [1, 2].map(() => startHost({ listens: false, relays: [relay] }));
  for (const host of hosts) await host.met();
  await using guest = startGuest({ idleMs: 1 });
  const first: PeerConnection = await guest.network.connect(hosts[0]!.card());
  assertEquals(await failureOf(guest.network.connect(hosts[1]!.card())), "busy");
  first.close();
  await eventually("its place is free", () => relay.relay.streamCount === 0);
  await using second = await guest.network.connect(hosts[1]!.card());
  assertEquals(await greetingOf(second), "hello");
  for (const host of hosts) await host[Symbol.asyncDispose]();
});

Deno.test("links are limited, for each peer, each address and altogether, and who is blocked has none", async () => {
  const rows: [what: string, limits: Record<string, unknown>, reason: string][] = [
    ["altogether", { maxLinks: 1 }, "links"],
    ["of an address", { maxLinksPerAddress: 1 }, "links_of_address"],
    ["requests of an address", { addressRequests: { perSecond: 0.001, burst: 1 } }, "requests_of_address"],
  ];
  for (const [what, limits, reason] of rows) {
    const refusals = new Map<string, number>();
    const metrics = countingMetrics(refusals);
    await using relay = startRelay({ limits, metrics });
    await using host = startHost({ listens: false, relays: [relay] });
    await host.met();
    await using guest = startGuest();
    await assertRejects(() => guest.links.open(relay.place, forever), DialError);
    assertEquals([...refusals.keys()], [reason], what);
  }
  const blocked = newIdentity();
  await using relay = startRelay({ limits: { isBlocked: (peerId) => peerId === blocked.peerId } });
  await using guest = startGuest({ identity: blocked });
  assertEquals(await failureOf(guest.links.open(relay.place, forever)), "unauthorized");
});

Deno.test("in a closed network those who meet need its certificate for that", async () => {
  const parts = partsOf(newIdentity());
  const networkKey = parts.random.fill(new Uint8Array(32));
  const network = { networkPublicKey: parts.primitives.ed25519PublicKey(networkKey) };
  await using relay = startRelay({ network });
  const certificate = (roles: string[]) => {
    const times = { notBeforeMs: 0, notAfterMs: parts.clock.wallNow() + 60_000 };
    const { peerId } = parts.identity;
    return encodeCertificate(issueCertificate({ peerId, roles, ...times }, { networkKey, ...parts }));
  };
  for (const [roles, isFine] of [[["peer"], true], [["client"], false], [undefined, false]] as const) {
    await using links = new MeetingLinks({ ...parts, certificate: () => roles && certificate([...roles]) });
    const opening = links.open(relay.place, forever).then((stream) => (stream.close(), true), () => false);
    assertEquals(await opening, isFine, String(roles));
  }
});

Deno.test("what one peer has others carry is held to its rate, and is whole", async () => {
  const bytesPerSecondPerPeer = 2 * 1024 * 1024;
  await using relay = startRelay({ limits: { bytesPerSecondPerPeer } });
  const text = "x".repeat(600 * 1024);
  await using host = startHost({ listens: false, relays: [relay], greeting: text });
  await host.met();
  await using guest = startGuest();
  await using connection = await guest.network.connect(host.card());
  const startMs = performance.now();
  assertEquals(await greetingOf(connection), text);
  const tookMs = performance.now() - startMs;
  // What may pass at once after a pause is a tenth of a second's worth.
  assert(tookMs > 1000 * (text.length / bytesPerSecondPerPeer - 0.15), `${tookMs} ms`);
});

Deno.test("what readers that have stopped make a relay hold is bounded", async () => {
  await using relay = startRelay();
  const parts = partsOf(newIdentity());
  await using links = new MeetingLinks(parts);
  let sentBytes = 0;
  links.onStream = async (stream) => {
    const piece = new Uint8Array(64 * 1024);
    // It answers anything but what a host would, and as much as goes.
    while (await stream.write(piece).then((count) => (sentBytes += count) > 0, () => false));
  };
  const kept = links.keep(relay.place);
  await eventually("the relay knows the host", () => kept.isUp);
  await using guest = startGuest();
  const streams = await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map(() => guest.links.open(relay.place, forever)));
  for (const stream of streams) {
    await writeAll(stream, encodeMeetingHeader({ kind: "to", peerId: parts.identity.peerId })!);
  }
  let [before, calmLooks] = [0, 0];
  await eventually("nothing moves any more", () => {
    calmLooks = sentBytes > 0 && sentBytes === before ? calmLooks + 1 : 0;
    before = sentBytes;
    return calmLooks >= 10;
  });
  const { bufferedBytes } = relay.relay;
  assert(bufferedBytes <= streams.length * 512 * 1024, `${bufferedBytes} bytes`);
  for (const stream of streams) stream.close();
  await links[Symbol.asyncDispose]();
});

Deno.test("a relay that shuts down lets what it carries come to its end", async () => {
  await using relay = startRelay();
  await using host = startHost({ listens: false, relays: [relay] });
  await host.met();
  await using guest = startGuest();
  const connection = await guest.network.connect(host.card());
  const stream = await connection.open();
  const shutdown = relay.relay.shutdown(forever);
  await stream.closeWrite();
  assertEquals(await readText(stream), "hello");
  stream.close();
  await guest.network[Symbol.asyncDispose]();
  await within("the relay's end", shutdown);
});

/** Why links were refused, and how often. */
function countingMetrics(refusals: Map<string, number>): Metrics {
  return {
    ...noMetrics,
    counter: (name) => ({
      add(count = 1, labels = {}) {
        const { reason } = labels;
        if (name === "meeting_links_refused_total" && reason) refusals.set(reason, (refusals.get(reason) ?? 0) + count);
      },
    }),
  };
}
