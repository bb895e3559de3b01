/**
 * What both ends of a session of our own dialect have in common: a carrier that leads to wherever the other end is now, the
 * words they say beside KCP, and how their KCP is set.
 */

import type { Congestion } from "../../protocol/kcp/congestion.ts";
import { PacedCongestion } from "../../protocol/kcp/paced.ts";
import { type KcpOptions, MAX_KCP_WINDOW } from "../../protocol/kcp/kcp_options.ts";
import { KCP_MAX_MTU_BYTES } from "../../protocol/kcp/segment.ts";
import type { KcpMemory } from "../../protocol/kcp/segment_blocks.ts";
import { CulvertError } from "../../protocol/errors.ts";
import type { CarrierCounters, CarrierHandlers, PacketCarrier, PacketPlace } from "../../protocol/packet_carrier.ts";
import type { Random } from "../../protocol/random.ts";
import { LEAST_PACKET_BYTES, PACKET_HEAD_BYTES } from "../../protocol/sealed_packets/packet_epoch.ts";
import type { SessionKeys } from "../../protocol/sealed_packets/session.ts";
import { LEAST_BODY_BYTES, type Word, writeWord } from "../../protocol/sealed_packets/session_words.ts";
import type { Slab } from "../../protocol/slab.ts";

/** By what and to where packets go at the moment. */
export interface Route {
  readonly carrier: PacketCarrier;
  readonly place: PacketPlace;
}

/** 11 MB on their way: 900 Mbit/s over a round trip of 100 ms. */
const USUAL_WINDOW = 8192;
const USUAL_DATAGRAM_BYTES = 1400;
/** Hellos are as long as this. */
const LEAST_DATAGRAM_BYTES = 576;
/** There is one conversation in a session, so they all have the same name. */
const CONVERSATION = 1;

export interface CulvertKcpSettings {
  /** How many segments may be on their way: 16 to 32,768, default 8,192. */
  readonly window?: number;
  /** No datagram is longer. Default 1,400, which fits behind most of what is put around packets on their way. */
  readonly maxDatagramBytes?: number;
  /** What holds a sender back. Default `PacedCongestion`. */
  congestion?(segmentBytes: number): Congestion | "none";
}

/** KCP for a session, with so many bytes in each datagram. Losses are told by what came later; nothing waits for a beat. */
export function culvertKcp(
  mtuBytes: number,
  settings: CulvertKcpSettings,
  { random, nowMs, memory }: { readonly random: Random; readonly nowMs: number; readonly memory?: KcpMemory },
): KcpOptions {
  const window = settings.window ?? USUAL_WINDOW;
  return {
    conv: CONVERSATION,
    mtuBytes,
    noDelay: true,
    intervalMs: 10,
    fastResend: 3,
    congestion: settings.congestion?.(mtuBytes) ?? new PacedCongestion({ segmentBytes: mtuBytes, random }, nowMs),
    writeDelay: false,
    ackNoDelay: true,
    sendWindow: window,
    receiveWindow: window,
    ...(memory && { memory }),
  };
}

/** Throws a CulvertError `bad_option` for settings that are not possible. */
export function checkSettings(
  { window = USUAL_WINDOW, maxDatagramBytes = USUAL_DATAGRAM_BYTES }: CulvertKcpSettings,
): void {
  check("window", window, 16, MAX_KCP_WINDOW);
  check("maxDatagramBytes", maxDatagramBytes, LEAST_DATAGRAM_BYTES, KCP_MAX_MTU_BYTES);
}

function check(what: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new CulvertError("bad_option", `Cannot use KCP: ${what} must be ${least} to ${most}, got ${value}`);
}

/** What is left of a datagram for KCP, whichever of the carriers it goes by. */
export function kcpBytes(carriers: readonly PacketCarrier[], settings: CulvertKcpSettings): number {
  const { maxDatagramBytes = USUAL_DATAGRAM_BYTES } = settings;
  return Math.min(maxDatagramBytes, ...carriers.map((carrier) => carrier.maxPayloadBytes)) - LEAST_PACKET_BYTES;
}

/** Says a word to the other end. */
export function sayWord({ carrier, place }: Route, keys: SessionKeys, word: Word, random: Random): void {
  const at = carrier.reserve(LEAST_PACKET_BYTES + LEAST_BODY_BYTES);
  const length = LEAST_PACKET_BYTES + writeWord(carrier.slab, at + PACKET_HEAD_BYTES, word, random);
  keys.seal(carrier.slab, at, at + length);
  carrier.commit(length, place);
  carrier.flush();
}

/** Sends bytes that are a datagram of their own. */
export function sendBytes({ carrier, place }: Route, bytes: Uint8Array): void {
  const at = carrier.reserve(bytes.length);
  carrier.slab.bytes.set(bytes, at);
  carrier.commit(bytes.length, place);
  carrier.flush();
}

/** Sends to wherever the route leads; what comes is given by whoever owns the carriers behind it. */
export class RoutedSender implements PacketCarrier {
  readonly #route: Route;
  readonly #onSent: () => void;

  constructor(route: Route, onSent: () => void) {
    this.#route = route;
    this.#onSent = onSent;
  }

  get maxPayloadBytes(): number {
    return this.#route.carrier.maxPayloadBytes;
  }

  get localPorts(): readonly number[] {
    return this.#route.carrier.localPorts;
  }

  get counters(): CarrierCounters {
    return this.#route.carrier.counters;
  }

  get slab(): Slab {
    return this.#route.carrier.slab;
  }

  start(_handlers: CarrierHandlers): void {
    throw new TypeError("Cannot receive by a route: its carriers give to their owner");
  }

  place(host: string, port: number): PacketPlace {
    return this.#route.carrier.place(host, port);
  }

  reserve(bytes: number): number {
    return this.#route.carrier.reserve(bytes);
  }

  commit(length: number): void {
    this.#route.carrier.commit(length, this.#route.place);
    this.#onSent();
  }

  flush(): void {
    this.#route.carrier.flush();
  }

  /** The carriers are not its own. */
  close(): void {}

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}
