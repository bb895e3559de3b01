/**
 * Where the hosts of relays may be dialled. In an open network anybody lists a relay at whatever URL, and that may lead to
 * what listens on our own machine or in the private network around it.
 *
 *   host ─ resolve ─▶ addresses ─▶ those that are public, or of the class of one of our own places ─▶ dialled as checked
 *
 * So relays that are known by private addresses reach each other, and those known by public ones reach no private one.
 * Whoever is known by a loopback address serves this machine alone, and may dial anything.
 */

import { DialError } from "../protocol/errors.ts";
import { parseHost } from "../protocol/host.ts";
import type { IpAddress } from "../protocol/ip.ts";
import { classify, type IpClass } from "../protocol/ip_class.ts";
import type { Resolver } from "./resolve.ts";
import { type Locate, websocketAddress } from "./websocket_dial.ts";

export interface RelayPlacesOptions {
  /** URLs that lead to us or, for those who listen nowhere, to what they were told to trust. */
  readonly near: readonly (URL | string)[];
  readonly resolver: Resolver;
}

export function relayPlaces({ near, resolver }: RelayPlacesOptions): Locate {
  const addressesOf = async (name: string, signal: AbortSignal): Promise<readonly IpAddress[]> => {
    const host = parseHost(name);
    if (host === undefined) {
      throw new DialError("unresolved", "Cannot connect: the host is neither a name nor an address");
    }
    return typeof host === "string" ? await resolver.resolve(host, signal) : [host];
  };
  const classesNear = async (signal: AbortSignal): Promise<ReadonlySet<IpClass>> => {
    const found = await Promise.all(
      near.map((url) => {
        const { target: { host } } = websocketAddress(new URL(url));
        return addressesOf(host, signal).catch(() => []); // then nothing but public addresses will do
      }),
    );
    return new Set(found.flat().map(classify));
  };
  return async ({ host }, signal) => {
    const addresses = await addressesOf(host, signal);
    if (addresses.every((address) => classify(address) === "public")) return addresses;
    const classes = await classesNear(signal);
    if (classes.has("loopback")) return addresses;
    const fit = addresses.filter((address) => {
      const kind = classify(address);
      return kind === "public" || classes.has(kind);
    });
    if (fit.length > 0) return fit;
    throw new DialError(
      "denied",
      "Cannot connect: the relay must have a public address, or one of the kind that we have",
    );
  };
}
