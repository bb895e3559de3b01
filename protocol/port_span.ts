/**
 * One port, or several that follow one another: what a carrier receives on, and what it may send to.
 */

import { CulvertError } from "./errors.ts";

export interface PortSpan {
  readonly first: number;
  readonly count: number;
}

/** A port, or a span of them. */
export type Ports = number | PortSpan;

/** More than anyone hops over; each may be a socket. */
export const MAX_SPAN_PORTS = 256;

/** Throws when it is none; `mayBeChosen`: 0 lets the system choose (one port only). */
export function portSpan(ports: Ports, { mayBeChosen = false }: { readonly mayBeChosen?: boolean } = {}): PortSpan {
  const span = typeof ports === "number" ? { first: ports, count: 1 } : ports;
  const { first, count } = span;
  const least = mayBeChosen && count === 1 ? 0 : 1;
  const isSpan = Number.isInteger(first) && Number.isInteger(count) && first >= least && count >= 1 &&
    count <= MAX_SPAN_PORTS && first + count <= 65_536;
  if (isSpan) return span;
  const rule = `${least} to 65535, at most ${MAX_SPAN_PORTS} in a row`;
  throw new CulvertError("invalid_argument", `Cannot use ports: they must be ${rule}, got ${formatPorts(ports)}`);
}

/** Each of them. */
export function portsOf({ first, count }: PortSpan): number[] {
  return Array.from({ length: count }, (_, index) => first + index);
}

/** `45000` or `45000-45007`. */
export function formatPorts(ports: Ports): string {
  if (typeof ports === "number") return `${ports}`;
  const { first, count } = ports;
  return count === 1 ? `${first}` : `${first}-${first + count - 1}`;
}

/** Reads what `formatPorts` writes; undefined when it is something else. */
export function parsePorts(text: string): PortSpan | undefined {
  const [, from, to] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text) ?? [];
  if (from === undefined) return undefined;
  const first = Number(from), count = Number(to ?? from) - first + 1;
  const isSpan = first >= 1 && count >= 1 && count <= MAX_SPAN_PORTS && first + count <= 65_536;
  return isSpan ? { first, count } : undefined;
}
