/**
 * How packets look that pretend to be of a TCP connection and belong to none. A look makes a flow for each place that is
 * sent to, and says which packets are taken.
 *
 *   ours     an established connection of Linux: the sequence rises by what is sent, what came is acknowledged, timestamps
 *            tell the time. The kernel and cards may cut up long ones and join short ones.
 *   paqet    alpha.21: a sequence and an acknowledgement that climb with a counter; flags take turns, SYN among them maybe.
 *   gfk-py   scapy: sequence 0 or 1, the options of a SYN on every packet.
 *   gfk-go   sequence and acknowledgement are 1 for ever, no options.
 */

import type { Random } from "../random.ts";
import { CulvertError } from "../errors.ts";
import { ACK, FIN, formatFlags, PSH, RST, SYN } from "./flags.ts";
import { ConstantFlow } from "./constant_flow.ts";
import type { FlowEnds } from "./header_template.ts";
import type { LookName } from "./look_name.ts";
import { OurFlow } from "./our_flow.ts";
import { PaqetFlow, PaqetTurns } from "./paqet_flow.ts";
import type { TcpFlow } from "./tcp_flow.ts";

export interface TcpLook {
  readonly name: LookName;
  /** TCP's header with the options that payload usually has. */
  readonly tcpBytes: number;
  /** Whether a packet with a payload and these flags is taken. */
  accepts(flags: number): boolean;
  flow(ends: FlowEnds): TcpFlow;
}

export interface LookOptions {
  /** Who came first: the dialects differ for the two. */
  readonly side: "client" | "server";
  readonly random: Random;
  /** Of the world: looks begin to count there. */
  readonly unixMs: number;
  /** Flag words that packets of `paqet` take turns with; none with RST. */
  readonly flags?: readonly number[];
}

/** The most that any look puts before a payload, IPv6's header included. */
export const MAX_HEADER_BYTES = 80;

export function tcpLook(name: LookName, options: LookOptions): TcpLook {
  switch (name) {
    case "ours":
      return {
        name,
        tcpBytes: 32,
        accepts: (flags) => (flags & (ACK | SYN | RST | FIN)) === ACK,
        flow: (ends) => new OurFlow(ends, options),
      };
    case "paqet": {
      const turns = new PaqetTurns(options.unixMs);
      const flags = options.flags ?? [PSH | ACK];
      if (flags.length === 0 || flags.some((word) => (word & RST) !== 0)) throw notSendable(flags);
      return { name, tcpBytes: 32, accepts: () => true, flow: (ends) => new PaqetFlow(ends, turns, flags) };
    }
    case "gfk-py":
      return {
        name,
        tcpBytes: 32,
        accepts: (flags) => flags === (PSH | ACK),
        flow: (ends) => ConstantFlow.ofPython(ends, options.side),
      };
    case "gfk-go":
      return { name, tcpBytes: 20, accepts: (flags) => (flags & SYN) === 0, flow: (ends) => ConstantFlow.ofGo(ends) };
  }
}

function notSendable(flags: readonly number[]): CulvertError {
  const rule = "there must be one at least, and none with R: a reset would end the flow at every firewall on the way";
  return new CulvertError("invalid_argument", `Cannot use flags: ${rule}, got "${flags.map(formatFlags).join(" ")}"`);
}
