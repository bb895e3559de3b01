/**
 * The near end of KCP: one or several links over a packet carrier, each to one place.
 *
 *   connectKcp(…) → a carrier of its own and a link over it           KcpLinks: several links over a carrier that is shared
 *
 * Nothing is sent before the mux has something to say, and nothing tells that the far end is there but its answer.
 */

import type { Clock } from "../../protocol/clock.ts";
import type { KcpOptions } from "../../protocol/kcp/kcp_options.ts";
import { type KcpMemory, kcpMemory } from "../../protocol/kcp/segment_blocks.ts";
import type { PacketCarrier, PacketPlace } from "../../protocol/packet_carrier.ts";
import type { PacketSeal } from "../../protocol/packet_seal.ts";
import type { Random } from "../../protocol/random.ts";
import { KcpLink, type PacketFec } from "./kcp_link.ts";

export interface KcpClientOptions {
  /** Without `conv`, which is taken at random for each link. */
  readonly kcp: Omit<KcpOptions, "conv">;
  readonly clock: Clock;
  readonly random: Random;
  /** For a new link. */
  makeSeal(): PacketSeal;
  makeFec?(): PacketFec | undefined;
  readonly silenceMs?: number;
}

export interface ConnectKcpOptions extends KcpClientOptions {
  /** Opens the carrier of this link, which is closed with it. */
  openCarrier(signal: AbortSignal): Promise<PacketCarrier>;
  /** Where the far end is: an IP address and a port. */
  readonly host: string;
  readonly port: number;
}

/** A link with a carrier of its own, not yet started; as `LinkKeeper` wants it. */
export async function connectKcp(options: ConnectKcpOptions, signal: AbortSignal): Promise<KcpLink> {
  signal.throwIfAborted();
  const carrier = await options.openCarrier(signal);
  if (signal.aborted) {
    carrier.close();
    throw signal.reason;
  }
  const links = new KcpLinks(carrier, options, { closesCarrier: true });
  return links.open(carrier.place(options.host, options.port));
}

/** The links of a carrier that begin at this end. What comes from elsewhere is dropped. */
export class KcpLinks implements Disposable {
  readonly #carrier: PacketCarrier;
  readonly #options: KcpClientOptions;
  readonly #closesCarrier: boolean;
  /** By the key of their place: a place answers to one link only. */
  readonly #links = new Map<string, KcpLink>();
  readonly #heard = new Set<KcpLink>();
  readonly #memory: KcpMemory;

  constructor(carrier: PacketCarrier, options: KcpClientOptions, { closesCarrier = false } = {}) {
    this.#carrier = carrier;
    this.#options = options;
    this.#closesCarrier = closesCarrier;
    this.#memory = options.kcp.memory ?? kcpMemory(options.kcp.mtuBytes);
    carrier.start({
      onPacket: (slab, start, end, from) => {
        const link = this.#links.get(from.key);
        if (!link?.receive(slab, start, end)) return;
        this.#heard.add(link);
      },
      onTurn: () => {
        for (const link of this.#heard) link.turn();
        this.#heard.clear();
      },
      onClose: (error) => {
        for (const link of [...this.#links.values()]) link.fail(error);
      },
    });
  }

  /** Links that are open. */
  get size(): number {
    return this.#links.size;
  }

  /** A new link to that place, not yet started; one that was there before ends. */
  open(place: PacketPlace): KcpLink {
    const { kcp, clock, random, makeSeal, makeFec, silenceMs } = this.#options;
    this.#links.get(place.key)?.close();
    const conv = new DataView(random.fill(new Uint8Array(4)).buffer).getUint32(0);
    const link = new KcpLink({
      carrier: this.#carrier,
      place,
      seal: makeSeal(),
      fec: makeFec?.(),
      kcp: { ...kcp, memory: this.#memory, conv },
      clock,
      ...(silenceMs !== undefined && { silenceMs }),
      onEnd: () => {
        if (this.#links.get(place.key) === link) this.#links.delete(place.key);
        this.#heard.delete(link);
        if (this.#closesCarrier && this.#links.size === 0) this.#carrier.close();
      },
    });
    this.#links.set(place.key, link);
    return link;
  }

  [Symbol.dispose](): void {
    for (const link of [...this.#links.values()]) link.close();
    if (this.#closesCarrier) this.#carrier.close();
  }
}
