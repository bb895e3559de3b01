/**
 * The trail of a stream as options of the message that asks for it, for the page `hello.culvert`:
 *
 *   option  type u8 | length u16 BE | value                       unknown types are skipped
 *     1     a hop: name length u8 | name | at length u8 | at | round trip u32 BE in µs, 0xffffffff unknown
 *     2     more of the hop before it: region length u8 | region | seal length u8 | seal, either may be empty; what follows
 *           them is skipped
 */

import type { Hop } from "./stream.ts";
import { concat, encodeText, parseText } from "./tunnel_frame.ts";

const OPTION_HOP = 1;
const OPTION_MORE = 2;
const RTT_UNKNOWN = 0xffffffff;
/** A message lists at most this many hops; later ones are left out. */
const MAX_HOPS = 16;
const MAX_REGION_BYTES = 32;
const MAX_SEAL_BYTES = 64;

export function encodeTrail(trail: readonly Hop[]): Uint8Array {
  return concat(trail.slice(0, MAX_HOPS).flatMap((hop) => [encodeHop(hop), encodeMore(hop)]));
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
  return encodeOption(OPTION_HOP, value);
}

function encodeMore({ region = "", seal = "" }: Hop): Uint8Array {
  if (region === "" && seal === "") return new Uint8Array();
  return encodeOption(OPTION_MORE, concat([encodeText(region, MAX_REGION_BYTES), encodeText(seal, MAX_SEAL_BYTES)]));
}

function encodeOption(type: number, value: Uint8Array): Uint8Array {
  return concat([Uint8Array.of(type, value.length >>> 8, value.length), value]);
}

/** The hops among the options from a place on; undefined when the options do not add up. */
export function parseTrail(bytes: Uint8Array, from: number): Hop[] | undefined {
  const hops: Hop[] = [];
  for (let at = from; at < bytes.length;) {
    if (at + 3 > bytes.length) return undefined;
    const end = at + 3 + ((bytes[at + 1]! << 8) | bytes[at + 2]!);
    if (end > bytes.length) return undefined;
    const value = bytes.subarray(at + 3, end);
    if (bytes[at] === OPTION_HOP) {
      const hop = parseHop(value);
      if (!hop || hops.length === MAX_HOPS) return undefined;
      hops.push(hop);
    } else if (bytes[at] === OPTION_MORE) {
      const hop = hops.pop();
      const more = parseMore(value);
      if (!hop || !more) return undefined;
      hops.push({ ...hop, ...more });
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

function parseMore(value: Uint8Array): Pick<Hop, "region" | "seal"> | undefined {
  const region = parseText(value, 0);
  const seal = region && parseText(value, region.end);
  if (!seal) return undefined;
  return { ...(region.text !== "" && { region: region.text }), ...(seal.text !== "" && { seal: seal.text }) };
}
