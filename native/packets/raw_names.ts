/** The names that raw packets are sent to, as words of a sockaddr: an IP address without a port, or an interface. */

import type { IpAddress } from "../../protocol/ip.ts";
import { nameWord, putBytes } from "../udp_endpoint.ts";
import { AF_INET6 } from "../udp_options.ts";
import { AF_PACKET, etherTypeOf } from "./packet_socket.ts";

export { AF_INET, AF_INET6 } from "../udp_options.ts";

/** The longest: sockaddr_in6. */
export const NAME_WORDS = 7;
export const HOP_NAME_BYTES = 20;
const SOCKADDR_IN_WORDS = 4;

/** No port: raw sockets of IPv6 take it for a protocol. */
export function putName(address: IpAddress, family: number): Uint32Array<ArrayBuffer> {
  const isV6 = family === AF_INET6;
  const words = new Uint32Array(isV6 ? NAME_WORDS : SOCKADDR_IN_WORDS);
  words[0] = nameWord(family, 0);
  putBytes(words, isV6 ? 2 : 1, address);
  return words;
}

/** struct sockaddr_ll, for frames that bring their own link header: only the interface and the kind of packet count. */
export function hopName(interfaceIndex: number, isV6: boolean): Uint32Array<ArrayBuffer> {
  return Uint32Array.of(nameWord(AF_PACKET, etherTypeOf(isV6)), interfaceIndex, 0, 0, 0);
}
