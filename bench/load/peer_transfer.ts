/**
 * One large file from peer to peer, each end a process of its own:
 *
 *   peer-fetch ─▶ peer-near: a bridge ─▶ direct, or by peer-relay ─▶ peer-far: a host before a file server
 *
 * What they have to know of each other are the lines that they print.
 */

import { basename, dirname } from "@std/path";
import { openDoor } from "../../net/files/doors.ts";
import { serveFiles } from "../../net/files/file_server.ts";
import { hostPrimitives } from "../../net/host_primitives.ts";
import { PeerBridge } from "../../net/peers/bridge.ts";
import { DialledPeers } from "../../net/peers/dialled_peers.ts";
import { GuestDoors } from "../../net/peers/guest_doors.ts";
import { MeetingLinks } from "../../net/peers/meeting_links.ts";
import { MeetingRelay } from "../../net/peers/meeting_relay.ts";
import { PeerHost } from "../../net/peers/peer_host.ts";
import type { PeerParts } from "../../net/peers/peer_parts.ts";
import { openSealCrypto } from "../../net/seal_crypto.ts";
import { WebPort } from "../../net/web_port.ts";
import { type Clock, clockOf, delay } from "../../protocol/clock.ts";
import { generateSecrets, Identity } from "../../protocol/identity.ts";
import { silentLog } from "../../protocol/log.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import { makeCard, type MeetingPlace, type PeerCard } from "../../protocol/peers/card.ts";
import { GuestRules } from "../../protocol/peers/guest_rules.ts";
import { randomOf } from "../../protocol/random.ts";
import { parseTarget, writeAll } from "../../protocol/stream.ts";

type Print = (line: object) => void;

const LOOPBACK = { hostname: "127.0.0.1", port: 0 };
const CHUNK_BYTES = 256 * 1024;
const LOOK_MS = 20;

/** Serves meetings until the end. */
export async function servePeerRelay(print: Print, end: Promise<void>): Promise<void> {
  await using parts = await openParts();
  const { clock, identity: { peerId: relayId } } = parts;
  await using relay = new MeetingRelay({ ...parts, relayId });
  const port = new WebPort({
    ...{ listen: LOOPBACK, clock, log: silentLog },
    onWebsocket: (call) => relay.answer(call),
    fetch: () => new Response(null, { status: 404 }),
  });
  print({ ready: true, place: { relayId, url: `http://127.0.0.1:${port.address.port}/` } });
  await end;
  port.close();
  await port.closed();
}

/** Shares one file, and the folder it is in, at the relay if there is one and otherwise directly, until the end. */
export async function servePeerFar(
  { file, relay }: { readonly file: string; readonly relay?: MeetingPlace | undefined },
  print: Print,
  end: Promise<void>,
): Promise<void> {
  await using parts = await openParts();
  const { clock, identity } = parts;
  const self = { peerId: identity.peerId, label: "far", version: "0", capabilities: ["files"] };
  const folder = dirname(file);
  await using server = serveFiles({ folder, self, makesFolderPage: false, clock, random: parts.random });
  await using doors = new GuestDoors({ clock, log: silentLog, open: (guest) => openDoor(server, { guest }) });
  const { onGuest, onLeave, onStream } = doors;
  await using links = new MeetingLinks(parts);
  const rules = new GuestRules({ primitives: parts.primitives, isOpen: true });
  await using host = new PeerHost({ ...parts, rules, onGuest, onLeave, onStream });
  const addresses = relay ? [] : [`127.0.0.1:${host.listen(LOOPBACK).port}`];
  const relays = relay ? [relay] : [];
  const kept = host.meetAt(links, relays);
  while (!kept.every(({ isUp }) => isUp)) await delay(clock, LOOK_MS);
  print({
    ready: true,
    path: `download/${encodeURIComponent(basename(file))}`,
    card: makeCard(identity, { label: "far", addresses, relays, capabilities: ["files"], issuedAtMs: clock.wallNow() }),
  });
  await end;
}

/** A bridge to that peer, until the end. */
export async function servePeerNear(card: PeerCard, print: Print, end: Promise<void>): Promise<void> {
  await using parts = await openParts();
  await using links = new MeetingLinks(parts);
  await using network = new DialledPeers({ ...parts, links });
  await using connection = await network.connect(card);
  await using bridge = new PeerBridge({ network, card, clock: parts.clock, random: parts.random, log: silentLog });
  print({ ready: true, way: connection.way, url: bridge.url });
  await end;
}

export interface FetchResult {
  readonly bytes: number;
  /** From the request to the last byte. */
  readonly gbitPerS: number;
  readonly firstByteMs: number;
}

/** Fetches a URL as curl does, and throws away what comes. */
export async function runPeerFetch(url: string): Promise<FetchResult> {
  const clock = clockOf(globalThis);
  const { host, pathname } = new URL(url);
  const target = parseTarget(host, 80)!;
  using conn = await Deno.connect({ hostname: target.host, port: target.port });
  const startMs = clock.now();
  await writeAll(
    conn,
    new TextEncoder().encode(`GET ${pathname} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`),
  );
  const buffer = new Uint8Array(CHUNK_BYTES);
  let count = await conn.read(buffer);
  const firstByteMs = clock.now() - startMs;
  const head = new TextDecoder().decode(buffer.subarray(0, Math.min(count ?? 0, 4096)));
  const length = Number(/^content-length: (\d+)\r$/im.exec(head)?.[1]);
  if (!head.startsWith("HTTP/1.1 200") || !length) {
    throw new Error(`Cannot measure: the answer was ${head.slice(0, 80)}`);
  }
  let bytes = -(head.indexOf("\r\n\r\n") + 4);
  while (count !== null) {
    bytes += count;
    if (bytes >= length) break;
    count = await conn.read(buffer);
  }
  if (bytes !== length) throw new Error(`Cannot measure: it must be ${length} bytes, got ${bytes}`);
  return { bytes, gbitPerS: length * 8 / (clock.now() - startMs) / 1e6, firstByteMs };
}

async function openParts(): Promise<PeerParts & AsyncDisposable> {
  const [primitives, random, clock]: [ReturnType<typeof hostPrimitives>, ReturnType<typeof randomOf>, Clock] = [
    hostPrimitives(),
    randomOf(crypto),
    clockOf(globalThis),
  ];
  const suite = await openSealCrypto();
  const identity = new Identity(generateSecrets(random), primitives);
  return {
    ...{ identity, primitives, crypto: suite, clock, random, log: silentLog, metrics: noMetrics },
    [Symbol.asyncDispose]() {
      suite[Symbol.dispose]();
      return Promise.resolve();
    },
  };
}
