/**
 * Asks a far end that speaks KCP whether it is there, by datagrams that every such server answers: the first segment of a
 * conversation, again and again, of any length. An acknowledgement shows that the datagram got there, that the far end
 * opened it with the same key, and how long both ways took.
 *
 *   carrier payload   [seal head][PUSH of nothing, sn 0, time = our number for it][PUSH far ahead …][seal tail]    →    [… ACK with that time …]
 *
 * To the far end it is a session whose stream says nothing, which its mux ends for silence: what makes the datagram long is a
 * segment beyond its window, which it leaves out, or less than a segment. The time it takes includes what
 * the far end waits before it acknowledges: up to its interval, 10 to 40 ms with the usual modes.
 */

import { type Clock, deadline } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import {
  COMMAND_AT,
  KCP_HEADER_BYTES,
  KcpCommand,
  LENGTH_AT,
  TIME_AT,
  writeSegmentHead,
} from "../../protocol/kcp/segment.ts";
import { MtuSearch } from "../../protocol/mtu_search.ts";
import type { CarrierHandlers, PacketCarrier, PacketPlace } from "../../protocol/packet_carrier.ts";
import { FEC_HEAD_BYTES, FecType, fecTypeOf } from "../../protocol/packet_layer/fec_head.ts";
import type { PacketSeal } from "../../protocol/packet_seal.ts";
import type { Random } from "../../protocol/random.ts";
import type { Slab } from "../../protocol/slab.ts";

/** Ahead of whatever window. */
const FAR_AHEAD_SN = 0x7fff0000;
const WINDOW = 128;

export interface KcpPingerOptions {
  /** Its owner's, not started yet, and closed by its owner. */
  readonly carrier: PacketCarrier;
  readonly host: string;
  readonly port: number;
  readonly seal: PacketSeal;
  readonly clock: Clock;
  readonly random: Random;
}

/** What came for a question. */
export interface Pong {
  readonly roundTripMs: number;
  /** That of the datagram that was answered. */
  readonly payloadBytes: number;
}

export class KcpPinger {
  readonly #options: KcpPingerOptions;
  readonly #place: PacketPlace;
  readonly #conv: number;
  readonly #waiting = new Map<number, (atMs: number) => void>();
  readonly #ended = new AbortController();
  #number: number;
  /** Datagrams from there that were not sealed with our key. */
  #strange = 0;

  constructor(options: KcpPingerOptions) {
    this.#options = options;
    const { carrier, random, host, port } = options;
    this.#place = carrier.place(host, port);
    const drawn = new DataView(random.fill(new Uint8Array(8)).buffer);
    this.#conv = drawn.getInt32(0);
    this.#number = drawn.getUint32(4) & 0x7fffffff;
    carrier.start(this.#handlers());
  }

  /** Datagrams that came from there and that our key does not open. */
  get strangePackets(): number {
    return this.#strange;
  }

  /** The shortest and the longest datagram that can be sent: what the carrier says of a path of 1,500 bytes. */
  get payloadRange(): { readonly least: number; readonly most: number } {
    const { seal, carrier } = this.#options;
    const least = seal.headBytes + KCP_HEADER_BYTES + seal.tailBytes;
    return { least, most: carrier.maxPayloadBytes };
  }

  /** Sends one datagram of so many bytes (the shortest if not given); undefined when nothing comes in time. */
  async ping(
    { payloadBytes = this.payloadRange.least, timeoutMs, signal }: {
      readonly payloadBytes?: number;
      readonly timeoutMs: number;
      readonly signal?: AbortSignal;
    },
  ): Promise<Pong | undefined> {
    const { clock } = this.#options;
    signal?.throwIfAborted();
    this.#ended.signal.throwIfAborted();
    const number = this.#number = (this.#number + 1) & 0x7fffffff;
    const { promise, resolve } = Promise.withResolvers<number | undefined>();
    const stop = signal ? AbortSignal.any([signal, this.#ended.signal]) : this.#ended.signal;
    using limit = deadline(clock, timeoutMs, "hear from the far end", stop);
    limit.signal.addEventListener("abort", () => resolve(undefined), { once: true });
    this.#waiting.set(number, resolve);
    try {
      const sentMs = clock.now();
      this.#send(number, payloadBytes);
      const atMs = await promise;
      stop.throwIfAborted();
      return atMs === undefined ? undefined : { roundTripMs: atMs - sentMs, payloadBytes };
    } finally {
      this.#waiting.delete(number);
    }
  }

  #send(number: number, payloadBytes: number): void {
    const { carrier, seal } = this.#options;
    const { least, most } = this.payloadRange;
    if (!Number.isInteger(payloadBytes) || payloadBytes < least || payloadBytes > most) {
      throw new CulvertError("bad_option", `Cannot ping: its bytes must be ${least} to ${most}, got ${payloadBytes}`);
    }
    const { slab } = carrier;
    const start = carrier.reserve(payloadBytes), end = start + payloadBytes;
    const bodyEnd = end - seal.tailBytes, segmentAt = start + seal.headBytes;
    const head = { conv: this.#conv, window: WINDOW, una: 0 };
    slab.bytes.fill(0, start, end);
    const at = writeSegmentHead(slab, segmentAt, head, KcpCommand.PUSH, number, 0, 0);
    const leftBytes = bodyEnd - at - KCP_HEADER_BYTES;
    if (leftBytes >= 0) writeSegmentHead(slab, at, head, KcpCommand.PUSH, number, FAR_AHEAD_SN, leftBytes);
    seal.seal(slab, start, end);
    carrier.commit(payloadBytes, this.#place);
    carrier.flush();
  }

  #handlers(): CarrierHandlers {
    const { seal, clock } = this.#options;
    return {
      onPacket: (slab, start, end, from) => {
        if (from.key !== this.#place.key) return;
        if (!seal.open(slab, start, end)) return void this.#strange++;
        this.#read(slab, start + seal.headBytes, end - seal.tailBytes, clock.now());
      },
      onTurn() {},
      onClose: (error) => {
        this.#ended.abort(error ?? new CulvertError("closed", "Cannot hear from the far end: the carrier has ended"));
      },
    };
  }

  /** Every acknowledgement of our conversation answers a question. */
  #read(slab: Slab, start: number, end: number, nowMs: number): void {
    const fec = fecTypeOf(slab, start, end);
    if (fec === FecType.parity) return;
    let at = fec === undefined ? start : start + FEC_HEAD_BYTES;
    const { view } = slab;
    while (at + KCP_HEADER_BYTES <= end && view.getInt32(at, true) === this.#conv) {
      if (view.getUint8(at + COMMAND_AT) === KcpCommand.ACK) {
        this.#waiting.get(view.getInt32(at + TIME_AT, true))?.(nowMs);
      }
      at += KCP_HEADER_BYTES + view.getUint32(at + LENGTH_AT, true);
    }
  }
}

export interface FindMtuOptions {
  readonly atLeast?: number;
  readonly atMost?: number;
  readonly signal?: AbortSignal;
  /** How long a datagram may take. Default: four times what the first took, at least 250 ms, or 2 s. */
  readonly timeoutMs?: number;
}

/** Long enough for a hello of any dialect. */
const LEAST_USEFUL_BYTES = 400;

/** The longest carrier payload that gets there; undefined when nothing does. What comes back is not tried: answers are short. */
export async function findMtu(pinger: KcpPinger, options: FindMtuOptions = {}): Promise<number | undefined> {
  const { least, most } = pinger.payloadRange;
  const { atLeast = Math.max(least, LEAST_USEFUL_BYTES), atMost = most, signal } = options;
  const search = new MtuSearch({ atLeast, atMost });
  let timeoutMs = options.timeoutMs ?? 2000;
  for (let payloadBytes = search.next; payloadBytes !== undefined; payloadBytes = search.next) {
    const pong = await pinger.ping({ payloadBytes, timeoutMs, ...signal && { signal } });
    if (!pong) {
      search.lost(payloadBytes);
      continue;
    }
    search.passed(payloadBytes);
    timeoutMs = options.timeoutMs ?? Math.max(250, 4 * pong.roundTripMs);
  }
  return search.found;
}
