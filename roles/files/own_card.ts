/**
 * A peer's own card as it is now. It is signed anew, with a later time, when something in it has changed, so that it takes the
 * place of the one before wherever that is known.
 */

import { classify } from "../../protocol/ip_class.ts";
import { formatIp, parseIp } from "../../protocol/ip.ts";
import type { Clock } from "../../protocol/clock.ts";
import type { Identity } from "../../protocol/identity.ts";
import { makeCard, type PeerCard, type PeerClaims } from "../../protocol/peers/card.ts";
import { isUnspecified, knownAddresses } from "../../protocol/peers/reach.ts";
import { formatTarget, type Target } from "../../protocol/stream.ts";

/** What a card says that may change while the peer runs. */
export interface OwnPlaces {
  /** Where it is reached, as it was told; if nothing, where it listens. */
  readonly advertised: readonly string[];
  /** Undefined where nobody can dial it. */
  readonly listening: Target | undefined;
  readonly relays: PeerClaims["relays"];
}

export interface OwnCardOptions extends Pick<PeerClaims, "label" | "region" | "capabilities"> {
  readonly identity: Identity;
  readonly clock: Clock;
  places(): OwnPlaces;
  /** Default: those of this machine's interfaces. */
  readonly hosts?: () => readonly string[];
}

const MAX_ADDRESSES = 8;

export class OwnCard {
  readonly #options: OwnCardOptions;
  #said = "";
  #card: PeerCard | undefined;

  constructor(options: OwnCardOptions) {
    this.#options = options;
  }

  /** For trackers, who know from where it comes. */
  get current(): PeerCard {
    const { advertised, listening, relays } = this.#options.places();
    return this.#cardOf(advertised.length > 0 ? advertised : this.#addressesOf(listening), relays);
  }

  /**
   * For those who have not heard of it from a tracker: with the addresses where it was seen to come from. It is as old as the
   * one that trackers have: who asks one, which sees where it comes from now, goes by that.
   */
  seenAt(observed: readonly string[]): PeerCard {
    const { addresses, relays, issuedAtMs } = this.current;
    const known = knownAddresses(addresses, observed, MAX_ADDRESSES);
    return makeCard(this.#options.identity, { ...this.#claims, addresses: known, relays, issuedAtMs });
  }

  #addressesOf(listening: Target | undefined): readonly string[] {
    if (!listening) return [];
    const { host, port } = listening;
    if (!isUnspecified(host)) return [formatTarget(listening)];
    const hosts = (this.#options.hosts ?? interfaceHosts)().filter(isDialledByOthers);
    // First of all wherever the tracker sees it, then its own, for those in the same network.
    return [host, ...hosts].slice(0, MAX_ADDRESSES).map((each) => formatTarget({ host: each, port }));
  }

  #cardOf(addresses: readonly string[], relays: PeerClaims["relays"]): PeerCard {
    const claims = { ...this.#claims, addresses: [...addresses], relays: [...relays] };
    const said = JSON.stringify(claims);
    if (this.#card && said === this.#said) return this.#card;
    this.#said = said;
    // Of two cards the later counts, so no two of them have the same time.
    const issuedAtMs = Math.max(this.#options.clock.wallNow(), (this.#card?.issuedAtMs ?? 0) + 1);
    return this.#card = makeCard(this.#options.identity, { ...claims, issuedAtMs });
  }

  get #claims(): Pick<PeerClaims, "label" | "region" | "capabilities"> {
    const { label, region, capabilities } = this.#options;
    return { label, ...region !== undefined && { region }, capabilities };
  }
}

function interfaceHosts(): string[] {
  return Deno.networkInterfaces().map(({ address }) => address);
}

function isDialledByOthers(host: string): boolean {
  const address = parseIp(host);
  return address !== undefined && formatIp(address) === host && !["loopback", "link-local"].includes(classify(address));
}
