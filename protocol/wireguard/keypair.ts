/**
 * The keys of one session with a peer: one to send with, one to receive with, and how far each has counted. A session
 * is three minutes at most (whitepaper §6.2); nothing here changes after it but the counters.
 *
 * Indices are kept as signed 32-bit words, so that they are small integers to the engine; on the wire they are the same
 * four bytes.
 */

import type { Aead } from "./crypto.ts";
import type { Peer } from "./peer.ts";
import { ReplayWindow } from "./replay.ts";

export interface KeypairParts {
  readonly peer: Peer;
  readonly localIndex: number;
  readonly remoteIndex: number;
  readonly isInitiator: boolean;
  readonly createdMs: number;
  readonly send: Aead;
  readonly receive: Aead;
}

export class Keypair implements Disposable {
  readonly peer: Peer;
  /** Names the session in what we receive. */
  readonly localIndex: number;
  /** Names it in what we send. */
  readonly remoteIndex: number;
  readonly isInitiator: boolean;
  readonly createdMs: number;
  readonly send: Aead;
  readonly receive: Aead;
  readonly window: ReplayWindow = new ReplayWindow();
  /** The counter of the next datagram; a plain number, see REJECT_AFTER_MESSAGES. */
  sendCounter = 0;
  /** False once our private key changed: what is under way may still arrive, nothing more is sent. */
  maySend = true;
  isDisposed = false;

  constructor(parts: KeypairParts) {
    this.peer = parts.peer;
    this.localIndex = parts.localIndex;
    this.remoteIndex = parts.remoteIndex;
    this.isInitiator = parts.isInitiator;
    this.createdMs = parts.createdMs;
    this.send = parts.send;
    this.receive = parts.receive;
  }

  /** Wipes the keys. */
  [Symbol.dispose](): void {
    if (this.isDisposed) return;
    this.isDisposed = true;
    this.maySend = false;
    this.send[Symbol.dispose]();
    this.receive[Symbol.dispose]();
  }
}
