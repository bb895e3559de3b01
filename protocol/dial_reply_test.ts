import { assertEquals } from "@std/assert";
import { dialReplyOf, proxyStatus } from "./dial_reply.ts";
import type { DialFailure } from "./errors.ts";

const rows: [failure: DialFailure, socks5: number, status: number, proxyError: string][] = [
  ["failed", 1, 502, "destination_unavailable"],
  ["denied", 2, 403, "http_request_denied"],
  ["unresolved", 4, 502, "dns_error"],
  ["network_unreachable", 3, 502, "destination_ip_unroutable"],
  ["host_unreachable", 4, 502, "destination_ip_unroutable"],
  ["refused", 5, 502, "connection_refused"],
  ["timeout", 6, 504, "connection_timeout"],
  ["unsupported", 7, 501, "proxy_configuration_error"],
  ["busy", 1, 503, "connection_limit_reached"],
  ["unauthorized", 1, 502, "proxy_configuration_error"],
  ["path_down", 3, 503, "destination_unavailable"],
];

Deno.test("every dial failure has its truth in SOCKS5, SOCKS4, HTTP and Proxy-Status", () => {
  for (const [failure, socks5, status, proxyError] of rows) {
    const reply = dialReplyOf(failure);
    assertEquals([reply.socks5, reply.socks4, reply.status, reply.proxyError], [socks5, 91, status, proxyError]);
  }
  assertEquals(proxyStatus("dns_error"), "culvert; error=dns_error");
});
