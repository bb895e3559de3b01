/**
 * The first words between two peers over a stream, whoever carries it:
 *
 *   guest                                        host
 *     ─ first handshake message ─────────────────▶   nothing is said to whoever does not know the host's key
 *     ◀──────────────── second handshake message ─
 *     ─ confirmation, knock: who I am ───────────▶   may it come in?
 *     ◀──────────────────────── welcome, refusal ─
 *
 * A guest that came by a relay may be called back by the host, who then begins the seal and says "call" where the knock is; there
 * is no answer to that. Then a mux lies on it (`peer_parts.ts`), and the guest opens streams. Formats: `protocol/peers/knock.ts`, `protocol/sealed_handshake.ts`.
 */

import { decodeBase64 } from "../../protocol/encoding.ts";
import { DialError, type DialFailure } from "../../protocol/errors.ts";
import type { PeerCard } from "../../protocol/peers/card.ts";
import {
  type CallBack,
  encodeCall,
  encodeKnock,
  encodeKnockAnswer,
  type KnockAnswer,
  type Knocker,
  parseFirstWords,
  parseKnockAnswer,
  peerPrologue,
  speakerOf,
  type TurnedAway,
  type Welcome,
} from "../../protocol/peers/knock.ts";
import type { Bytes } from "../../protocol/primitives.ts";
import { type Stream, writeAll } from "../../protocol/stream.ts";
import { readFrame } from "../read_frame.ts";
import { type Preface, type SealedStream, sealStream } from "../sealed_stream.ts";
import { SlabPool } from "../slab_pool.ts";
import type { PeerParts } from "./peer_parts.ts";

const REASONS: Readonly<Record<TurnedAway, readonly [DialFailure, string]>> = {
  not_invited: ["unauthorized", "it lets in only whom it knows or has invited"],
  unknown_invitation: ["unauthorized", "it knows no such invitation; it may have been revoked"],
  expired_invitation: ["unauthorized", "the invitation has expired"],
  used_invitation: ["unauthorized", "the invitation has been used by as many as may use it"],
  denied: ["unauthorized", "it does not want us"],
  busy: ["busy", "it has as many guests as it may have"],
};

/** The peer itself has said no, under its seal: no other way there has a better answer. */
export class TurnedAwayError extends DialError {
  readonly reason: TurnedAway;

  constructor(reason: TurnedAway) {
    const [failure, why] = REASONS[reason];
    super(failure, `The peer has turned us away: ${why}`);
    this.reason = reason;
  }
}

export interface KnockOptions {
  readonly host: Pick<PeerCard, "peerId" | "sealingKey">;
  readonly invitation?: string | undefined;
  /** Where we can be called back. */
  readonly callBack?: CallBack | undefined;
  /** What goes before, in clear. */
  readonly preface?: Preface;
  readonly signal: AbortSignal;
}

export interface HearOptions {
  readonly preface?: Preface;
  readonly signal: AbortSignal;
}

/** A knock that has been heard, and is to be answered. */
export interface HeardKnock {
  readonly sealed: SealedStream;
  readonly knocker: Knocker;
  /** To which it is sealed. */
  readonly sealingKey: Bytes;
  readonly callBack: CallBack | undefined;
}

/** A host that calls us back. */
export interface HeardCall {
  readonly sealed: SealedStream;
  readonly callerId: string;
  readonly token: string;
}

export interface CallOptions {
  readonly guest: Pick<HeardKnock, "sealingKey"> & { readonly peerId: string };
  readonly token: string;
  readonly signal: AbortSignal;
}

export class SealedKnocks {
  readonly #parts: PeerParts;
  readonly #slabs = new SlabPool();

  constructor(parts: PeerParts) {
    this.#parts = parts;
  }

  /** Knocks at a peer. Owns the stream from then on; rejects with a DialError and has cut it. */
  async knock(
    stream: Stream,
    { host, invitation, callBack, preface, signal }: KnockOptions,
  ): Promise<{ readonly sealed: SealedStream; readonly welcome: Welcome }> {
    const sealed = await sealStream(stream, {
      ...this.#seal(host.peerId),
      role: "initiator",
      remote: decodeBase64(host.sealingKey)!,
      ...(preface && { preface }),
      signal,
    });
    const answer = await held(sealed, signal, async () => {
      await writeAll(sealed, encodeKnock(this.#parts.identity, { invitation, callBack }));
      return await readFrame(sealed, parseKnockAnswer, "answer");
    });
    if (answer.ok) return { sealed, welcome: answer.welcome };
    sealed.close();
    throw new TurnedAwayError(answer.reason);
  }

  /** Calls a guest back. Owns the stream from then on; rejects with a DialError and has cut it. */
  async call(stream: Stream, { guest, token, signal }: CallOptions): Promise<SealedStream> {
    const remote = guest.sealingKey;
    const sealed = await sealStream(stream, { ...this.#seal(guest.peerId), role: "initiator", remote, signal });
    await held(sealed, signal, () => writeAll(sealed, encodeCall(this.#parts.identity, token)));
    return sealed;
  }

  /** Hears who comes. Owns the stream from then on; rejects and has cut it when that is nobody, or takes too long. */
  async hear(stream: Stream, { preface, signal }: HearOptions): Promise<HeardKnock | HeardCall> {
    let remoteKey: Bytes = new Uint8Array();
    const sealed = await sealStream(stream, {
      ...this.#seal(this.#parts.identity.peerId),
      role: "responder",
      accept: (key) => {
        remoteKey = key.slice();
        return true; // whose it is, and whether they may come in, is not known before the knock
      },
      ...(preface && { preface }),
      signal,
    });
    const words = await held(sealed, signal, () => readFrame(sealed, parseFirstWords, "knock"));
    const said = "knock" in words ? words.knock : words.call;
    const peerId = speakerOf(said, remoteKey, this.#parts.primitives);
    if (peerId !== undefined && "call" in words) return { sealed, callerId: peerId, token: words.call.token };
    if (peerId !== undefined && "knock" in words) {
      const { invitation, callBack } = words.knock;
      return { sealed, knocker: { peerId, invitation }, sealingKey: remoteKey, callBack };
    }
    sealed.abort();
    throw new DialError("unauthorized", "Cannot let a peer in: the key it has sealed with is not its own");
  }

  /** Answers a knock; a refusal ends the stream. */
  async answer(sealed: SealedStream, answer: KnockAnswer, signal: AbortSignal): Promise<void> {
    await held(sealed, signal, () => writeAll(sealed, encodeKnockAnswer(answer)));
    if (!answer.ok) sealed.close();
  }

  #seal(hostId: string) {
    const { identity, crypto, random, clock } = this.#parts;
    const local = { privateKey: identity.secrets().wireguardKey, publicKey: identity.wireguardPublicKey };
    return { crypto, random, clock, slabs: this.#slabs, local, prologue: peerPrologue(hostId) };
  }
}

/** Does something with the stream, and cuts it when that fails or is given up. */
async function held<T>(sealed: SealedStream, signal: AbortSignal, deed: () => Promise<T>): Promise<T> {
  const onAbort = () => sealed.abort();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    signal.throwIfAborted();
    const result = await deed();
    signal.throwIfAborted();
    return result;
  } catch (error) {
    sealed.abort();
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
