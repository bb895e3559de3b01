/**
 * Whom a tracker does not list: peers by their ids, and addresses.
 *
 *   # somebody who lied
 *   x5ovzkjmv2uqvsbfh4ojqq7dpm
 *   192.0.2.7
 *   2001:db8::/32
 *
 * A line each; what follows a `#` is for people.
 */

import { CulvertError } from "../errors.ts";
import { isPeerId } from "../identity.ts";
import { type Cidr, contains, type IpAddress, parseCidr } from "../ip.ts";

export class DenyList {
  readonly #peers: ReadonlySet<string>;
  readonly #networks: readonly Cidr[];

  constructor(peers: Iterable<string> = [], networks: Iterable<Cidr> = []) {
    this.#peers = new Set(peers);
    this.#networks = [...networks];
  }

  /** Of both kinds. */
  get size(): number {
    return this.#peers.size + this.#networks.length;
  }

  get peers(): Iterable<string> {
    return this.#peers;
  }

  hasPeer(peerId: string): boolean {
    return this.#peers.has(peerId);
  }

  hasAddress(address: IpAddress): boolean {
    return this.#networks.some((network) => contains(network, address));
  }
}

/** Reads the text of a deny file. Throws `bad_deny_list` with the first line that is neither. */
export function parseDenyList(text: string): DenyList {
  const peers: string[] = [];
  const networks: Cidr[] = [];
  for (const [at, line] of text.split(/\r?\n/).entries()) {
    const entry = line.replace(/#.*$/, "").trim();
    if (entry === "") continue;
    const network = parseCidr(entry);
    if (network) networks.push(network);
    else if (isPeerId(entry)) peers.push(entry);
    else {
      throw new CulvertError(
        "bad_deny_list",
        `Cannot read the deny list: line ${at + 1} must be a peer id, an address or a network, got ${
          JSON.stringify(entry.slice(0, 64))
        }`,
      );
    }
  }
  return new DenyList(peers, networks);
}
