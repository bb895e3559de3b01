/**
 * Where the fields of IPv4 (RFC 791), IPv6 (RFC 8200), TCP (RFC 9293) and UDP (RFC 768) headers lie, from each header's
 * start, and the values that packet surgery looks at.
 */

export const IPV4_BYTES = 20;
export const IPV4_TOS = 1;
export const IPV4_TOTAL_LENGTH = 2;
export const IPV4_ID = 4;
export const IPV4_FRAGMENT = 6;
export const IPV4_TTL = 8;
export const IPV4_PROTOCOL = 9;
export const IPV4_CHECKSUM = 10;
export const IPV4_ADDRESSES = 12;
/** Version 4 and a header of five words: no options. */
export const IPV4_PLAIN = 0x45;
/** In the word at `IPV4_FRAGMENT`. */
export const DONT_FRAGMENT = 0x4000;
/** More fragments, or an offset: the packet is a part of one. */
export const FRAGMENT_MASK = 0x3fff;

export const IPV6_BYTES = 40;
export const IPV6_PAYLOAD_LENGTH = 4;
export const IPV6_NEXT_HEADER = 6;
export const IPV6_HOP_LIMIT = 7;
export const IPV6_ADDRESSES = 8;

export const TCP_BYTES = 20;
export const TCP_SEQUENCE = 4;
export const TCP_ACKNOWLEDGEMENT = 8;
/** Data offset, flags and window in one word. */
export const TCP_OFFSET_FLAGS_WINDOW = 12;
export const TCP_FLAGS = 13;
export const TCP_CHECKSUM = 16;
export const TCP_FIN = 0x01;
export const TCP_PSH = 0x08;
export const TCP_ACK = 0x10;
export const TCP_CWR = 0x80;

export const UDP_BYTES = 8;
export const UDP_LENGTH = 4;
export const UDP_CHECKSUM = 6;

export const TCP = 6;
export const UDP = 17;
export const ICMPV6 = 58;

/** The most that IPv4's total length and IPv6's payload length can say. */
export const MAX_IP_BYTES = 65_535;
