/**
 * The addresses of one family that an exit has for its clients: one network, of which the first address is the exit's own.
 *
 *   10.201.0.0/16   .0.0 the network   .0.1 the gateway   .0.2 … .255.254 clients   .255.255 broadcast
 *   fd…::/64        ::0 the routers'   ::1 the gateway    ::2 … clients
 *
 * Where nothing is wished, the place of an address follows from its owner's key: so a client tends to get the same one
 * from every exit with the same pool, and can keep it when it moves. A wish is granted if the address is free.
 *
 * What an address's last owner began may still be answered, and whoever has the address then hears it. So one that was
 * given back stays its last owner's for a while: until many more were, or there is no other. Pure.
 */

import { CulvertError } from "../../../protocol/errors.ts";
import { encodeBase64 } from "../../../protocol/encoding.ts";
import { type Cidr, contains, formatCidr, formatIp, type IpAddress, parseIp } from "../../../protocol/ip.ts";

/** Addresses are given out from the first so many, and more than these an exit never serves. */
const MAX_OFFSET = 2 ** 32;
const GATEWAY_OFFSET = 1;
const FIRST_OFFSET = 2;
/** Addresses that were given back whose last owners are known. */
const MAX_LEFT = 1024;

const PREFIXES = { 4: { min: 8, max: 29 }, 16: { min: 32, max: 120 } } as const;

export class AddressPool {
  readonly network: Cidr;
  /** The exit's own. */
  readonly gateway: IpAddress;
  readonly #size: number;
  readonly #taken = new Set<string>();
  /** By address, in base64 who had it last; the one given back first comes first. */
  readonly #left = new Map<string, string>();

  constructor(network: Cidr) {
    const { min, max } = PREFIXES[network.address.length as 4 | 16];
    if (network.bits < min || network.bits > max) {
      throw new CulvertError(
        "bad_pool",
        `Cannot make a pool: its prefix must be from /${min} to /${max}, got ${formatCidr(network)}`,
      );
    }
    this.network = network;
    this.gateway = this.#at(GATEWAY_OFFSET);
    const hostBits = 8 * network.address.length - network.bits;
    const hasBroadcast = network.address.length === 4;
    this.#size = Math.min(2 ** hostBits, MAX_OFFSET) - FIRST_OFFSET - (hasBroadcast ? 1 : 0);
  }

  /** How many more clients there are addresses for. */
  get spare(): number {
    return Math.max(0, this.#size - this.#taken.size);
  }

  /** An address that nobody has, the wished one if that is possible; undefined when all are taken. */
  take(ownerKey: Uint8Array, wish?: IpAddress): IpAddress | undefined {
    const isWishGranted = wish && this.#isFree(wish) && this.#isOpenTo(ownerKey, formatIp(wish));
    const address = isWishGranted ? wish : this.#firstFree(ownerKey);
    if (!address) return undefined;
    this.#taken.add(formatIp(address));
    this.#left.delete(formatIp(address));
    return address;
  }

  /** Its owner gives an address back. The second time harmless. */
  release(address: IpAddress, ownerKey: Uint8Array): void {
    const text = formatIp(address);
    if (!this.#taken.delete(text)) return;
    this.#left.set(text, encodeBase64(ownerKey));
    if (this.#left.size > MAX_LEFT) this.#left.delete(this.#left.keys().next().value!);
  }

  #firstFree(ownerKey: Uint8Array): IpAddress | undefined {
    if (this.spare === 0) return undefined;
    const start = new DataView(ownerKey.buffer, ownerKey.byteOffset).getUint32(0) % this.#size;
    // Of one more than there are in the way, one is not.
    const steps = Math.min(this.#size, this.#taken.size + this.#left.size + 1);
    for (let step = 0; step < steps; step++) {
      const address = this.#at(FIRST_OFFSET + (start + step) % this.#size);
      const text = formatIp(address);
      if (!this.#taken.has(text) && this.#isOpenTo(ownerKey, text)) return address;
    }
    return parseIp(this.#left.keys().next().value!);
  }

  #isOpenTo(ownerKey: Uint8Array, address: string): boolean {
    const lastOwner = this.#left.get(address);
    return lastOwner === undefined || lastOwner === encodeBase64(ownerKey);
  }

  #isFree(address: IpAddress): boolean {
    if (!contains(this.network, address) || this.#taken.has(formatIp(address))) return false;
    const offset = this.#offsetOf(address);
    return offset === undefined || (offset >= FIRST_OFFSET && offset < FIRST_OFFSET + this.#size);
  }

  #at(offset: number): IpAddress {
    const address = this.network.address.slice();
    const last = new DataView(address.buffer, address.length - 4);
    last.setUint32(0, last.getUint32(0) + offset);
    return address;
  }

  /** Its distance from the network's first address; undefined when that is further than addresses are given out. */
  #offsetOf(address: IpAddress): number | undefined {
    const at = address.length - 4;
    for (let index = 0; index < at; index++) if (address[index] !== this.network.address[index]) return undefined;
    const last = (of: IpAddress) => new DataView(of.buffer, of.byteOffset + at).getUint32(0);
    return last(address) - last(this.network.address);
  }
}
