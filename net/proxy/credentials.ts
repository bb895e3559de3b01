/**
 * Who may use the proxy: a function of yours, or names and their passwords. With names, the comparison takes as long
 * for a wrong password as for a right one, and for an unknown name as for a known one.
 *
 * A function may also give a client a Path of its own, or say why it is refused. HTTP is told the status and the reason;
 * SOCKS5 knows two words: 407 fails the password exchange, anything else is the reply to the request that follows.
 */

import { SocksReply } from "../../protocol/socks.ts";
import type { Path, Target } from "../../protocol/stream.ts";

/** Asked with where the client connects from, and before every HTTP request anew. */
export type CheckCredentials = (user: string, password: string, from: Target) => Admission | Promise<Admission>;

/** Whether a program may come in, and by which Path. */
export type Admission =
  | boolean
  /** What the client asks for goes through this one, which is not closed with it. */
  | { readonly path: Path }
  | ProxyRefusal;

/** Why somebody may not come in: shown to them. */
export interface ProxyRefusal {
  /** 402: unpaid; 403: not allowed; 407: not known, or the user name makes no sense; 503: try later. */
  readonly status: 402 | 403 | 407 | 503;
  /** A sentence, without its full stop. */
  readonly reason: string;
  /** The error type for `Proxy-Status` (RFC 9209 §2.3). Default: `http_request_denied`. */
  readonly proxyError?: string;
}

/** What SOCKS5 says to a request of somebody who is refused. */
export function socksReplyOf(refusal: ProxyRefusal): number {
  return refusal.status === 503 ? SocksReply.failed : SocksReply.denied;
}

/** Who may come in: passwords by name, or a function that decides. */
export type ProxyAuth = CheckCredentials | Readonly<Record<string, string>>;

export function checkerOf(auth: ProxyAuth): CheckCredentials {
  if (typeof auth === "function") return auth;
  const encoder = new TextEncoder();
  const passwords = new Map(Object.entries(auth).map(([user, password]) => [user, encoder.encode(password)]));
  const nobody = new Uint8Array();
  return (user, password) => {
    const expected = passwords.get(user);
    const same = equalInConstantTime(encoder.encode(password), expected ?? nobody);
    return same && expected !== undefined;
  };
}

/** Looks at every byte of `given`, whatever it finds. */
function equalInConstantTime(given: Uint8Array, expected: Uint8Array): boolean {
  let difference = given.length ^ expected.length;
  for (let at = 0; at < given.length; at++) difference |= given[at]! ^ (expected[at] ?? 0);
  return difference === 0;
}
