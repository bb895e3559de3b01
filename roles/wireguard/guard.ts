/**
 * Two things about a default route through a tunnel that only a firewall can do, by one table of nftables' own:
 *
 *   - Packets for the tunnel's addresses that come in by another interface are dropped. Otherwise a neighbour could
 *     probe which connections the tunnel carries (CVE-2019-14899).
 *   - Answers to the tunnel's datagrams get their mark back from the connection, so that a strict reverse path filter
 *     looks for them where they came from.
 */

import { firewallTableOf } from "../machine/firewall.ts";
import { ct, fib, iifname, ipOf, l4proto, mark, not } from "../../protocol/nftables/fields.ts";
import { rule } from "../../protocol/nftables/rule.ts";
import { drop, setConnectionMark, setMark } from "../../protocol/nftables/statements.ts";
import { type BaseChain, Priority, type Table } from "../../protocol/nftables/table.ts";
import type { InterfaceAddress } from "../../protocol/wireguard/quick_config.ts";

export interface GuardRules {
  readonly interfaceName: string;
  readonly addresses: readonly InterfaceAddress[];
  readonly mark: number;
}

export function guardTable({ interfaceName, addresses, mark: tunnelMark }: GuardRules): Table {
  const at = (hook: BaseChain["hook"], priority: number): BaseChain => ({ type: "filter", hook, priority });
  const guarded = addresses.map(({ address }) =>
    rule(iifname(not(interfaceName)), ipOf(address).daddr(address), fib.saddr(not("local")), drop())
  );
  const recalled = rule(l4proto("udp"), ct.mark(tunnelMark), setMark(ct.mark));
  const remembered = rule(l4proto("udp"), mark(tunnelMark), setConnectionMark(mark));
  return {
    name: firewallTableOf(interfaceName),
    chains: [
      { name: "guard", base: at("prerouting", Priority.raw), rules: guarded },
      { name: "recall", base: at("prerouting", Priority.mangle), rules: [recalled] },
      { name: "remember", base: at("postrouting", Priority.mangle), rules: [remembered] },
    ],
  };
}
