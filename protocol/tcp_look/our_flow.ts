/**
 * Our own packets, as of a connection that has been established for a while: the sequence rises by what is sent, the
 * acknowledgement follows what came, timestamps are a clock and its echo, ids count. Nothing waits for an acknowledgement:
 * what was lost is simply passed over, as it would be by somebody who watches from the middle and has missed a packet.
 */

import type { PacketSlab } from "../packet/packet_slab.ts";
import type { Random } from "../random.ts";
import { ACK, PSH } from "./flags.ts";
import { type FlowEnds, type HeaderShape, HeaderTemplate } from "./header_template.ts";
import type { TcpFlow } from "./tcp_flow.ts";

const SHAPE: HeaderShape = {
  tos: 0,
  dontFragment: true,
  window: 65_535,
  options: [1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0],
  timestampAt: 4,
};

/** More than anything is late by. */
const BEGUN_AGAIN_BYTES = 1 << 26;

export class OurFlow implements TcpFlow {
  readonly #template: HeaderTemplate;
  readonly #timeOffset: number;

  constructor(ends: FlowEnds, { random }: { readonly random: Random }) {
    const begin = new DataView(random.fill(new Uint8Array(16)).buffer);
    const template = this.#template = new HeaderTemplate(ends, SHAPE);
    template.sequence = begin.getUint32(0);
    template.acknowledgement = begin.getUint32(4);
    template.id = begin.getUint16(8);
    template.flags = PSH | ACK;
    template.echo = begin.getUint32(12);
    this.#timeOffset = begin.getUint32(12);
  }

  wrap(slab: PacketSlab, at: number, end: number, nowMs: number): number {
    const template = this.#template;
    template.timestamp = (this.#timeOffset + nowMs) >>> 0;
    const start = template.write(slab, at, end);
    this.#advance(end - at, 1);
    return start;
  }

  wrapLong(slab: PacketSlab, at: number, end: number, segmentBytes: number, nowMs: number): number {
    const template = this.#template;
    template.timestamp = (this.#timeOffset + nowMs) >>> 0;
    const start = template.writeUnfinished(slab, at, end);
    this.#advance(end - at, Math.ceil((end - at) / segmentBytes));
    return start;
  }

  heard(nextSequence: number, timestamp: number): void {
    const template = this.#template;
    const ahead = (nextSequence - template.acknowledgement) | 0;
    // What was overtaken on the way says nothing new; far behind is one who has begun again.
    if (ahead <= 0 && ahead > -BEGUN_AGAIN_BYTES) return;
    template.acknowledgement = nextSequence;
    template.echo = timestamp;
  }

  #advance(bytes: number, packets: number): void {
    const template = this.#template;
    template.sequence = (template.sequence + bytes) >>> 0;
    template.id = (template.id + packets) & 0xffff;
  }
}
