/**
 * Peers and relays that do not keep to the protocol, and what becomes of those who deal with them: nothing.
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { decodeBase64 } from "../../protocol/encoding.ts";
import { CulvertError } from "../../protocol/errors.ts";
import type { PeerCard } from "../../protocol/peers/card.ts";
import { encodeKnock, encodeKnockAnswer, peerPrologue } from "../../protocol/peers/knock.ts";
import { encodeMeetingHeader } from "../../protocol/peers/meeting.ts";
import { parseTarget, type Stream, writeAll } from "../../protocol/stream.ts";
import { encodeFrame } from "../../protocol/tunnel_frame.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { eventually, within } from "../../testing/waiting.ts";
import { BufferPool } from "../buffer_pool.ts";
import { memoryStreamPair } from "../memory.ts";
import { MuxConnection } from "../mux.ts";
import { readReply } from "../read_frame.ts";
import { type SealedStream, sealStream } from "../sealed_stream.ts";
import { SlabPool } from "../slab_pool.ts";
import { StreamLink } from "../stream_link.ts";
import {
  greetingOf,
  newIdentity,
  partsOf,
  readText,
  startGuest,
  startHost,
  startRelay,
  type WorldHost,
} from "./fixtures/peer_world.ts";
import { type KeptLink, MeetingLinks } from "./meeting_links.ts";
import { GUEST_MUX } from "./peer_parts.ts";
import { type HeardKnock, SealedKnocks } from "./sealed_knock.ts";

const forever = new AbortController().signal;
const encode = (text: string) => new TextEncoder().encode(text);

/** Under the seal of a host, as somebody that it does not know. */
async function sealTo(host: WorldHost, identity = newIdentity()): Promise<SealedStream> {
  const { host: hostname, port } = parseTarget(host.address!)!;
  const parts = partsOf(identity);
  return await sealStream(await Deno.connect({ hostname, port }), {
    ...{ ...parts, slabs: new SlabPool(), role: "initiator", prologue: peerPrologue(host.identity.peerId) },
    local: { privateKey: identity.secrets().wireguardKey, publicKey: identity.wireguardPublicKey },
    remote: decodeBase64(host.card().sealingKey)!,
  });
}

Deno.test("a guest that says nonsense under the seal is let go of, and others come in as before", async () => {
  const identity = newIdentity();
  const words: [what: string, bytes: Uint8Array][] = [
    ["nothing of the kind", encode("GET / HTTP/1.1\r\n\r\n")],
    ["a knock of another version", Uint8Array.of(2, ...encodeKnock(identity).subarray(1))],
    ["one that is too long", Uint8Array.of(1, 1, 0xff, 0xff)],
    ["one that is no JSON", encodeFrame(1, encode("{"))],
    ["one without keys", encodeFrame(1, encode("{}"))],
    ["one with a key that is none", encodeFrame(1, encode(`{"publicKey":"x","sealingKeySignature":"y"}`))],
    ["an answer", encodeKnockAnswer({ ok: false, reason: "denied" })],
  ];
  await using host = startHost();
  for (const [what, bytes] of words) {
    const sealed = await sealTo(host, identity);
    await writeAll(sealed, bytes);
    assertEquals(await within(what, readText(sealed).catch(() => "")), "", what);
    sealed.abort();
  }
  assertEquals(host.host.guests, []);
  await using guest = startGuest();
  await using connection = await guest.network.connect(host.card());
  assertEquals(await greetingOf(connection), "hello");
});

Deno.test("a guest that stops in the middle of its knock is let go of when its time is over", async () => {
  const clock = new FakeClock(Date.now());
  await using host = startHost({ clock });
  const identity = newIdentity();
  const sealed = await sealTo(host, identity);
  await writeAll(sealed, encodeKnock(identity).subarray(0, 50));
  let hasEnded = false;
  readText(sealed).catch(() => {}).finally(() => hasEnded = true);
  await eventually("it is gone", async () => {
    await clock.advanceAsync(1_000);
    return hasEnded;
  });
  sealed.abort();
});

Deno.test("what a relay brings that is no guest is turned away", async () => {
  await using host = startHost({ listens: false });
  const rows: [what: string, bytes: Uint8Array][] = [
    ["nonsense", encode("GET / HTTP/1.1\r\n\r\n")],
    ["a stream that is to go on", encodeMeetingHeader({ kind: "to", peerId: host.identity.peerId })!],
  ];
  const links = { keep: () => ({}) as KeptLink } as unknown as MeetingLinks;
  host.host.meetAt(links, []);
  for (const [what, bytes] of rows) {
    const [near, far] = memoryStreamPair();
    links.onStream(far as never, { relayId: newIdentity().peerId, url: "http://relay.example/" });
    await writeAll(near, bytes);
    const answer = await within(what, readText(near).catch(() => ""));
    assert(answer.length > 0 && answer.charCodeAt(1) !== 0, what); // a tunnel reply that is no welcome
  }
  assertEquals(host.host.guests, []);
});

/** A host that answers a knock as it likes. */
async function answeringHost(answer: (heard: HeardKnock) => Promise<void>, identity = newIdentity()) {
  const knocks = new SealedKnocks(partsOf(identity));
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    for await (const conn of listener) {
      const heard = await knocks.hear(conn, { signal: forever }).catch(() => undefined);
      if (heard && "knocker" in heard) await answer(heard).catch(() => {});
    }
  })();
  await using known = startHost({ identity });
  return {
    card: known.card({ addresses: [`127.0.0.1:${listener.addr.port}`] }),
    identity,
    async [Symbol.asyncDispose]() {
      listener.close();
      await serving;
    },
  };
}

Deno.test("a host that answers nonsense lets nobody in, and is given up", async () => {
  const answers: [what: string, bytes: Uint8Array][] = [
    ["nothing of the kind", encode("HTTP/1.1 200 OK\r\n\r\n")],
    ["a welcome that says nothing", encodeFrame(2, encode("{}"))],
    ["a welcome with a card that is none", encodeFrame(2, encode(`{"scope":"","mayUpload":true,"card":{}}`))],
    ["a reason that nobody knows", encodeFrame(3, encode(`{"reason":"mood"}`))],
    ["a knock", encodeKnock(newIdentity())],
  ];
  for (const [what, bytes] of answers) {
    const ended: Promise<unknown>[] = [];
    await using host = await answeringHost(async ({ sealed }) => {
      await writeAll(sealed, bytes);
      ended.push(readText(sealed).catch(() => {}).finally(() => sealed.abort()));
    });
    await using guest = startGuest();
    await assertRejects(() => within(what, guest.network.connect(host.card)), CulvertError);
    await within("the guest has gone", Promise.all(ended));
  }
});

Deno.test("of the cards that a host tells, only a newer one of its own is believed", async () => {
  const identity = newIdentity();
  await using self = startHost({ identity });
  await using other = startHost();
  const newer = self.card({ issuedAtMs: 5_000 });
  const rows: [what: string, card: PeerCard | undefined, isBelieved: boolean][] = [
    ["a newer one", newer, true],
    ["the same", undefined, false],
    ["one as old, in other words", self.card(), true],
    ["an older one", self.card({ issuedAtMs: 1 }), false],
    ["another's", other.card({ issuedAtMs: 5_000 }), false],
    ["one that was changed", { ...newer, addresses: ["192.0.2.1:1"] }, false],
  ];
  for (const [what, other, isBelieved] of rows) {
    await using host = await answeringHost(async ({ sealed }) => {
      const card = other ?? host.card;
      await writeAll(sealed, encodeKnockAnswer({ ok: true, welcome: { scope: "", mayUpload: false, card } }));
      await readText(sealed).catch(() => {});
      sealed.abort();
    }, identity);
    const told: PeerCard[] = [];
    await using guest = startGuest({ onCard: (each) => told.push(each) });
    const connection = await within(what, guest.network.connect(host.card));
    connection.close();
    assertEquals(told, isBelieved ? [other] : [], what);
  }
});

Deno.test("a host that opens streams to its guest is not heard", async () => {
  let refused: Promise<unknown> | undefined;
  await using host = await answeringHost(async ({ sealed }) => {
    await writeAll(sealed, encodeKnockAnswer({ ok: true, welcome: { scope: "", mayUpload: false } }));
    const { clock } = partsOf(newIdentity());
    const mux = new MuxConnection(new StreamLink(sealed, new BufferPool()), clock, { ...GUEST_MUX, role: "server" });
    mux.start();
    const stream: Stream = mux.open();
    await writeAll(stream, encode("GET /api/files HTTP/1.1\r\n\r\n"));
    refused = readText(stream).catch(() => "");
    await mux.ended;
  });
  await using guest = startGuest();
  await using _connection = await guest.network.connect(host.card);
  await eventually("it has asked", () => refused !== undefined);
  assertEquals(await within("no answer", refused!), "");
});

Deno.test("a relay that answers in the host's place is not taken for it", async () => {
  // It has the guest's link and says that the way is open, but it has not the key.
  await using relay = startRelay();
  const eve = newIdentity();
  await using accomplice = startHost({ listens: false, relays: [relay], identity: eve });
  await accomplice.met();
  await using host = startHost({ listens: false });
  // Both cards name the same relay; the relay joins the guest to the accomplice, which has only its own key.
  const card = { ...host.card({ relays: [relay.place] }) };
  const knocks = new SealedKnocks(partsOf(newIdentity()));
  await using links = new MeetingLinks(partsOf(newIdentity()));
  const stream = await links.open(relay.place, forever);
  const send = encodeMeetingHeader({ kind: "to", peerId: eve.peerId })!;
  const preface = { send, receive: async (each: Stream) => void await readReply(each, "the peer") };
  await assertRejects(() => within("a refusal", knocks.knock(stream, { host: card, preface, signal: forever })));
  assertEquals(accomplice.host.guests, []);
});
