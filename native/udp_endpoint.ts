/**
 * Endpoint ↔ sockaddr. A `UdpEndpoint` is an Endpoint that also knows the address of ours its datagrams came to, so that
 * answers leave from there (on a host with several addresses, a peer behind a strict firewall takes no other), and keeps
 * both as the words the kernel wants:
 *
 *   v4: family, port │ address │ ours                                       3 words
 *   v6: family, port │ flow info (0) │ address 4 │ scope id │ ours 4        11 words
 *
 * `EndpointTable` gives the same object for the same words as long as it remembers them, so that a peer that stays where
 * it is costs no garbage and is recognised by `===`. It is a cache of fixed size: what two endpoints of one slot cost is a
 * new object, never an error.
 */

import { type IpAddress, isV4Mapped } from "../protocol/ip.ts";
import type { Endpoint } from "../protocol/wireguard/settings.ts";
import type { Slab } from "../protocol/slab.ts";
import { AF_INET, AF_INET6 } from "./udp_options.ts";

const V4_NAME_WORDS = 2;
const V4_OUR_WORDS = 1;
const V6_NAME_WORDS = 7;
const V6_OUR_WORDS = 4;
const V6_SCOPE_WORD = 6;

export class UdpEndpoint implements Endpoint {
  readonly address: IpAddress;
  readonly port: number;
  readonly scopeId?: number;
  readonly words: Uint32Array<ArrayBuffer>;
  /** Segmentation by the kernel failed on the way there: how many batches are still to go without it. */
  plainBatches = 0;

  /** Takes over the words. */
  constructor(words: Uint32Array<ArrayBuffer>) {
    this.words = words;
    this.port = (words[0]! >>> 8 & 0xff00) | words[0]! >>> 24;
    // Not through `words.buffer`: asking for it moves small arrays out of V8's heap, which costs more than they hold.
    this.address = words.length === V4_NAME_WORDS + V4_OUR_WORDS ? bytesOf(words, 1, 4) : bytesOf(words, 2, 16);
    if (this.isV6 && words[V6_SCOPE_WORD] !== 0) this.scopeId = words[V6_SCOPE_WORD]!;
  }

  /** From an endpoint as people write it: ours is not known. An IPv4 address in IPv6 clothes is an IPv4 address. */
  static from(endpoint: Endpoint): UdpEndpoint {
    const { port, scopeId = 0 } = endpoint;
    const address = isV4Mapped(endpoint.address) ? endpoint.address.slice(12) : endpoint.address;
    const isV6 = address.length === 16;
    const words = new Uint32Array(isV6 ? V6_NAME_WORDS + V6_OUR_WORDS : V4_NAME_WORDS + V4_OUR_WORDS);
    words[0] = nameWord(isV6 ? AF_INET6 : AF_INET, port);
    putBytes(words, isV6 ? 2 : 1, address);
    if (isV6) words[V6_SCOPE_WORD] = scopeId;
    return new UdpEndpoint(words);
  }

  get isV6(): boolean {
    return this.words.length === V6_NAME_WORDS + V6_OUR_WORDS;
  }

  /** How many of the words are the sockaddr; our address follows. */
  get nameWords(): number {
    return this.isV6 ? V6_NAME_WORDS : V4_NAME_WORDS;
  }

  /** Whether an address of ours is known to answer from. */
  get hasOurAddress(): boolean {
    for (let at = this.nameWords; at < this.words.length; at++) if (this.words[at] !== 0) return true;
    return false;
  }

  /** From now on the system chooses which of our addresses to send from: the one known is gone. */
  forgetOurAddress(): void {
    this.words.fill(0, this.nameWords);
  }
}

/** The first word of a sockaddr: the family in our order, the port in the network's. */
export function nameWord(family: number, port: number): number {
  return family | (port & 0xff00) << 8 | (port & 0xff) << 24;
}

/** Bytes in network order as words from `at` on. */
export function putBytes(words: Uint32Array, at: number, bytes: Uint8Array): void {
  for (let byte = 0; byte < bytes.length; byte++) {
    const word = at + (byte >> 2);
    words[word] = words[word]! | bytes[byte]! << 8 * (byte & 3);
  }
}

function bytesOf(words: Uint32Array, at: number, count: number): IpAddress {
  const bytes = new Uint8Array(count);
  for (let byte = 0; byte < count; byte++) bytes[byte] = words[at + (byte >> 2)]! >>> 8 * (byte & 3);
  return bytes;
}

/** Enough for ten thousand peers; 128 KiB of pointers. A flood of forged sources holds no more than these. */
const SLOTS = 16_384;

export class EndpointTable {
  readonly #slots: (UdpEndpoint | undefined)[] = new Array(SLOTS).fill(undefined);
  readonly #nameWords: number;
  readonly #ourWords: number;
  #last: UdpEndpoint | undefined;

  constructor(isV6: boolean) {
    this.#nameWords = isV6 ? V6_NAME_WORDS : V4_NAME_WORDS;
    this.#ourWords = isV6 ? V6_OUR_WORDS : V4_OUR_WORDS;
  }

  /**
   * The endpoint whose sockaddr begins at word `nameAt` of `message`, and whose datagram came to our address at word
   * `oursAt`; -1 if that is not known.
   */
  find(message: Slab, nameAt: number, oursAt: number): UdpEndpoint {
    const { words } = message;
    if (this.#last !== undefined && this.#isSame(this.#last, words, nameAt, oursAt)) return this.#last;
    const slot = this.#hash(words, nameAt, oursAt) & (SLOTS - 1);
    let found = this.#slots[slot];
    if (found === undefined || !this.#isSame(found, words, nameAt, oursAt)) {
      found = this.#make(words, nameAt, oursAt);
      this.#slots[slot] = found;
    }
    this.#last = found;
    return found;
  }

  #isSame(endpoint: UdpEndpoint, words: Uint32Array, nameAt: number, oursAt: number): boolean {
    const known = endpoint.words;
    for (let at = 0; at < this.#nameWords; at++) if (known[at] !== words[nameAt + at]) return false;
    if (oursAt < 0) return true;
    for (let at = 0; at < this.#ourWords; at++) {
      if (known[this.#nameWords + at] !== words[oursAt + at]) return false;
    }
    return true;
  }

  #hash(words: Uint32Array, nameAt: number, oursAt: number): number {
    let hash = 0;
    for (let at = 0; at < this.#nameWords; at++) hash = Math.imul(hash ^ words[nameAt + at]!, 0x9e3779b1);
    // Of one sender that talks to many addresses of ours, as a bridge has it, each is another.
    if (oursAt >= 0) {
      for (let at = 0; at < this.#ourWords; at++) hash = Math.imul(hash ^ words[oursAt + at]!, 0x9e3779b1);
    }
    return hash ^ (hash >>> 15);
  }

  #make(words: Uint32Array, nameAt: number, oursAt: number): UdpEndpoint {
    const own = new Uint32Array(this.#nameWords + this.#ourWords);
    for (let at = 0; at < this.#nameWords; at++) own[at] = words[nameAt + at]!;
    if (oursAt >= 0) { for (let at = 0; at < this.#ourWords; at++) own[this.#nameWords + at] = words[oursAt + at]!; }
    return new UdpEndpoint(own);
  }
}
