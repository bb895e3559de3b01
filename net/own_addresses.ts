/**
 * The addresses of this machine's interfaces. A public address of its own is a way back in: to services that trust
 * whoever comes from here, and to the ports the firewall closes to everyone else.
 *
 * Asking takes 24 µs and addresses change when a laptop moves, so the answer is kept for a few seconds.
 */

import type { Clock } from "../protocol/clock.ts";
import type { AddressSet } from "../protocol/egress_policy.ts";
import { formatIp, type IpAddress, parseIp } from "../protocol/ip.ts";
import { interfaceAddresses } from "./runtime.ts";

const KEEP_MS = 5_000;

/** Gives the addresses of all interfaces, as text. */
export type ListAddresses = () => readonly string[];

export class OwnAddresses implements AddressSet {
  readonly #clock: Clock;
  readonly #list: ListAddresses;
  #addresses: ReadonlySet<string> = new Set();
  #untilMs = -Infinity;

  constructor(clock: Clock, list: ListAddresses = interfaceAddresses) {
    this.#clock = clock;
    this.#list = list;
  }

  has(address: IpAddress): boolean {
    const nowMs = this.#clock.now();
    if (nowMs >= this.#untilMs) {
      this.#addresses = new Set(this.#list().map(canonical));
      this.#untilMs = nowMs + KEEP_MS;
    }
    return this.#addresses.has(formatIp(address));
  }
}

function canonical(text: string): string {
  const address = parseIp(text);
  return address ? formatIp(address) : text;
}
