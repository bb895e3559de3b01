/**
 * Everything the machine knows of one peer. What only a peer that speaks needs (cookies, sessions, packets that wait) is
 * made when it speaks, so that thousands of silent ones cost little.
 *
 * Sessions (whitepaper §6, the kernel's rules): `current` is what we send with. A session we asked for becomes current
 * at once, because its response proves that the peer has it. One the peer asked for is `next` until the first datagram
 * on it proves the same. `previous` is kept for what is still under way. When both sides ask at once, two sessions come
 * within a round trip, while the peer still sends on one before both: `older` and `oldest` are for that. What is too old
 * to receive on is not kept there, so with one side asking they stay empty.
 */

import type { Bytes } from "../primitives.ts";
import { REJECT_AFTER_TIME_MS } from "./constants.ts";
import type { MacStamper } from "./cookie.ts";
import type { InitiatorState, RemoteStatic } from "./handshake.ts";
import type { IndexTable } from "./index_table.ts";
import type { Keypair } from "./keypair.ts";
import { keyToBase64 } from "./keys.ts";
import type { Endpoint, Key } from "./settings.ts";
import type { StagedPackets } from "./staging.ts";

/** An initiation of ours that was not answered yet. */
export interface PendingInitiation {
  readonly localIndex: number;
  readonly state: InitiatorState;
}

export class Peer implements RemoteStatic {
  readonly publicKey: Key;
  /** 32 zero bytes when there is none. */
  presharedKey: Key;
  /** What our private key and the peer's public one agree on; made when first needed, wiped when our key changes. */
  shared: Key | undefined = undefined;
  /** Where to send: what the user said, then where authenticated datagrams came from last. */
  endpoint: Endpoint | undefined = undefined;
  /** Only what the user said. */
  keepsEndpoint = false;
  persistentKeepaliveMs = 0;
  isRemoved = false;

  oldest: Keypair | undefined = undefined;
  older: Keypair | undefined = undefined;
  previous: Keypair | undefined = undefined;
  current: Keypair | undefined = undefined;
  next: Keypair | undefined = undefined;
  pending: PendingInitiation | undefined = undefined;
  stamper: MacStamper | undefined = undefined;
  staged: StagedPackets | undefined = undefined;

  /** Timestamp of the newest initiation accepted; older ones are replays. */
  newestTimestamp: Bytes | undefined = undefined;
  lastInitiationReceivedMs = -Infinity;
  /** When we last sent an initiation or a response. */
  lastHandshakeSentMs = -Infinity;
  /** Wall time of the newest initiation we sent, so that the next is later whatever the wall clock does. */
  lastTimestampMs = -Infinity;
  /** Since when we want a session, for giving up. */
  wantedSinceMs = -Infinity;
  /** Whether the current session was asked to be renewed because it was about to be too old to receive on. */
  askedAtLastMinute = false;

  retransmitAtMs = Infinity;
  keepaliveAtMs = Infinity;
  newHandshakeAtMs = Infinity;
  zeroAtMs = Infinity;
  persistentAtMs = Infinity;
  jitterMs = 0;
  needsAnotherKeepalive = false;
  /** When the wake queue looks at this peer, and where in the queue it is. */
  wakeAtMs = Infinity;
  wakePlace = -1;

  /** Wall time of the last completed handshake; 0 when there was none. */
  lastHandshakeWallMs = 0;
  receivedBytes = 0;
  sentBytes = 0;

  constructor(publicKey: Key, presharedKey: Key) {
    this.publicKey = publicKey;
    this.presharedKey = presharedKey;
  }

  /** A session was agreed on. */
  addSession(keypair: Keypair, indices: IndexTable): void {
    const nowMs = keypair.createdMs;
    indices.addSession(keypair);
    if (!keypair.isInitiator) {
      retire(this.next, indices);
      this.#outdate(this.previous, nowMs, indices);
      this.next = keypair;
      this.previous = undefined;
      return;
    }
    // When both asked at once, the session the peer asked for is kept for receiving: it may come to use that one.
    this.#outdate(this.previous, nowMs, indices);
    if (this.next) {
      this.#outdate(this.current, nowMs, indices);
      this.previous = this.next;
      this.next = undefined;
    } else {
      this.previous = this.current;
    }
    this.current = keypair;
  }

  /** An authentic datagram came on this session; true if that is what makes it current. */
  confirmSession(keypair: Keypair, indices: IndexTable): boolean {
    if (keypair !== this.next) return false;
    retire(this.previous, indices);
    this.previous = this.current;
    this.current = keypair;
    this.next = undefined;
    return true;
  }

  /** Keeps a session for what may still come on it. */
  #outdate(keypair: Keypair | undefined, nowMs: number, indices: IndexTable): void {
    if (!keypair || nowMs - keypair.createdMs >= REJECT_AFTER_TIME_MS) return retire(keypair, indices);
    retire(this.oldest, indices);
    this.oldest = this.older;
    this.older = keypair;
  }

  /** Wipes every session. */
  forgetSessions(indices: IndexTable): void {
    const { oldest, older, previous, current, next } = this;
    for (const keypair of [oldest, older, previous, current, next]) retire(keypair, indices);
    this.oldest = undefined;
    this.older = undefined;
    this.previous = undefined;
    this.current = undefined;
    this.next = undefined;
  }

  /** Gives up an initiation that was not answered. */
  forgetInitiation(indices: IndexTable): void {
    if (!this.pending) return;
    indices.remove(this.pending.localIndex);
    this.pending.state[Symbol.dispose]();
    this.pending = undefined;
  }
}

/** What a peer is called in the log: the beginning of its public key. */
export function nameOf(peer: Peer): string {
  return keyToBase64(peer.publicKey).slice(0, 8);
}

function retire(keypair: Keypair | undefined, indices: IndexTable): void {
  if (!keypair) return;
  indices.remove(keypair.localIndex);
  keypair[Symbol.dispose]();
}
