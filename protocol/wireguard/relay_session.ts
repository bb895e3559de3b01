/**
 * One session of a blind relay: between two sides whose public keys it knows, and nothing else of what they say. It learns
 * where the sides are from handshakes alone, and says of each datagram where it goes.
 *
 *   client ── initiation, mac1 for the exit ──▶ relay ──▶ where the exit is, or may be        the place is a candidate
 *   client ◀─────────────────────────── relay ◀── response, mac1 for the client ── exit       … that was answered
 *   client ── data, to the response's index ──▶ relay ──▶ exit                                 … both places are taken
 *
 * Either side may begin. Only whoever can read the response knows how to address the data behind it, so that third
 * message says that the handshake was a true one, and only it moves a side. Public keys and macs are no secrets, and so:
 *
 *   - an initiation goes to the other side's place if that is known, and is answered from there or not at all
 *   - while one side is known and the other is not, only the known side's initiations and the other's go on
 *   - while neither is known, up to four candidates of the other side get it, the newest first; a stranger with both keys
 *     could then pair with himself, until the first handshake; a session one of whose sides is placed has no such moment
 *   - data and cookies pass between the two places taken, and nothing else does
 *
 * What a stranger without both keys sends ends here. The macs looked at are bounded per session. Not here: sockets.
 */

import { Pace, type PaceLimit } from "../pace.ts";
import type { Bytes } from "../primitives.ts";
import type { Slab } from "../slab.ts";
import { INITIATION_TYPE, RESPONSE_TYPE, TRANSPORT_TYPE } from "./constants.ts";
import { equalKeys } from "./keys.ts";
import type { Mac1Checker } from "./mac1.ts";
import { type MessageType, messageType, receiverOf, senderOf } from "./messages.ts";
import { equalEndpoints } from "./endpoint.ts";
import { type Asked, type Candidate, Candidates } from "./relay_candidates.ts";
import type { Endpoint, Key } from "./settings.ts";

export type RelaySide = "client" | "exit";

/** How many candidates of a side that is not known get an initiation. */
const MAX_COPIES = 4;
/** Handshakes of places not known whose macs are looked at. A device sends one in five seconds. */
const CHECKS: PaceLimit = { perSecond: 50, burst: 50 };

const NOWHERE: readonly never[] = [];

export interface RelayedSessionOptions<At> {
  readonly clientKey: Key;
  readonly exitKey: Key;
  readonly clientAt?: At | undefined;
  readonly exitAt?: At | undefined;
  /** A handshake has shown that a side is at another place than before. */
  onLearned?(side: RelaySide, at: At): void;
}

/** One side: where it is, and who may be it. */
interface Leg<At extends Endpoint> {
  readonly side: RelaySide;
  /** Of messages for this side. */
  readonly mac1Key: Bytes;
  readonly candidates: Candidates<At>;
  at: At | undefined;
}

/** `At` is whatever the owner of the sockets knows of a place beyond its address. */
export class RelayedSession<At extends Endpoint> {
  readonly #mac1: Mac1Checker;
  readonly #client: Leg<At>;
  readonly #exit: Leg<At>;
  readonly #onLearned: RelayedSessionOptions<At>["onLearned"];
  readonly #checks = new Pace();

  /** The checker may serve any number of sessions. */
  constructor(mac1: Mac1Checker, options: RelayedSessionOptions<At>) {
    const { clientKey, exitKey, clientAt, exitAt, onLearned } = options;
    if (equalKeys(clientKey, exitKey)) {
      throw new RangeError("Cannot relay a session: the client's key must be another than the exit's, got the same");
    }
    this.#mac1 = mac1;
    this.#client = { side: "client", mac1Key: mac1.keyFor(clientKey), candidates: new Candidates(), at: clientAt };
    this.#exit = { side: "exit", mac1Key: mac1.keyFor(exitKey), candidates: new Candidates(), at: exitAt };
    this.#onLearned = onLearned;
  }

  get clientAt(): At | undefined {
    return this.#client.at;
  }

  get exitAt(): At | undefined {
    return this.#exit.at;
  }

  /** That side is there; a handshake may move it. */
  place(side: RelaySide, at: At): void {
    (side === "client" ? this.#client : this.#exit).at = at;
  }

  /**
   * Whether a message from a place that is not known could do anything here now. Costs next to nothing, so that a flood
   * need not be made into places to `take` from, and takes nothing of what all sessions share.
   */
  isAwaited(packet: Slab, offset: number, type: MessageType, nowMs: number): boolean {
    if (type === INITIATION_TYPE) return this.#checks.has(CHECKS, nowMs);
    const index = receiverOf(packet.view, offset, type);
    return this.#client.candidates.names(index) || this.#exit.candidates.names(index);
  }

  /** Where the message in packet[offset, offset+length) goes that came from there. `nowMs` never goes back. */
  take(packet: Slab, offset: number, length: number, from: At, nowMs: number): readonly At[] {
    const type = messageType(packet.view, offset, length);
    if (type === 0) return NOWHERE;
    if (type === INITIATION_TYPE) return this.#initiation(packet, offset, length, from, nowMs);
    const index = receiverOf(packet.view, offset, type);
    const known = type === TRANSPORT_TYPE
      ? this.#confirmation(from, index)
      : this.#answer(packet, { offset, length, type, index }, from, nowMs);
    return known ?? this.#between(from);
  }

  /** Of what is not part of a handshake that is being watched: to the other place taken. */
  #between(from: At): readonly At[] {
    const to = this.#otherPlace(from);
    return to ? [to] : NOWHERE;
  }

  #initiation(packet: Slab, offset: number, length: number, from: At, nowMs: number): readonly At[] {
    // Between the two places taken there is nothing to learn.
    const to = this.#otherPlace(from);
    if (to) return [to];
    if (!this.#checks.allow(CHECKS, nowMs)) return NOWHERE;
    const near = this.#legThatSent(packet, offset, length);
    if (!near) return NOWHERE;
    const far = this.#otherLeg(near);
    if (near.at && !far.at && !equalEndpoints(near.at, from)) return NOWHERE;
    const places = far.at ? [far.at] : far.candidates.newest(MAX_COPIES, nowMs);
    const asked = places.filter((at) => !equalEndpoints(at, from)).map((at) => ({ at, answeredAs: undefined }));
    near.candidates.remember({ from, index: senderOf(packet.view, offset), asked, cameMs: nowMs });
    return asked.map(({ at }) => at);
  }

  /** Whose initiation it is: the one whose other side it is meant for. */
  #legThatSent(packet: Slab, offset: number, length: number): Leg<At> | undefined {
    if (this.#mac1.fits(this.#exit.mac1Key, packet.bytes, offset, length)) return this.#client;
    if (this.#mac1.fits(this.#client.mac1Key, packet.bytes, offset, length)) return this.#exit;
    return undefined;
  }

  /** A response or a cookie for an initiation that was sent on to where it came from, or a cookie for such a response. */
  #answer(packet: Slab, message: Answer, from: At, nowMs: number): readonly At[] | undefined {
    const { offset, length, type, index } = message;
    for (const leg of [this.#client, this.#exit]) {
      const [candidate, asked] = leg.candidates.askedAt(from, index) ?? [];
      if (!candidate) continue;
      if (type === RESPONSE_TYPE) {
        if (!this.#checks.allow(CHECKS, nowMs)) return NOWHERE;
        if (!this.#mac1.fits(leg.mac1Key, packet.bytes, offset, length)) return NOWHERE;
        asked!.answeredAs = senderOf(packet.view, offset);
      }
      return [candidate.from];
    }
    const [, asked] = type === RESPONSE_TYPE ? [] : this.#answered(from, index) ?? [];
    return asked && [asked.at];
  }

  /** The first data behind a response: both sides are where this handshake was made. */
  #confirmation(from: At, index: number): readonly At[] | undefined {
    const [candidate, asked, near] = this.#answered(from, index) ?? [];
    if (!candidate) return undefined;
    this.#learn(near!, candidate.from);
    this.#learn(this.#otherLeg(near!), asked!.at);
    this.#client.candidates.clear();
    this.#exit.candidates.clear();
    return [asked!.at];
  }

  #answered(from: At, index: number): readonly [Candidate<At>, Asked<At>, Leg<At>] | undefined {
    for (const leg of [this.#client, this.#exit]) {
      const found = leg.candidates.answeredAs(from, index);
      if (found) return [...found, leg];
    }
    return undefined;
  }

  #learn(leg: Leg<At>, at: At): void {
    const isNew = !leg.at || !equalEndpoints(leg.at, at);
    leg.at = at;
    if (isNew) this.#onLearned?.(leg.side, at);
  }

  /** Where the other side is, for what comes from one of two sides that are both known. */
  #otherPlace(from: At): At | undefined {
    const { at: client } = this.#client, { at: exit } = this.#exit;
    if (!client || !exit) return undefined;
    return equalEndpoints(client, from) ? exit : equalEndpoints(exit, from) ? client : undefined;
  }

  #otherLeg(leg: Leg<At>): Leg<At> {
    return leg === this.#client ? this.#exit : this.#client;
  }
}

interface Answer {
  readonly offset: number;
  readonly length: number;
  readonly type: MessageType;
  readonly index: number;
}
