/**
 * How a stream of GFW-knocker's Python version begins, in ASCII, on a QUIC stream that the client opened:
 *
 *   client   <auth>connect,tcp,<port>,!###!        server   <auth>i am ready,!###!        then bytes both ways
 *   client   <auth>connect,udp,<port>,!###!        no answer; datagrams one after the other, with nothing between them
 *
 * There is no host: the server dials its backend. What follows a header in the same read belongs to the stream (the original
 * loses it). The end of either direction is taken for the end of both by the original; nothing tells a cut from an end.
 */

import { bad, done, MORE, type Parsed } from "../parse.ts";

export const DEFAULT_PY_AUTH = "jd!gn0s4";
const END = "!###!";
/** Beyond any header: the longest auth, the words and a port. */
export const MAX_PY_HEADER_BYTES = 512;
export const MAX_PY_AUTH_BYTES = 256;

export interface PyRequest {
  readonly network: "tcp" | "udp";
  readonly port: number;
}

/** Whether it can stand at the start of a header and be found there again. */
export function isPyAuth(auth: string): boolean {
  return auth.length >= 1 && auth.length <= MAX_PY_AUTH_BYTES && /^[\x20-\x7e]+$/.test(auth) && !auth.includes(END);
}

export function encodePyRequest(auth: string, { network, port }: PyRequest): Uint8Array<ArrayBuffer> {
  return ascii(`${auth}connect,${network},${port},${END}`);
}

export function encodePyReady(auth: string): Uint8Array<ArrayBuffer> {
  return ascii(`${auth}i am ready,${END}`);
}

/** `bad` as soon as the bytes cannot become a request that knows `auth`. */
export function parsePyRequest(bytes: Uint8Array, auth: string): Parsed<PyRequest> {
  const header = parseHeader(bytes, `${auth}connect,`);
  if (header.status !== "done") return header;
  const match = /^(tcp|udp),(\d{1,5}),$/.exec(header.value);
  const port = Number(match?.[2]);
  if (!match || port < 1 || port > 65535) return bad("malformed request");
  return done({ network: match[1] as PyRequest["network"], port }, header.length);
}

export function parsePyReady(bytes: Uint8Array, auth: string): Parsed<"ready"> {
  const header = parseHeader(bytes, `${auth}i am ready,`);
  if (header.status !== "done") return header;
  return header.value === "" ? done("ready", header.length) : bad("malformed answer");
}

/** What stands between `prefix` and the end mark. The prefix is compared without telling how much of it was right. */
function parseHeader(bytes: Uint8Array, prefix: string): Parsed<string> {
  const compared = Math.min(prefix.length, bytes.length);
  let difference = 0;
  for (let at = 0; at < compared; at++) difference |= bytes[at]! ^ prefix.charCodeAt(at);
  if (difference !== 0) return bad("unknown secret");
  if (bytes.length < prefix.length) return MORE;
  const text = String.fromCharCode(...bytes.subarray(prefix.length, MAX_PY_HEADER_BYTES));
  const end = text.indexOf(END);
  if (end < 0) return bytes.length < MAX_PY_HEADER_BYTES ? MORE : bad("endless header");
  return done(text.slice(0, end), prefix.length + end + END.length);
}

function ascii(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}
