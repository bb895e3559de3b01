/**
 * The packet filter's table for terminated clients, kept as the tunnels and the clients are: a tunnel more or less sets the
 * table anew, in one step; a client that comes, goes or changes its exit only changes sets.
 *
 * What is refused by the kernel is as if it had not been asked for.
 */

import type { Nft } from "../../../native/nft.ts";
import { formatIp, type IpAddress } from "../../../protocol/ip.ts";
import { clientSetsOf, type RelayRules, relayTable, type TunnelRules } from "./relay_table.ts";

export type PacketFilter = Pick<Nft, "replaceTable" | "changeSet" | "deleteTable">;

type Place = Pick<TunnelRules, "mark" | "interfaceName" | "dns">;

interface Tunnel extends Place {
  readonly clients: Map<string, IpAddress>;
}

export class RelayFirewall implements Disposable {
  readonly #filter: PacketFilter;
  readonly #base: Omit<RelayRules, "tunnels">;
  /** By their marks. */
  readonly #tunnels = new Map<number, Tunnel>();

  /** Sets the table, by which nothing may pass yet. */
  constructor(base: Omit<RelayRules, "tunnels">, filter: PacketFilter) {
    this.#base = base;
    this.#filter = filter;
    this.#replace();
  }

  /** Harmless when it is there; its name servers may be others now. */
  setTunnel(place: Place): void {
    const before = this.#tunnels.get(place.mark);
    if (before && before.dns.map(formatIp).join() === place.dns.map(formatIp).join()) return;
    this.#tunnels.set(place.mark, { ...place, clients: before?.clients ?? new Map() });
    try {
      this.#replace();
    } catch (error) {
      if (before) this.#tunnels.set(place.mark, before);
      else this.#tunnels.delete(place.mark);
      throw error;
    }
  }

  /** With whoever is still in it: their packets go nowhere from now on. */
  removeTunnel(mark: number): void {
    const before = this.#tunnels.get(mark);
    if (!before) return;
    this.#tunnels.delete(mark);
    try {
      this.#replace();
    } catch (error) {
      this.#tunnels.set(mark, before);
      throw error;
    }
  }

  /** From now on what comes from these addresses goes into that tunnel; without a mark, nowhere. */
  place(addresses: readonly IpAddress[], mark: number | undefined): void {
    const to = mark === undefined ? undefined : this.#tunnels.get(mark);
    const isThere = (tunnel: Tunnel) => addresses.every((address) => tunnel.clients.has(formatIp(address)));
    if (to && isThere(to)) return;
    const from = [...this.#tunnels.values()].find((tunnel) => tunnel !== to && isThere(tunnel));
    try {
      if (from) this.#change(from, { remove: addresses });
      if (to) this.#change(to, { add: addresses });
    } catch (error) {
      this.#replace();
      throw error;
    }
    for (const address of addresses) {
      from?.clients.delete(formatIp(address));
      to?.clients.set(formatIp(address), address);
    }
  }

  [Symbol.dispose](): void {
    this.#filter.deleteTable(this.#base.tableName);
  }

  #change({ mark }: Place, change: { add?: readonly IpAddress[]; remove?: readonly IpAddress[] }): void {
    for (const { name, key } of clientSetsOf({ mark, clients: [] })) {
      const ofFamily = (addresses: readonly IpAddress[] = []) =>
        addresses.filter(({ length }) => length === (key === "ipv4_addr" ? 4 : 16));
      const [add, remove] = [ofFamily(change.add), ofFamily(change.remove)];
      if (add.length + remove.length > 0) this.#filter.changeSet(this.#base.tableName, { name, key }, { add, remove });
    }
  }

  #replace(): void {
    const tunnels = [...this.#tunnels.values()].map(({ clients, ...place }) => ({
      ...place,
      clients: [...clients.values()],
    }));
    this.#filter.replaceTable(relayTable({ ...this.#base, tunnels }));
  }
}
