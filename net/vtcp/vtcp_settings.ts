/** What both ends of our own vtcp keep to. */

export const VTCP_ALPN: readonly string[] = ["h3"];
/** NATs forget in tens of seconds, but a way that was lost is found out only by sending on it. */
export const KEEP_ALIVE_MS = 2000;
/** Of QUIC, at both ends. Longer than it takes to be let in anew. */
export const QUIC_IDLE_MS = 20_000;
/** Of the bridge, at a server. Longer than that of QUIC, or an address could be given to another too soon. */
export const CLIENT_IDLE_MS = 60_000;
/**
 * On one connection, at a server. Each costs 80 bytes, used or not, and a server has many idle clients; who wants more streams
 * makes more connections.
 */
export const STREAMS_OF_A_CONNECTION = 32;
