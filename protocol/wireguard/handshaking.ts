/**
 * Handshakes of one device: starts ours, answers theirs (whitepaper §5.4.2 to §5.4.7, §6.2 to §6.4).
 *
 * What arrives waits in a bounded queue and passes checks that cost more and more:
 *
 *   length → mac1 → (under load: mac2, else a cookie goes back; then the limit of its source) → key agreement
 *
 * Only what passes all of them touches a peer. Our own unanswered initiation and the session a peer asked for do not
 * know of each other, so both sides may ask at once and both have a session one round trip later.
 *
 * Not here: the bytes of the messages (`handshake.ts`, `cookie.ts`), when to try again (`timers.ts`).
 */

import type { Log } from "../log.ts";
import type { Random } from "../random.ts";
import { Slab } from "../slab.ts";
import {
  COOKIE_REPLY_TYPE,
  HANDSHAKE_QUEUE_LOAD,
  INITIATION_BYTES,
  INITIATION_INTERVAL_MS,
  INITIATION_TYPE,
  REKEY_TIMEOUT_MS,
  RESPONSE_TYPE,
  TRANSPORT_TYPE,
  UNDER_LOAD_MS,
} from "./constants.ts";
import { MacChecker, MacStamper } from "./cookie.ts";
import type { WireGuardCrypto } from "./crypto.ts";
import {
  createInitiation,
  createResponse,
  finishInitiation,
  openInitiation,
  readResponse,
  type SessionKeys,
} from "./handshake.ts";
import { HandshakeLimiter } from "./handshake_limiter.ts";
import { HandshakeQueue } from "./handshake_queue.ts";
import type { IndexTable } from "./index_table.ts";
import { Keypair } from "./keypair.ts";
import type { MachineCounters } from "./machine_counters.ts";
import { type MessageType, messageType, receiverOf } from "./messages.ts";
import type { Outlet } from "./outlet.ts";
import type { Peer } from "./peer.ts";
import { type PeerTable, setEndpoint } from "./peer_table.ts";
import type { Endpoint, Key } from "./settings.ts";
import type { Timers } from "./timers.ts";
import { compareTimestamps, tai64n } from "./timestamp.ts";

/** Timestamps are whitened to 2^24 ns, so that a later one has to be at least this much later. */
const TIMESTAMP_STEP_MS = 17;

/** Our own keys. */
export interface LocalIdentity {
  readonly privateKey: Key;
  readonly publicKey: Key;
}

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
  readonly #limiter: HandshakeLimiter;
  /** Where messages are laid to be sent. */
  readonly #outgoing = new Slab(INITIATION_BYTES);
  #local: LocalIdentity | undefined;
  #checker: MacChecker | undefined;
  #underLoadUntilMs = -Infinity;

  constructor(parts: HandshakingParts) {
    this.#parts = parts;
    this.#limiter = new HandshakeLimiter(parts.random);
  }

  /** Who we are from now on; undefined for nobody, who neither asks nor answers. */
  identify(local: LocalIdentity | undefined): void {
    this.#local = local;
    this.#checker = local && new MacChecker(this.#parts, local.publicKey);
  }

  /**
   * Asks a peer for a session, unless one was asked for or given in the last five seconds. A "retry" keeps counting the
   * time after which we give up, and is put off when it comes too soon.
   */
  initiate(peer: Peer, kind: "first" | "retry"): void {
    const { timers } = this.#parts;
    if (kind === "first") peer.wantedSinceMs = timers.nowMs;
    if (peer.isRemoved || !this.#local || !peer.endpoint) return;
    if (timers.nowMs - peer.lastHandshakeSentMs < REKEY_TIMEOUT_MS) {
      if (kind === "retry") timers.retryAfter(peer, peer.lastHandshakeSentMs);
      return;
    }
    this.#sendInitiation(peer, this.#local);
  }

  offer(slab: Slab, offset: number, length: number, from: Endpoint): void {
    const { counters } = this.#parts;
    const type = messageType(slab.view, offset, length);
    if (type === 0 || type === TRANSPORT_TYPE) counters.malformed++;
    else if (!this.#queue.push(slab, offset, length, from)) counters.queueFull++;
  }

  pump(budget: number): boolean {
    for (let left = budget; left > 0 && this.#queue.size > 0; left--) {
      this.#look();
      this.#queue.pop();
    }
    return this.#queue.size > 0;
  }

  /** Both sides have the session. */
  completed(peer: Peer): void {
    const { timers, wallNow } = this.#parts;
    timers.handshakeCompleted(peer);
    peer.askedAtLastMinute = false;
    peer.lastHandshakeWallMs = wallNow();
  }

  #look(): void {
    const { slab, offset, length, source } = this.#queue;
    const type = messageType(slab.view, offset, length);
    if (type === COOKIE_REPLY_TYPE) return this.#takeCookie(offset, length);
    if (!this.#local || !this.#passes(type as MessageType)) return;
    const packet = slab.bytes.subarray(offset, offset + length);
    const isGood = type === INITIATION_TYPE
      ? this.#answer(this.#local, packet, source)
      : this.#takeResponse(this.#local, packet, source);
    if (!isGood) this.#parts.counters.refusedHandshakes++;
  }
}
