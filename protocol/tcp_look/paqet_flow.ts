/**
 * paqet's packets (alpha.21): one counter for all that a program sends, from which sequence, acknowledgement and timestamps
 * climb; flags that take turns. Those with SYN among them have the options of a SYN.
 */

import type { PacketSlab } from "../packet/packet_slab.ts";
import { ACK, RST, SYN } from "./flags.ts";
import { type FlowEnds, type HeaderShape, HeaderTemplate } from "./header_template.ts";
import type { TcpFlow } from "./tcp_flow.ts";

const SHAPE = { tos: 184, dontFragment: true, window: 65_535 } as const;
const NO_TIME = [0, 0, 0, 0, 0, 0, 0, 0];
const PLAIN_SHAPE: HeaderShape = { ...SHAPE, options: [1, 1, 8, 10, ...NO_TIME], timestampAt: 4 };
/** MSS 1460, selective acknowledgements, timestamp, nothing, window scale 8. */
const SYN_SHAPE: HeaderShape = {
  ...SHAPE,
  options: [2, 4, 0x05, 0xb4, 4, 2, 8, 10, ...NO_TIME, 1, 3, 3, 8],
  timestampAt: 8,
};

/** Counts the packets of all flows. */
export class PaqetTurns {
  readonly beganAt: number;
  count = 0;

  constructor(unixMs: number) {
    this.beganAt = unixMs % 2 ** 32;
  }
}

export class PaqetFlow implements TcpFlow {
  readonly #plain: HeaderTemplate;
  readonly #syn: HeaderTemplate;
  readonly #turns: PaqetTurns;
  readonly #ownFlags: readonly number[];
  #flags: readonly number[];
  #turn = 0;

  constructor(ends: FlowEnds, turns: PaqetTurns, flags: readonly number[]) {
    this.#plain = new HeaderTemplate(ends, PLAIN_SHAPE);
    this.#syn = new HeaderTemplate(ends, SYN_SHAPE);
    this.#turns = turns;
    this.#ownFlags = this.#flags = flags;
  }

  useFlags(flags: readonly number[]): void {
    // Whoever wishes for resets does not get them: they would end the flow at every firewall on the way.
    const sent = flags.filter((word) => (word & RST) === 0);
    this.#flags = sent.length === 0 ? this.#ownFlags : sent;
    this.#turn = 0;
  }

  wrap(slab: PacketSlab, at: number, end: number): number {
    const flags = this.#flags[this.#turn]!;
    this.#turn = (this.#turn + 1) % this.#flags.length;
    const { beganAt } = this.#turns, count = this.#turns.count = (this.#turns.count + 1) >>> 0;
    const template = (flags & SYN) === 0 ? this.#plain : this.#syn;
    template.flags = flags;
    template.timestamp = (beganAt + (count >>> 3)) >>> 0;
    if (template === this.#syn) {
      template.sequence = 1 + (count & 7);
      template.acknowledgement = (flags & ACK) === 0 ? 0 : template.sequence + 1;
      template.echo = 0;
    } else {
      template.sequence = (beganAt + (count << 7)) >>> 0;
      template.acknowledgement = (template.sequence - (count & 0x3ff) + 1400) >>> 0;
      template.echo = (template.timestamp - (count % 200 + 50)) >>> 0;
    }
    return template.write(slab, at, end);
  }
}
