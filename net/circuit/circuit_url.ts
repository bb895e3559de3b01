/**
 * What the URL of a path over circuits says:
 *
 *   circuit+https://base.example/?hops=2&gateway=ID&circuits=2&rotate=60-120&padding=5
 *
 *   base      the directory that knows the relays
 *   hops      relays before the gateway           gateway   the only one to use, by its peer id; left out: any
 *   circuits  at once                             rotate    seconds between changes of circuits, from–to or one number
 *   padding   cells that say nothing, per second and circuit, on the way out
 */

import { CulvertError } from "../../protocol/errors.ts";
import { MAX_HOPS } from "../../protocol/circuit/cell.ts";
import { isPeerId } from "../../protocol/identity.ts";
import { DEFAULT_ROTATE_MS, MAX_CIRCUITS } from "./path.ts";

export interface CircuitAddress {
  readonly base: URL;
  readonly hops: number;
  readonly gatewayId: string | undefined;
  readonly circuits: number;
  readonly rotateMs: readonly [least: number, most: number];
  readonly paddingPerSecond: number;
}

const NAMES = ["hops", "gateway", "circuits", "rotate", "padding"];
const MAX_ROTATE_S = 86_400;
const MAX_PADDING = 1000;

type Fail = (rule: string) => CulvertError;

/** Reads the URL. Throws a CulvertError `bad_url` that says what is wrong. */
export function parseCircuitUrl(text: string): CircuitAddress {
  const fail: Fail = (rule) => new CulvertError("bad_url", `Cannot use circuits: the URL ${rule}`);
  if (!/^circuit\+https?:\/\//.test(text)) throw fail('must begin with "circuit+http://" or "circuit+https://"');
  const url = URL.parse(text.slice("circuit+".length));
  if (!url) throw fail("must look like circuit+https://base.example/?hops=2&circuits=2");
  if (url.username || url.password) throw fail("must have no user: relays know who dials by its identity");
  const query = url.searchParams;
  const unknown = [...query.keys()].find((name) => !NAMES.includes(name));
  if (unknown !== undefined) throw fail(`may say ${NAMES.join(", ")} after the "?", got ${JSON.stringify(unknown)}`);
  const gatewayId = query.get("gateway") ?? undefined;
  if (gatewayId !== undefined && !isPeerId(gatewayId)) throw fail("must name the gateway by its peer id");
  return {
    base: new URL(url.origin + url.pathname),
    hops: readNumber(query, { name: "hops", usual: 2, least: 2, most: MAX_HOPS - 1 }, fail),
    gatewayId,
    circuits: readNumber(query, { name: "circuits", usual: 2, least: 1, most: MAX_CIRCUITS }, fail),
    rotateMs: readRotation(query.get("rotate"), fail),
    paddingPerSecond: readNumber(query, { name: "padding", usual: 0, least: 0, most: MAX_PADDING }, fail),
  };
}

interface NumberRule {
  readonly name: string;
  readonly usual: number;
  readonly least: number;
  readonly most: number;
}

function readNumber(query: URLSearchParams, { name, usual, least, most }: NumberRule, fail: Fail): number {
  const text = query.get(name);
  if (text === null) return usual;
  const value = /^\d{1,6}$/.test(text) ? Number(text) : NaN;
  if (value >= least && value <= most) return value;
  throw fail(`must have ${name} between ${least} and ${most}, got ${JSON.stringify(text)}`);
}

/** Seconds: "90", or "60-120". */
function readRotation(text: string | null, fail: Fail): readonly [number, number] {
  if (text === null) return DEFAULT_ROTATE_MS;
  const [, least, most = least] = /^(\d{1,6})(?:-(\d{1,6}))?$/.exec(text) ?? [];
  const [from, to] = [Number(least), Number(most)];
  if (from >= 1 && from <= to && to <= MAX_ROTATE_S) return [from * 1000, to * 1000];
  throw fail(`must have rotate as seconds from 1 to ${MAX_ROTATE_S}, such as 60-120, got ${JSON.stringify(text)}`);
}
