/**
 * Two things about a default route through a tunnel that only a firewall can do, by one table of nftables' own:
 *
 *   - Packets for the tunnel's addresses that come in by another interface are dropped. Otherwise a neighbour could
 *     probe which connections the tunnel carries (CVE-2019-14899).
 *   - Answers to the tunnel's datagrams get their mark back from the connection, so that a strict reverse path filter
 *     looks for them where they came from.
 */

import { openLibc } from "../../native/libc.ts";
import { Nft } from "../../native/nft.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { ct, fib, iifname, ipOf, l4proto, mark, not } from "../../protocol/nftables/fields.ts";
import { rule } from "../../protocol/nftables/rule.ts";
import { drop, setConnectionMark, setMark } from "../../protocol/nftables/statements.ts";
import { type BaseChain, Priority, type Table } from "../../protocol/nftables/table.ts";
import type { InterfaceAddress } from "../../protocol/wireguard/quick_config.ts";

export function firewallTableOf(interfaceName: string): string {
  // Table names allow fewer characters than those of interfaces.
  return `culvert_${
    interfaceName.replace(/[^A-Za-z0-9_]/g, (character) => `x${character.charCodeAt(0).toString(16)}`)
  }`;
}

export interface FirewallRules {
  readonly table: string;
  readonly interfaceName: string;
  readonly addresses: readonly InterfaceAddress[];
  readonly mark: number;
}

/** Throws `no_nftables` in a kernel that has none. */
export function setFirewall(rules: FirewallRules): void {
  using libc = openLibc();
  using nft = new Nft(libc);
  nft.replaceTable(firewallOf(rules));
}

/** Harmless when there is none, also in a kernel that has no nftables at all. */
export function removeFirewall(table: string): void {
  using libc = openLibc();
  try {
    using nft = new Nft(libc);
    nft.deleteTable(table);
  } catch (error) {
    if (!hasNoNftables(error)) throw error;
  }
}

export function hasNoNftables(error: unknown): boolean {
  return error instanceof CulvertError && error.code === "no_nftables";
}

function firewallOf({ table, interfaceName, addresses, mark: tunnelMark }: FirewallRules): Table {
  const at = (hook: BaseChain["hook"], priority: number): BaseChain => ({ type: "filter", hook, priority });
  const guarded = addresses.map(({ address }) =>
    rule(iifname(not(interfaceName)), ipOf(address).daddr(address), fib.saddr(not("local")), drop())
  );
  const recalled = rule(l4proto("udp"), ct.mark(tunnelMark), setMark(ct.mark));
  const remembered = rule(l4proto("udp"), mark(tunnelMark), setConnectionMark(mark));
  return {
    name: table,
    chains: [
      { name: "guard", base: at("prerouting", Priority.raw), rules: guarded },
      { name: "recall", base: at("prerouting", Priority.mangle), rules: [recalled] },
      { name: "remember", base: at("postrouting", Priority.mangle), rules: [remembered] },
    ],
  };
}
