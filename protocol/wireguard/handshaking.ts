/**
 * Handshakes of one device: starts ours, answers theirs (whitepaper §5.4.2 to §5.4.7, §6.2 to §6.4).
 *
 * What arrives waits in a bounded queue and passes checks that cost more and more:
 *
 *   length → mac1 → (under load: mac2, else a cookie goes back; then the limit of its source) → key agreement
 *
 * Only what passes all of them touches a peer. Our own unanswered initiation stays until a session is proven, whoever
 * asked for it, so both sides may ask at once and both have a session one round trip later.
 *
 * Not here: the bytes of the messages (`handshake.ts`, `cookie.ts`), when to try again (`timers.ts`).
 */

import type { Log } from "../log.ts";
import type { Bytes } from "../primitives.ts";
import type { Random } from "../random.ts";
import { Slab } from "../slab.ts";
import {
  COOKIE_REPLY_TYPE,
  INITIATION_BYTES,
  INITIATION_INTERVAL_MS,
  INITIATION_TYPE,
  REKEY_TIMEOUT_MS,
  RESPONSE_BYTES,
  type RESPONSE_TYPE,
  TRANSPORT_TYPE,
} from "./constants.ts";
import { MacStamper, type Received } from "./cookie.ts";
import type { WireGuardCrypto } from "./crypto.ts";
import {
  createInitiation,
  createResponse,
  finishInitiation,
  type LocalStatic,
  openInitiation,
  readResponse,
  type SessionKeys,
} from "./handshake.ts";
import { HandshakeGate } from "./handshake_gate.ts";
import { HandshakeQueue, type Sender } from "./handshake_queue.ts";
import type { IndexTable } from "./index_table.ts";
import { Keypair } from "./keypair.ts";
import type { MachineCounters } from "./machine_counters.ts";
import { messageType, receiverOf } from "./messages.ts";
import type { Outlet } from "./outlet.ts";
import { nameOf, type Peer } from "./peer.ts";
import type { PeerTable } from "./peer_table.ts";
import type { Endpoint } from "./settings.ts";
import type { Timers } from "./timers.ts";
import { compareTimestamps, tai64n } from "./timestamp.ts";

/** Timestamps are whitened to 2^24 ns, so that a later one has to be at least this much later. */
const TIMESTAMP_STEP_MS = 17;

/** What the parts of a machine share. */
export interface HandshakingParts {
  readonly crypto: WireGuardCrypto;
  readonly random: Random;
  readonly outlet: Outlet;
  readonly log: Log;
  readonly timers: Timers;
  readonly indices: IndexTable;
  readonly peers: PeerTable;
  readonly counters: MachineCounters;
  wallNow(): number;
  /** A session that we asked for is there. */
  established(peer: Peer): void;
}

export class Handshaking {
  readonly #parts: HandshakingParts;
  readonly #queue = new HandshakeQueue();
  /** Where messages are laid to be sent. */
  readonly #outgoing = new Slab(INITIATION_BYTES);
  #local: LocalStatic | undefined;
  #gate: HandshakeGate | undefined;

  constructor(parts: HandshakingParts) {
    this.#parts = parts;
  }

  /** Who we are from now on; undefined for nobody, who neither asks nor answers. */
  identify(local: LocalStatic | undefined): void {
    this.#local = local;
    this.#gate?.[Symbol.dispose]();
    this.#gate = local && new HandshakeGate(this.#parts, local.publicKey);
  }

  /**
   * Asks a peer for a session: now, or when five seconds have passed since one was last asked for or given. A "retry"
   * keeps counting the time after which we give up.
   */
  initiate(peer: Peer, kind: "first" | "retry"): void {
    const { timers } = this.#parts;
    if (kind === "first") peer.wantedSinceMs = timers.nowMs;
    if (!this.#local || !peer.endpoint || peer.isRemoved) return;
    // Added as in `retryAfter`: rounded another way, a retry that is due could come out as too early.
    if (timers.nowMs >= peer.lastHandshakeSentMs + REKEY_TIMEOUT_MS) this.#sendInitiation(peer, this.#local);
    else if (peer.retransmitAtMs === Infinity) timers.retryAfter(peer, peer.lastHandshakeSentMs);
  }

  offer(slab: Slab, offset: number, length: number, sender: Sender): void {
    const { counters } = this.#parts;
    const type = messageType(slab.view, offset, length);
    if (type === 0 || type === TRANSPORT_TYPE) counters.malformed++;
    else if (!this.#queue.push(slab, offset, length, sender)) counters.queueFull++;
  }

  pump(budget: number): boolean {
    for (let left = budget; left > 0 && this.#queue.size > 0; left--) {
      this.#look();
      this.#queue.pop();
    }
    return this.#queue.size > 0;
  }

  /** Both sides have the session; an answer to anything older would only take the place of it. */
  completed(peer: Peer): void {
    this.#parts.log.debug("There is a session with a peer", { peer: nameOf(peer) });
    this.#parts.timers.handshakeCompleted(peer);
    peer.forgetInitiation(this.#parts.indices);
    peer.askedAtLastMinute = false;
    peer.lastHandshakeWallMs = this.#parts.wallNow();
  }

  #look(): void {
    const { slab, offset, length, source } = this.#queue;
    const { counters, timers } = this.#parts;
    const packet = slab.from(offset);
    const type = messageType(slab.view, offset, length);
    const to = type === INITIATION_TYPE ? 0 : receiverOf(slab.view, offset, type as typeof RESPONSE_TYPE) | 0;
    if (type === COOKIE_REPLY_TYPE) return this.#takeCookie(to, packet.subarray(0, length));
    if (!this.#local || !this.#passes({ packet, length, from: source, nowMs: timers.nowMs })) return;
    const isGood = type === INITIATION_TYPE
      ? this.#answer(this.#local, packet, source)
      : this.#takeResponse(this.#local, to, packet, source);
    if (!isGood) counters.refusedHandshakes++;
  }

  #passes(received: Received): boolean {
    const { counters, outlet } = this.#parts;
    switch (this.#gate!.judge(received, this.#queue.size)) {
      case "pass":
        return true;
      case "wrong_mac":
        counters.wrongMac++;
        return false;
      case "limited":
        counters.limited++;
        return false;
      case "needs_cookie": {
        const reply = this.#gate!.checker.cookieReply(received);
        this.#outgoing.bytes.set(reply);
        if (outlet.send(this.#outgoing, 0, reply.length, received.from)) counters.cookieRepliesSent++;
        return false;
      }
    }
  }

  #sendInitiation(peer: Peer, local: LocalStatic): void {
    const { counters, indices, timers, wallNow } = this.#parts;
    // Set even if nothing comes of it: a peer with a key that agrees on nothing is tried as seldom.
    peer.lastHandshakeSentMs = timers.nowMs;
    this.#agree(peer, local);
    const senderIndex = indices.unused();
    const timestampMs = Math.max(wallNow(), peer.lastTimestampMs + TIMESTAMP_STEP_MS);
    const initiation = createInitiation(this.#parts, local, peer, {
      senderIndex: senderIndex >>> 0,
      timestamp: tai64n(timestampMs),
    });
    if (!initiation) return;
    peer.lastTimestampMs = timestampMs;
    peer.forgetInitiation(indices);
    peer.pending = { localIndex: senderIndex, state: initiation.state };
    indices.addInitiation(senderIndex, peer);
    if (this.#send(peer, initiation.packet)) counters.initiationsSent++;
    timers.initiationSent(peer);
  }

  /** Answers an initiation; false if it is false, old, too soon or from nobody we know. */
  #answer(local: LocalStatic, packet: Bytes, source: Endpoint): boolean {
    const { counters, crypto: suite, indices, peers, timers } = this.#parts;
    using opened = openInitiation(suite, local, packet);
    const peer = opened && peers.find(opened.remotePublicKey);
    if (!peer) return false;
    this.#agree(peer, local);
    const initiation = finishInitiation(opened, peer);
    if (!initiation || !isNew(peer, initiation.timestamp, timers.nowMs)) return false;
    const localIndex = indices.unused();
    const response = createResponse(this.#parts, initiation.state, peer, localIndex >>> 0);
    if (!response) return false;
    peer.newestTimestamp = initiation.timestamp;
    peer.lastInitiationReceivedMs = timers.nowMs;
    counters.initiationsReceived++;
    this.#heard(peer, source, INITIATION_BYTES);
    this.#addSession(peer, response.keys, {
      localIndex,
      remoteIndex: initiation.senderIndex | 0,
      isInitiator: false,
    });
    if (this.#send(peer, response.packet)) counters.responsesSent++;
    return true;
  }

  /** Takes the answer to our initiation; false if it is none. */
  #takeResponse(local: LocalStatic, index: number, packet: Bytes, source: Endpoint): boolean {
    const { counters, crypto: suite, indices } = this.#parts;
    const peer = indices.initiation(index);
    if (!peer?.pending) return false;
    const response = readResponse(suite, local, peer, { state: peer.pending.state, packet });
    if (!response) return false;
    counters.responsesReceived++;
    this.#heard(peer, source, RESPONSE_BYTES);
    // The index of the initiation goes on to mean the session.
    peer.forgetInitiation(indices);
    this.#addSession(peer, response.keys, {
      localIndex: index,
      remoteIndex: response.senderIndex | 0,
      isInitiator: true,
    });
    this.completed(peer);
    this.#parts.established(peer);
    return true;
  }

  #takeCookie(index: number, packet: Bytes): void {
    const { counters, indices, timers } = this.#parts;
    const peer = indices.initiation(index) ?? indices.session(index)?.peer;
    if (peer?.stamper?.takeReply(packet, timers.nowMs)) counters.cookieRepliesReceived++;
    else counters.refusedHandshakes++;
  }

  /** Makes what our key and the peer's agree on, once. */
  #agree(peer: Peer, local: LocalStatic): void {
    peer.shared ??= this.#parts.crypto.x25519(local.privateKey, peer.publicKey);
  }

  #heard(peer: Peer, source: Endpoint, bytes: number): void {
    if (!peer.keepsEndpoint || !peer.endpoint) peer.endpoint = source;
    peer.receivedBytes += bytes;
    this.#parts.timers.authenticatedReceived(peer);
  }

  #addSession(
    peer: Peer,
    keys: SessionKeys,
    session: { readonly localIndex: number; readonly remoteIndex: number; readonly isInitiator: boolean },
  ): void {
    const { crypto: suite, indices, timers } = this.#parts;
    const send = suite.aead(keys.send);
    const receive = suite.aead(keys.receive);
    keys.send.fill(0);
    keys.receive.fill(0);
    peer.addSession(new Keypair({ peer, ...session, createdMs: timers.nowMs, send, receive }), indices);
    timers.zeroLater(peer);
  }

  /** Stamps and sends one of our messages to a peer. */
  #send(peer: Peer, packet: Bytes): boolean {
    const { crypto: suite, outlet, timers } = this.#parts;
    peer.stamper ??= new MacStamper(suite, peer.publicKey);
    peer.stamper.stamp(packet, timers.nowMs);
    peer.lastHandshakeSentMs = timers.nowMs;
    timers.authenticatedSent(peer);
    this.#outgoing.bytes.set(packet);
    const isGone = outlet.send(this.#outgoing, 0, packet.length, peer.endpoint!);
    if (isGone) peer.sentBytes += packet.length;
    return isGone;
  }
}

/** Whether an initiation is later than all before it, and not one of a flood. */
function isNew(peer: Peer, timestamp: Uint8Array, nowMs: number): boolean {
  if (peer.newestTimestamp && compareTimestamps(timestamp, peer.newestTimestamp) <= 0) return false;
  return nowMs - peer.lastInitiationReceivedMs >= INITIATION_INTERVAL_MS;
}
