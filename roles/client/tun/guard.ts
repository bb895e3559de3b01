/**
 * What a tunnel for everything needs of the firewall beside the kill switch, in one table that is put in place anew for
 * each session. Pure.
 *
 *   - Packets for the tunnel's addresses that come in by another interface are dropped. Otherwise a neighbour could
 *     probe which connections the tunnel carries (CVE-2019-14899).
 *   - Answers to the tunnel's datagrams get their mark back from the connection, so that a strict reverse path filter
 *     looks for them where they came from.
 *   - Questions to name servers (port 53) go to the exit's instead, whatever /etc/resolv.conf says: all of them, or with a
 *     resolvconf that knows of the exit's already, those that would not go through the tunnel. A name server on this
 *     machine is left alone; what it asks of others is not.
 */

import type { Cidr, IpAddress } from "../../../protocol/ip.ts";
import { type Clause, type Rule, rule } from "../../../protocol/nftables/rule.ts";
import {
  ct,
  family,
  fib,
  iifname,
  ipOf,
  l4proto,
  mark,
  not,
  oifname,
  tcp,
  udp,
} from "../../../protocol/nftables/fields.ts";
import {
  counter,
  dnat,
  drop,
  masquerade,
  reject,
  returning,
  setConnectionMark,
  setMark,
} from "../../../protocol/nftables/statements.ts";
import { type BaseChain, type Chain, Priority, type Table } from "../../../protocol/nftables/table.ts";
import { type Family, familyOf } from "./plan.ts";

export interface GuardPlan {
  readonly table: string;
  readonly interfaces: readonly [string, string];
  readonly mark: number;
  /** The client's, in the tunnel. */
  readonly addresses: readonly IpAddress[];
  readonly dns: DnsPlan | undefined;
}

export interface DnsPlan {
  /** The exit's name servers; the first of each family is used. */
  readonly servers: readonly IpAddress[];
  /** Whose name servers may be asked around the tunnel. */
  readonly exclude: readonly Cidr[];
  /** Not only what would go around the tunnel. */
  readonly takesAll: boolean;
}

export function guardTable(plan: GuardPlan): Table {
  const { table, interfaces, mark: ours, addresses, dns } = plan;
  const at = (hook: BaseChain["hook"], priority: number, type: BaseChain["type"] = "filter"): BaseChain => ({
    type,
    hook,
    priority,
  });
  const foreign = interfaces.map((name) => iifname(not(name)));
  const guarded = addresses.map((address) =>
    rule(...foreign, ipOf(address).daddr(address), fib.saddr(not("local")), counter(), drop())
  );
  const recalled = rule(l4proto("udp"), ct.mark(ours), setMark(ct.mark));
  const remembered = rule(l4proto("udp"), mark(ours), setConnectionMark(mark));
  const names: Chain[] = dns
    ? [
      { name: "names", base: at("output", Priority.dstnat, "nat"), rules: redirections(dns, interfaces) },
      { name: "unnamed", base: at("output", Priority.filter), rules: refusals(dns, interfaces) },
      {
        name: "from_tunnel",
        base: at("postrouting", Priority.srcnat, "nat"),
        rules: interfaces.map((name) => rule(oifname(name), ct.status("dnat"), masquerade())),
      },
    ]
    : [];
  return {
    name: table,
    chains: [
      { name: "guard", base: at("prerouting", Priority.raw), rules: guarded },
      { name: "recall", base: at("prerouting", Priority.mangle), rules: [recalled] },
      { name: "remember", base: at("postrouting", Priority.mangle), rules: [remembered] },
      ...names,
    ],
  };
}

const FAMILIES: readonly Family[] = [4, 6];

/** Those questions that are to be answered by the exit. */
function asked({ takesAll }: DnsPlan, interfaces: readonly string[]): Clause[][] {
  const around = takesAll ? [] : interfaces.map((name) => oifname(not(name)));
  return [udp, tcp].map(({ dport }) => [dport(53), oifname(not("lo")), ...around]);
}

function redirections(dns: DnsPlan, interfaces: readonly string[]): Rule[] {
  const left = dns.exclude.map((cidr) => rule(ipOf(cidr).daddr(cidr), returning()));
  const sent = FAMILIES.flatMap((version) => {
    const server = dns.servers.find((address) => familyOf({ address }) === version);
    if (!server) return [];
    return asked(dns, interfaces).map((clauses) => rule(family(version), ...clauses, dnat({ address: server })));
  });
  return [...left, ...sent];
}

/** What could only go around the tunnel, since the exit has no name server of that family: the next one will be asked. */
function refusals(dns: DnsPlan, interfaces: readonly string[]): Rule[] {
  const missing = FAMILIES.filter((version) => !dns.servers.some((address) => familyOf({ address }) === version));
  if (missing.length === 0) return [];
  const left = dns.exclude.map((cidr) => rule(ipOf(cidr).daddr(cidr), returning()));
  const around = { ...dns, takesAll: false };
  return [
    ...left,
    ...missing.flatMap((version) =>
      asked(around, interfaces).map((clauses) => rule(family(version), ...clauses, counter(), reject()))
    ),
  ];
}
