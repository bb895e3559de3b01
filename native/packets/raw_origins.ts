/**
 * Which of our addresses packets leave from: the one that was named, the one the route to the peer says (and says anew when
 * it changes), or what the kernel would choose. Answers need none of it: they leave from the address that was asked.
 */

import { CulvertError } from "../../protocol/errors.ts";
import { equalIp, formatIp, type IpAddress } from "../../protocol/ip.ts";
import { mustBeIp } from "../../protocol/peer_check.ts";
import type { SourceAddresses } from "../source_address.ts";
import type { PeerRoute } from "./peer_route.ts";
import type { RawPlace, RawPlaces } from "./raw_place.ts";

export interface RawOriginsOptions {
  readonly places: RawPlaces;
  /** Those of the kernel. */
  readonly sources: SourceAddresses;
  /** The one that was named. */
  readonly named: IpAddress | undefined;
  /** A client's. */
  readonly peer: { readonly address: IpAddress; readonly route: PeerRoute } | undefined;
}

export class RawOrigins {
  readonly #options: RawOriginsOptions;
  /** Those that lie where the peer's route leads. */
  readonly #routed = new Set<RawPlace>();

  constructor(options: RawOriginsOptions) {
    this.#options = options;
    const { peer, named } = options;
    if (!peer) return;
    const { route } = peer;
    route.onChange = () => {
      for (const place of this.#routed) place.follow(route.hop, named ? undefined : route.source);
    };
  }

  /** The place of an address and port, from that port of ours. Throws `no_route` where none leads there. */
  placeOf(host: string, port: number, localPort: number): RawPlace {
    const { places, sources, named, peer } = this.#options;
    const destination = mustBeIp(host);
    const route = peer && equalIp(peer.address, destination) ? peer.route : undefined;
    const source = usable(named, destination) ?? route?.source ?? sources.to({ address: destination });
    if (!source) throw new CulvertError("no_route", `Cannot send raw packets to ${host}: no route leads there`);
    const place = places.of({ source, sourcePort: localPort, destination, destinationPort: port });
    if (route) {
      place.follow(route.hop, undefined);
      this.#routed.add(place);
    }
    return place;
  }
}

/** The address that was named, if there is one: the address of all is none. Throws when it is of the other family. */
function usable(named: IpAddress | undefined, destination: IpAddress): IpAddress | undefined {
  if (!named || named.every((byte) => byte === 0)) return undefined;
  if (named.length === destination.length) return named;
  throw new CulvertError("no_route", `Cannot send raw packets to ${formatIp(destination)} from ${formatIp(named)}`);
}
