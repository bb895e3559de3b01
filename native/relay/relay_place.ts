/**
 * Places as the relay's sockets know them. Where the system has IPv6, one socket serves both families and sees an IPv4
 * address as `::ffff:192.0.2.1`, so that is what its places hold; to everyone else they are told as IPv4.
 */

import { CulvertError } from "../../protocol/errors.ts";
import { isV4Mapped } from "../../protocol/ip.ts";
import { formatEndpoint } from "../../protocol/wireguard/endpoint.ts";
import type { Endpoint } from "../../protocol/wireguard/settings.ts";
import { nameWord, putBytes, UdpEndpoint } from "../udp_endpoint.ts";
import { AF_INET6 } from "../udp_options.ts";

const V6_WORDS = 11;
/** An IPv4 address is the last of four words, behind two zeros and this. */
export const V4_MAPPED_WORD = 0xffff0000;

/** The place that an endpoint is to a socket of both families, or of IPv4 alone; throws `no_ipv6` where it can be none. */
export function placeAt(endpoint: Endpoint, isV6: boolean): UdpEndpoint {
  const place = UdpEndpoint.from(endpoint);
  if (place.isV6 && !isV6) {
    const got = formatEndpoint(endpoint);
    throw new CulvertError("no_ipv6", `Cannot relay to a place: this system has no IPv6, it must be IPv4, got ${got}`);
  }
  if (place.isV6 || !isV6) return place;
  const words = new Uint32Array(V6_WORDS);
  words[0] = nameWord(AF_INET6, place.port);
  words[4] = V4_MAPPED_WORD;
  putBytes(words, 5, place.address);
  return new UdpEndpoint(words);
}

/** Whether it is an IPv4 place of a socket of both families. */
export function isV4Place({ words }: UdpEndpoint): boolean {
  return words.length === V6_WORDS && words[4] === V4_MAPPED_WORD && words[2] === 0 && words[3] === 0;
}

export function endpointAt({ address, port, scopeId }: Endpoint): Endpoint {
  const plain = isV4Mapped(address) ? address.slice(12) : address;
  return scopeId === undefined ? { address: plain, port } : { address: plain, port, scopeId };
}
