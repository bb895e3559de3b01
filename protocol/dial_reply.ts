/**
 * The truth about a failed dial, in each dialect a proxy speaks: SOCKS5 reply (RFC 1928 §6), SOCKS4 code, HTTP status,
 * and the error type of the `Proxy-Status` field (RFC 9209 §2.3).
 *
 * `unauthorized` means that a server further on does not know us. That is a fault of the way, so it is 502: 407 asks
 * the program for a password, and no password it could send would help.
 */

import type { DialFailure } from "./errors.ts";
import { formatString } from "./structured_field.ts";
import { SocksReply } from "./socks.ts";
import { Socks4Reply } from "./socks4.ts";

export interface DialReply {
  readonly socks5: number;
  readonly socks4: number;
  readonly status: number;
  readonly reason: string;
  /** The registered error type. */
  readonly proxyError: string;
}

/** A row without the column that never differs: SOCKS4 has one word for every failure. */
function row(socks5: number, status: number, reason: string, proxyError: string): DialReply {
  return { socks5, socks4: Socks4Reply.rejected, status, reason, proxyError };
}

const replies: Readonly<Record<DialFailure, DialReply>> = {
  failed: row(SocksReply.failed, 502, "Bad Gateway", "destination_unavailable"),
  denied: row(SocksReply.denied, 403, "Forbidden", "http_request_denied"),
  unresolved: row(SocksReply.hostUnreachable, 502, "Bad Gateway", "dns_error"),
  network_unreachable: row(SocksReply.networkUnreachable, 502, "Bad Gateway", "destination_ip_unroutable"),
  host_unreachable: row(SocksReply.hostUnreachable, 502, "Bad Gateway", "destination_ip_unroutable"),
  refused: row(SocksReply.refused, 502, "Bad Gateway", "connection_refused"),
  timeout: row(SocksReply.ttlExpired, 504, "Gateway Timeout", "connection_timeout"),
  unsupported: row(SocksReply.commandUnsupported, 501, "Not Implemented", "proxy_configuration_error"),
  busy: row(SocksReply.failed, 503, "Service Unavailable", "connection_limit_reached"),
  unauthorized: row(SocksReply.failed, 502, "Bad Gateway", "proxy_configuration_error"),
  path_down: row(SocksReply.networkUnreachable, 503, "Service Unavailable", "destination_unavailable"),
  unpaid: row(SocksReply.denied, 402, "Payment Required", "http_request_denied"),
};

export function dialReplyOf(failure: DialFailure): DialReply {
  return replies[failure];
}

/** The other way: what a status and an error type together say; undefined when no reply of ours has both. */
export function dialFailureOfReply(status: number, proxyError: string): DialFailure | undefined {
  const found = Object.entries(replies).find(([, reply]) => reply.status === status && reply.proxyError === proxyError);
  return found?.[0] as DialFailure | undefined;
}

/** The value of a `Proxy-Status` field that names this error type, and what more there is to say. */
export function proxyStatus(proxyError: string, details?: string): string {
  const status = `culvert; error=${proxyError}`;
  return details === undefined ? status : `${status}; details=${formatString(details)}`;
}
