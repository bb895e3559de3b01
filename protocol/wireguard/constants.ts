/**
 * The numbers of WireGuard. The first block is the protocol's own (whitepaper §5.4, §6.1; the same in every
 * implementation), the second what this implementation chose within it.
 */

export const INITIATION_TYPE = 1;
export const RESPONSE_TYPE = 2;
export const COOKIE_REPLY_TYPE = 3;
export const TRANSPORT_TYPE = 4;

export const INITIATION_BYTES = 148;
export const RESPONSE_BYTES = 92;
export const COOKIE_REPLY_BYTES = 64;
/** Type, receiver's index, counter: what precedes the sealed packet. */
export const TRANSPORT_HEADER_BYTES = 16;
export const TAG_BYTES = 16;
/** A transport message that carries nothing. */
export const KEEPALIVE_BYTES = TRANSPORT_HEADER_BYTES + TAG_BYTES;
/** What a packet grows by, padding aside. */
export const TRANSPORT_OVERHEAD_BYTES = TRANSPORT_HEADER_BYTES + TAG_BYTES;
/** Payloads are padded to a multiple of this, but never beyond the MTU. */
export const PADDING_BYTES = 16;

export const REKEY_AFTER_TIME_MS = 120_000;
export const REJECT_AFTER_TIME_MS = 180_000;
export const REKEY_ATTEMPT_TIME_MS = 90_000;
export const REKEY_TIMEOUT_MS = 5_000;
export const REKEY_TIMEOUT_JITTER_MS = 333;
export const KEEPALIVE_TIMEOUT_MS = 10_000;
export const COOKIE_SECRET_TIME_MS = 120_000;
/** An initiation of one peer sooner than this after the last is dropped. */
export const INITIATION_INTERVAL_MS = 20;
export const REPLAY_WINDOW = 8128;

/**
 * The protocol's 2^60 and 2^64 - 2^13 - 1, cut to what a JavaScript number counts exactly. At ten million packets a
 * second the smaller one takes 28 years to reach, a key lives three minutes.
 */
export const REKEY_AFTER_MESSAGES = 2 ** 52;
export const REJECT_AFTER_MESSAGES = 2 ** 53 - 2 ** 13 - 1;

/** Packets that wait for a handshake, per peer; the oldest goes when another comes. */
export const STAGED_PACKETS = 128;
/** Handshake messages that wait to be looked at; above, they are dropped unread. */
export const HANDSHAKE_QUEUE = 1024;
/** From here on we are under load and ask for cookies. */
export const HANDSHAKE_QUEUE_LOAD = 128;
/** How long a moment of load lasts. */
export const UNDER_LOAD_MS = 1_000;
export const MAX_PEERS = 1 << 16;
/** 1500 less IPv6, UDP and our own header. */
export const DEFAULT_MTU = 1420;
/** AF41 and ECN not capable: what handshake messages carry in the outer header. */
export const HANDSHAKE_DSCP = 0x88;
