/**
 * The ways to one peer, each made by itself: its addresses, and relays where it has a link. A line is such a way once the
 * peer has let us in.
 */

import { DialError, messageOf } from "../../protocol/errors.ts";
import type { MeetingPlace, PeerCard } from "../../protocol/peers/card.ts";
import type { CallBack, Welcome } from "../../protocol/peers/knock.ts";
import { encodeMeetingHeader } from "../../protocol/peers/meeting.ts";
import { dialledTargets } from "../../protocol/peers/reach.ts";
import { formatTarget, type Stream, type Target } from "../../protocol/stream.ts";
import { BufferPool } from "../buffer_pool.ts";
import { MuxConnection } from "../mux.ts";
import { readReply } from "../read_frame.ts";
import type { Preface, SealedStream } from "../sealed_stream.ts";
import { StreamLink } from "../stream_link.ts";
import type { AnsweredCall, ExpectedCall, ExpectedCalls } from "./expected_calls.ts";
import type { MeetingLinks } from "./meeting_links.ts";
import type { PeerWay } from "./peer_connection.ts";
import { GUEST_MUX, LINK_BUFFER_BYTES, type PeerParts } from "./peer_parts.ts";
import { SealedKnocks } from "./sealed_knock.ts";

/** Whom to reach, and what to show for it. */
export interface Wanted {
  readonly card: PeerCard;
  readonly invitation?: string | undefined;
  readonly observedAddress?: string | undefined;
}

/** A connection on which the peer has let us in. */
export interface PeerLine {
  readonly way: PeerWay;
  readonly via: string;
  readonly connection: MuxConnection;
  readonly welcome: Welcome;
  /** Of a relayed one: gives a direct one in its place, once the peer has called back. */
  onCalled?(take: (line: PeerLine) => void): void;
  close(): void;
}

/** One way that may be tried. */
export interface Way {
  readonly way: PeerWay;
  readonly via: string;
  /** Rejects with a DialError, or with the signal's reason, and leaves nothing behind. */
  open(signal: AbortSignal): Promise<PeerLine>;
}

export class PeerWays {
  readonly #parts: PeerParts;
  readonly #links: MeetingLinks | undefined;
  readonly #knocks: SealedKnocks;
  readonly #pool = new BufferPool({ bufferBytes: LINK_BUFFER_BYTES });

  /** Where peers that are reached by a relay may call us back. */
  calls: ExpectedCalls | undefined;

  /** Without links to relays there are only direct ways. */
  constructor(parts: PeerParts, links?: MeetingLinks) {
    this.#parts = parts;
    this.#links = links;
    this.#knocks = new SealedKnocks(parts);
  }

  /** Those that the card names. */
  of(wanted: Wanted): Way[] {
    const links = this.#links;
    const relayed = links ? wanted.card.relays.map((place) => this.#relayed(place, links, wanted)) : [];
    return [...this.direct(wanted), ...relayed];
  }

  /** Those without a relay. */
  direct(wanted: Wanted): Way[] {
    return dialledTargets(wanted.card, wanted.observedAddress).map((target) => this.#direct(target, wanted));
  }

  #direct(target: Target, wanted: Wanted): Way {
    const via = formatTarget(target);
    const open = async (signal: AbortSignal) => {
      const stream = await connect(target, signal);
      return await this.#knock(stream, wanted, { way: "direct", via, signal });
    };
    return { way: "direct", via, open };
  }

  #relayed(place: MeetingPlace, links: MeetingLinks, wanted: Wanted): Way {
    const via = place.url;
    const send = encodeMeetingHeader({ kind: "to", peerId: wanted.card.peerId })!;
    const preface: Preface = { send, receive: async (stream) => void await readReply(stream, "the peer") };
    const open = async (signal: AbortSignal) => {
      const stream = await links.open(place, signal);
      const call = this.calls?.expect(wanted.card.peerId);
      try {
        const line = await this.#knock(stream, wanted, {
          way: "relayed",
          via,
          preface,
          callBack: call?.callBack,
          signal,
        });
        return call ? this.#withCall(line, call) : line;
      } catch (error) {
        call?.[Symbol.dispose]();
        throw error;
      }
    };
    return { way: "relayed", via, open };
  }

  /** The call is waited for as long as the line is there; what nobody takes by then is closed. */
  #withCall(line: PeerLine, call: ExpectedCall): PeerLine {
    const { welcome, connection } = line;
    let answered: AnsweredCall | undefined;
    let take: ((line: PeerLine) => void) | undefined;
    const hand = () => {
      if (!answered || !take) return;
      take(this.#lineOver(answered.sealed, { way: "direct", via: answered.via, welcome }));
      answered = undefined;
    };
    const end = () => {
      call[Symbol.dispose]();
      answered?.sealed.close();
    };
    call.answered.then((given) => {
      answered = given;
      if (connection.closed) end();
      else hand();
    });
    connection.ended.then(end);
    return {
      ...line,
      onCalled(taker) {
        take = taker;
        hand();
      },
    };
  }

  async #knock(
    stream: Stream,
    { card, invitation }: Wanted,
    { way, via, preface, callBack, signal }: {
      readonly way: PeerWay;
      readonly via: string;
      readonly preface?: Preface;
      readonly callBack?: CallBack | undefined;
      readonly signal: AbortSignal;
    },
  ): Promise<PeerLine> {
    const { sealed, welcome } = await this.#knocks.knock(stream, {
      ...{ host: card, invitation, callBack, signal },
      ...(preface && { preface }),
    });
    return this.#lineOver(sealed, { way, via, welcome });
  }

  #lineOver(sealed: SealedStream, line: Pick<PeerLine, "way" | "via" | "welcome">): PeerLine {
    const connection = new MuxConnection(new StreamLink(sealed, this.#pool), this.#parts.clock, {
      ...GUEST_MUX,
      role: "client",
    });
    connection.start();
    return { ...line, connection, close: () => connection.close() };
  }
}

async function connect({ host, port }: Target, signal: AbortSignal): Promise<Stream> {
  try {
    const conn = await Deno.connect({ hostname: host, port, signal });
    conn.setNoDelay(true);
    return conn;
  } catch (error) {
    signal.throwIfAborted();
    const code = error instanceof Deno.errors.ConnectionRefused ? "refused" : "host_unreachable";
    throw new DialError(code, messageOf(error), { cause: error });
  }
}
