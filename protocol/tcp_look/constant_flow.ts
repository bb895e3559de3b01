/**
 * GFW-Knocker's packets, which say the same every time. A sequence that does not move never leaves the window of whoever
 * watches on the way.
 */

import type { PacketSlab } from "../packet/packet_slab.ts";
import { ACK, PSH } from "./flags.ts";
import { type FlowEnds, type HeaderShape, HeaderTemplate } from "./header_template.ts";
import type { TcpFlow } from "./tcp_flow.ts";

/** MSS 1280, window scale 8, selective acknowledgements, and an end and padding to whole words. */
const PYTHON_OPTIONS = [2, 4, 0x05, 0x00, 3, 3, 8, 4, 2, 0, 0, 0];
const PYTHON_SHAPE: HeaderShape = {
  tos: 0,
  dontFragment: false,
  window: 8192,
  options: PYTHON_OPTIONS,
  timestampAt: -1,
};
const GO_SHAPE: HeaderShape = { tos: 0, dontFragment: true, window: 65_535, options: [], timestampAt: -1 };

export class ConstantFlow implements TcpFlow {
  readonly #template: HeaderTemplate;

  private constructor(template: HeaderTemplate) {
    this.#template = template;
  }

  /** What scapy fills in: an id of 1. */
  static ofPython(ends: FlowEnds, side: "client" | "server"): ConstantFlow {
    const template = new HeaderTemplate(ends, PYTHON_SHAPE);
    template.id = 1;
    template.sequence = side === "server" ? 1 : 0;
    template.flags = PSH | ACK;
    return new ConstantFlow(template);
  }

  static ofGo(ends: FlowEnds): ConstantFlow {
    const template = new HeaderTemplate(ends, GO_SHAPE);
    template.sequence = template.acknowledgement = 1;
    template.flags = PSH | ACK;
    return new ConstantFlow(template);
  }

  wrap(slab: PacketSlab, at: number, end: number): number {
    return this.#template.write(slab, at, end);
  }
}
