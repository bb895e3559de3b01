/**
 * The filter of a tap in classic BPF (linux/filter.h): TCP and UDP from or to a run of ports, of both families. Offsets count
 * from the network header. Only the first of a packet's fragments has ports; packets of IPv6 with headers in between are
 * not seen.
 */

import type { PortSpan } from "../../protocol/port_span.ts";

const LOAD_8 = 0x30;
const LOAD_16 = 0x28;
const LOAD_16_AT_X = 0x48;
const LOAD_IP_HEADER_LENGTH_INTO_X = 0xb1;
const SHIFT_RIGHT = 0x74;
const SUBTRACT = 0x14;
const IS_EQUAL = 0x15;
const IS_ABOVE = 0x25;
const HAS_BITS = 0x45;
const RETURN = 0x06;
/** What Linux counts from the network header (SKF_NET_OFF). */
const NETWORK = 0xfff00000;
const ALL_BYTES = 0x40000;
const INSTRUCTION_BYTES = 8;

/** Where it goes on: the next one when nothing is said. */
interface Step {
  readonly label?: string;
  readonly operation: number;
  readonly operand: number;
  readonly whenTrue?: string;
  readonly whenFalse?: string;
}

export function tapFilter(ports: PortSpan): Uint8Array<ArrayBuffer> {
  const load = (operation: number, offset: number, label?: string): Step => ({
    operation,
    operand: (NETWORK + offset) >>> 0,
    ...label !== undefined && { label },
  });
  const when = (operation: number, operand: number, whenTrue?: string, whenFalse?: string): Step => ({
    operation,
    operand,
    ...whenTrue !== undefined && { whenTrue },
    ...whenFalse !== undefined && { whenFalse },
  });
  const isPort = (loading: Step, otherwise: string): Step[] => [
    loading,
    when(SUBTRACT, ports.first),
    when(IS_ABOVE, ports.count - 1, otherwise, "take"),
  ];
  const isTcpOrUdp = [when(IS_EQUAL, 6, "ports"), when(IS_EQUAL, 17, "ports", "drop")];
  const named = (steps: readonly Step[], family: string) =>
    steps.map((step) => ({
      ...step,
      ...step.label !== undefined && { label: family + step.label },
      ...step.whenTrue === "ports" && { whenTrue: `${family}ports` },
    }));
  return assemble([
    load(LOAD_8, 0),
    when(SHIFT_RIGHT, 4),
    when(IS_EQUAL, 6, "v6"),
    when(IS_EQUAL, 4, undefined, "drop"),
    load(LOAD_16, 6),
    when(HAS_BITS, 0x1fff, "drop"),
    ...named([load(LOAD_8, 9), ...isTcpOrUdp, load(LOAD_IP_HEADER_LENGTH_INTO_X, 0, "ports")], "v4"),
    ...isPort(load(LOAD_16_AT_X, 0), "v4to"),
    ...isPort(load(LOAD_16_AT_X, 2, "v4to"), "drop"),
    ...named([load(LOAD_8, 6, ""), ...isTcpOrUdp], "v6"),
    ...isPort(load(LOAD_16, 40, "v6ports"), "v6to"),
    ...isPort(load(LOAD_16, 42, "v6to"), "drop"),
    { label: "take", operation: RETURN, operand: ALL_BYTES },
    { label: "drop", operation: RETURN, operand: 0 },
  ]);
}

function assemble(steps: readonly Step[]): Uint8Array<ArrayBuffer> {
  const program = new Uint8Array(steps.length * INSTRUCTION_BYTES);
  const view = new DataView(program.buffer);
  const places = new Map(steps.flatMap(({ label }, index) => label === undefined ? [] : [[label, index] as const]));
  steps.forEach(({ operation, operand, whenTrue, whenFalse }, index) => {
    const skip = (label: string | undefined) => label === undefined ? 0 : places.get(label)! - index - 1;
    view.setUint16(index * INSTRUCTION_BYTES, operation, true);
    program[index * INSTRUCTION_BYTES + 2] = skip(whenTrue);
    program[index * INSTRUCTION_BYTES + 3] = skip(whenFalse);
    view.setUint32(index * INSTRUCTION_BYTES + 4, operand, true);
  });
  return program;
}
