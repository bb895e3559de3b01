/**
 * The trail of a stream as options of the message that asks for it, for the page `hello.culvert`:
 *
 *   option  type u8 | length u16 BE | value                       unknown types are skipped
 *     1     a hop: name length u8 | name | at length u8 | at | round trip u32 BE in µs, 0xffffffff unknown
 */

import type { Hop } from "./stream.ts";
import { concat, encodeText, parseText } from "./tunnel_frame.ts";

const OPTION_HOP = 1;
const RTT_UNKNOWN = 0xffffffff;
/** A message lists at most this many hops; later ones are left out. */
const MAX_HOPS = 16;

export function encodeTrail(trail: readonly Hop[]): Uint8Array {
  return concat(trail.slice(0, MAX_HOPS).map(encodeHop));
}

function encodeHop(hop: Hop): Uint8Array {
  const rttUs = hop.rttMs === undefined
    ? RTT_UNKNOWN
    : Math.min(Math.max(0, Math.round(hop.rttMs * 1000)), RTT_UNKNOWN - 1);
  const value = concat([
    encodeText(hop.name),
    encodeText(hop.at),
    Uint8Array.of(rttUs >>> 24, rttUs >>> 16, rttUs >>> 8, rttUs),
  ]);
  return concat([Uint8Array.of(OPTION_HOP, value.length >>> 8, value.length), value]);
}

/** The hops among the options from a place on; undefined when the options do not add up. */
export function parseTrail(bytes: Uint8Array, from: number): Hop[] | undefined {
  const hops: Hop[] = [];
  for (let at = from; at < bytes.length;) {
    if (at + 3 > bytes.length) return undefined;
    const end = at + 3 + ((bytes[at + 1]! << 8) | bytes[at + 2]!);
    if (end > bytes.length) return undefined;
    if (bytes[at] === OPTION_HOP) {
      const hop = parseHop(bytes.subarray(at + 3, end));
      if (!hop || hops.length === MAX_HOPS) return undefined;
      hops.push(hop);
    }
    at = end;
  }
  return hops;
}

function parseHop(value: Uint8Array): Hop | undefined {
  const name = parseText(value, 0);
  const at = name && parseText(value, name.end);
  if (!at || at.end + 4 !== value.length) return undefined;
  const rttUs = new DataView(value.buffer, value.byteOffset + at.end).getUint32(0);
  const hop = { name: name.text, at: at.text };
  return rttUs === RTT_UNKNOWN ? hop : { ...hop, rttMs: rttUs / 1000 };
}
