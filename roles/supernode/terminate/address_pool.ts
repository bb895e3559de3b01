/**
 * The addresses that terminated clients have in their tunnels: one number each, which says both.
 *
 *   10.200.0.0/16, fd…::/64        number 1: the gateway       10.200.0.1   fd…::1
 *                                  number 2: the first client  10.200.0.2   fd…::2
 *
 * What is given back is given out again last, so that what still comes for one client does not reach the next. Every call
 * is done before it returns, so no two can get the same.
 */

import { CulvertError } from "../../../protocol/errors.ts";
import { type Cidr, contains, formatCidr, type IpAddress } from "../../../protocol/ip.ts";

const GATEWAY = 1;
/** A network, its gateway, one client and the broadcast address. */
const MOST_BITS_V4 = 30;
/** As many clients as IPv4 has numbers; the rest of a /64 is for nobody. */
const MOST_BITS_V6 = 96;

export interface PoolNetworks {
  readonly v4: Cidr;
  readonly v6?: Cidr | undefined;
}

export class AddressPool {
  readonly #networks: PoolNetworks;
  readonly #taken = new Set<number>();
  readonly #last: number;
  #next = GATEWAY + 1;

  constructor(networks: PoolNetworks) {
    const { v4, v6 } = networks;
    requirePool(v4, 4, MOST_BITS_V4);
    if (v6) requirePool(v6, 16, MOST_BITS_V6);
    this.#networks = networks;
    this.#last = 2 ** (32 - v4.bits) - 2;
  }

  get networks(): PoolNetworks {
    return this.#networks;
  }

  /** How many more there are. */
  get spare(): number {
    return this.#last - GATEWAY - this.#taken.size;
  }

  get gateways(): IpAddress[] {
    return this.addressesOf(GATEWAY);
  }

  /** A number that nobody has; undefined when all are taken. */
  allocate(): number | undefined {
    if (this.spare === 0) return undefined;
    while (this.#taken.has(this.#next)) this.#step();
    const number = this.#next;
    this.#taken.add(number);
    this.#step();
    return number;
  }

  /** This number; false when somebody has it, or it is not of the pool. */
  take(number: number): boolean {
    if (!Number.isInteger(number) || number <= GATEWAY || number > this.#last || this.#taken.has(number)) return false;
    this.#taken.add(number);
    return true;
  }

  free(number: number): void {
    this.#taken.delete(number);
  }

  /** IPv4 first. */
  addressesOf(number: number): IpAddress[] {
    const { v4, v6 } = this.#networks;
    return [v4, ...v6 ? [v6] : []].map(({ address }) => plus(address, number));
  }

  /** The number of an address; undefined of one outside the pool. */
  numberOf(address: IpAddress): number | undefined {
    const { v4, v6 } = this.#networks;
    const network = [v4, v6].find((network) => network && contains(network, address));
    return network && lowBits(address) - lowBits(network.address);
  }

  #step(): void {
    this.#next = this.#next === this.#last ? GATEWAY + 1 : this.#next + 1;
  }
}

function requirePool(network: Cidr, bytes: number, mostBits: number): void {
  if (network.address.length === bytes && network.bits >= 8 && network.bits <= mostBits) return;
  throw new CulvertError(
    "invalid_option",
    `Cannot make a pool of addresses: it must be a network of IPv${bytes === 4 ? 4 : 6} from /8 to /${mostBits}, ` +
      `got ${formatCidr(network)}`,
  );
}

function lowBits(address: IpAddress): number {
  return new DataView(address.buffer, address.byteOffset).getUint32(address.length - 4);
}

function plus(address: IpAddress, number: number): IpAddress {
  const sum = address.slice();
  new DataView(sum.buffer).setUint32(sum.length - 4, lowBits(address) + number);
  return sum;
}
