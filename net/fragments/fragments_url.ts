/**
 * What the URL of a fragment path says:
 *
 *   fragments+https://token@base.example/?central=ID&up=3&down=3&data=2&total=3&sessions=2&post=1
 *
 *   base       the directory that knows the relays; the token is what relays want to hear
 *   central    the only central to use             up, down     relays of each direction per session
 *   data, total  how blocks are coded: any `data` of the `total` shards do
 *   sessions   kept open, at several centrals where there are several
 *   post       1: requests and polls only, no WebSocket
 */

import { CulvertError } from "../../protocol/errors.ts";
import { MAX_LEGS, MAX_SHARDS, MAX_SHARDS_PER_DATA } from "../../protocol/fragment/opening.ts";
import { isPeerId } from "../../protocol/identity.ts";
import { isTunnelToken } from "../../protocol/tunnel.ts";
import { MAX_LINKS } from "../tunnel_path.ts";

export interface FragmentsAddress {
  readonly base: URL;
  readonly token: string | undefined;
  /** The only central to use. */
  readonly centralId: string | undefined;
  readonly up: number;
  readonly down: number;
  readonly dataShards: number;
  readonly totalShards: number;
  readonly sessions: number;
  readonly isPostOnly: boolean;
}

/** What may stand in the query besides the flag, with its bounds and what is meant without it. */
const COUNTS = {
  up: { most: MAX_LEGS, usual: 3 },
  down: { most: MAX_LEGS, usual: 3 },
  data: { most: MAX_SHARDS, usual: 2 },
  total: { most: MAX_SHARDS, usual: 3 },
  sessions: { most: MAX_LINKS, usual: 2 },
} as const;
const NAMES: readonly string[] = [...Object.keys(COUNTS), "central", "post"];

/** Reads the URL. Throws a CulvertError `bad_url` that says what is wrong, without repeating what may be secret. */
export function parseFragmentsUrl(text: string): FragmentsAddress {
  const fail = (rule: string) => new CulvertError("bad_url", `Cannot open fragments: the URL ${rule}`);
  const scheme = /^fragments\+(https?):\/\//.exec(text)?.[1];
  if (!scheme) throw fail('must begin with "fragments+http://" or "fragments+https://"');
  let url: URL;
  try {
    url = new URL(text.slice("fragments+".length));
  } catch {
    throw fail("must look like fragments+https://token@base.example/?up=3&down=3");
  }
  const query = url.searchParams;
  const unknown = [...query.keys()].find((name) => !NAMES.includes(name));
  if (unknown !== undefined) throw fail(`may say ${NAMES.join(", ")} after the "?", got ${JSON.stringify(unknown)}`);
  const count = (name: keyof typeof COUNTS) => readCount(query.get(name), name, fail);
  const [dataShards, totalShards] = readCoding(query.has("data"), count("data"), query.has("total"), count("total"));
  if (dataShards > totalShards) {
    throw fail(`must have total of at least data, got data ${dataShards} and total ${totalShards}`);
  }
  if (totalShards > MAX_SHARDS_PER_DATA * dataShards) {
    const most = `${MAX_SHARDS_PER_DATA} times data`;
    throw fail(`must have total of at most ${most}, got data ${dataShards} and total ${totalShards}`);
  }
  const centralId = query.get("central") ?? undefined;
  if (centralId !== undefined && !isPeerId(centralId)) throw fail("must name a central by its peer id");
  const post = query.get("post");
  if (post !== null && post !== "0" && post !== "1") throw fail(`must have post 0 or 1, got ${JSON.stringify(post)}`);
  const base = new URL(url.origin + url.pathname);
  return {
    base,
    token: readToken(url, fail),
    centralId,
    up: count("up"),
    down: count("down"),
    dataShards,
    totalShards,
    sessions: count("sessions"),
    isPostOnly: post === "1",
  };
}

type Fail = (rule: string) => CulvertError;

function readCount(text: string | null, name: keyof typeof COUNTS, fail: Fail): number {
  const { most, usual } = COUNTS[name];
  if (text === null) return usual;
  const value = /^\d{1,3}$/.test(text) ? Number(text) : NaN;
  if (value >= 1 && value <= most) return value;
  throw fail(`must have ${name} between 1 and ${most}, got ${JSON.stringify(text)}`);
}

/** One that is left out gives way to one that is said. */
function readCoding(isDataSaid: boolean, data: number, isTotalSaid: boolean, total: number): [number, number] {
  if (isDataSaid && !isTotalSaid) return [data, Math.max(data, total)];
  if (isTotalSaid && !isDataSaid) return [Math.min(data, total), total];
  return [data, total];
}

function readToken(url: URL, fail: Fail): string | undefined {
  let token: string;
  try {
    token = decodeURIComponent(url.username || url.password);
  } catch {
    throw fail("must have a token that can be percent-decoded");
  }
  if (token === "") return undefined;
  if (!isTunnelToken(token)) throw fail("must have a token of printable ASCII without spaces");
  return token;
}
