/**
 * What the packet filter does for terminated clients, all in one table. Pure: who is where in, the table out.
 *
 *   client ─▶ wg-relay ─▶ mark of its exit ─▶ (rule, table of that mark) ─▶ wg-relay-0 ─▶ masquerade ─▶ exit
 *                                         answers ◀─ established only ◀─────────────────────────┘
 *
 *   - Which exit a client's packets go to is a set of its addresses: found at once, however many clients there are, and
 *     changed for all of them between two packets.
 *   - What comes from a client goes into the tunnel of its exit and nowhere else: not to another client, not out of the
 *     machine's own interfaces, not to the machine, save probes and pings to the gateway. So when a tunnel is down, or
 *     was never there, nothing goes anywhere.
 *   - An exit opens nothing towards a client or this machine, nor through it: from before there is a tunnel.
 *   - Names asked of the gateway are answered by the exit's own server.
 *
 * What is accepted here may still be dropped by another table of the machine's.
 */

import type { IpAddress } from "../../../protocol/ip.ts";
import {
  ct,
  type Field,
  icmp,
  icmpv6,
  iifname,
  ip,
  ip6,
  ipOf,
  mark,
  oifname,
  tcp,
  udp,
} from "../../../protocol/nftables/fields.ts";
import { type Clause, type Rule, rule } from "../../../protocol/nftables/rule.ts";
import type { NamedSet } from "../../../protocol/nftables/sets.ts";
import { accept, clampMss, dnat, drop, masquerade, setMark } from "../../../protocol/nftables/statements.ts";
import { type BaseChain, Priority, type Table } from "../../../protocol/nftables/table.ts";
import { GATEWAY_PORT } from "../../../protocol/packets/gateway.ts";

const DNS_PORT = 53;
const ECHO_REQUEST = 8;
const ECHO_REQUEST_V6 = 128;

/** A tunnel to an exit, and whose packets go into it. */
export interface TunnelRules {
  readonly interfaceName: string;
  readonly mark: number;
  /** The exit's name servers, as reached through the tunnel. */
  readonly dns: readonly IpAddress[];
  /** Of either family. */
  readonly clients: readonly IpAddress[];
}

export interface RelayRules {
  readonly tableName: string;
  /** The clients' interface. */
  readonly interfaceName: string;
  /** This machine's addresses there. */
  readonly gateways: readonly IpAddress[];
  readonly tunnels: readonly TunnelRules[];
}

export type ClientSet = NamedSet & { readonly key: "ipv4_addr" | "ipv6_addr" };

/** The sets that hold a tunnel's clients, one for each family. */
export function clientSetsOf({ mark, clients }: Pick<TunnelRules, "mark" | "clients">): ClientSet[] {
  return ([["ipv4_addr", 4], ["ipv6_addr", 16]] as const).map(([key, bytes]) => ({
    name: `clients_${mark}_${key}`,
    key,
    elements: clients.filter(({ length }) => length === bytes),
  }));
}

export function relayTable(rules: RelayRules): Table {
  const { tableName, tunnels } = rules;
  const at = (type: BaseChain["type"], hook: BaseChain["hook"], priority: number): BaseChain => ({
    type,
    hook,
    priority,
  });
  return {
    name: tableName,
    comment: "clients whose tunnels end here",
    sets: tunnels.flatMap(clientSetsOf),
    chains: [
      { name: "choose", base: at("filter", "prerouting", Priority.mangle), rules: chooseRules(rules) },
      { name: "names", base: at("nat", "prerouting", Priority.dstnat), rules: nameRules(rules) },
      { name: "pass", base: at("filter", "forward", Priority.filter), rules: passRules(rules) },
      { name: "enter", base: at("filter", "input", Priority.filter), rules: enterRules(rules) },
      {
        name: "leave",
        base: at("nat", "postrouting", Priority.srcnat),
        rules: [rule(oifname(tunnelNames(rules)), masquerade())],
      },
    ],
  };
}

/** Answers bear the mark too, so that a strict reverse path filter finds them where they came from. */
function chooseRules({ interfaceName, tunnels }: RelayRules): Rule[] {
  return tunnels.flatMap((tunnel) => [
    ...clientSetsOf(tunnel).map(({ name, key }) => {
      const source = key === "ipv4_addr" ? ip.saddr : ip6.saddr;
      return rule(iifname(interfaceName), source({ inSet: name }), setMark(tunnel.mark));
    }),
    rule(iifname(tunnel.interfaceName), setMark(tunnel.mark)),
  ]);
}

/** An exit whose names are asked elsewhere than at the gateway has no server of that family: it is the client that knows. */
function nameRules({ interfaceName, gateways, tunnels }: RelayRules): Rule[] {
  const ports: readonly Field<number>[] = [udp.dport, tcp.dport];
  return tunnels.flatMap((tunnel) =>
    gateways.flatMap((gateway) => {
      const server = tunnel.dns.find(({ length }) => length === gateway.length);
      if (!server) return [];
      const fromClient: Clause[] = [iifname(interfaceName), mark(tunnel.mark), ipOf(gateway).daddr(gateway)];
      return ports.map((port) => rule(...fromClient, port(DNS_PORT), dnat({ address: server })));
    })
  );
}

/** Of tunnels to exits, also of those that are not used yet. */
function tunnelNames({ interfaceName }: RelayRules): string {
  return `${interfaceName}-*`;
}

function passRules(rules: RelayRules): Rule[] {
  const { interfaceName, tunnels } = rules;
  const ours = [interfaceName, tunnelNames(rules)];
  return [
    ...tunnels.flatMap((tunnel) => [
      rule(iifname(interfaceName), mark(tunnel.mark), oifname(tunnel.interfaceName), clampMss("route")),
      rule(iifname(tunnel.interfaceName), oifname(interfaceName), clampMss("route")),
      rule(iifname(interfaceName), mark(tunnel.mark), oifname(tunnel.interfaceName), accept()),
      rule(
        iifname(tunnel.interfaceName),
        oifname(interfaceName),
        ct.state("established", "related"),
        accept(),
      ),
    ]),
    ...ours.flatMap((name) => [rule(iifname(name), drop()), rule(oifname(name), drop())]),
  ];
}

function enterRules(rules: RelayRules): Rule[] {
  const { interfaceName, gateways } = rules;
  const atGateway = gateways.flatMap((gateway) => {
    const here: Clause[] = [iifname(interfaceName), ipOf(gateway).daddr(gateway)];
    const ping = gateway.length === 4 ? icmp.type(ECHO_REQUEST) : icmpv6.type(ECHO_REQUEST_V6);
    return [rule(...here, udp.dport(GATEWAY_PORT), accept()), rule(...here, ping, accept())];
  });
  return [
    ...atGateway,
    rule(iifname(interfaceName), drop()),
    rule(iifname(tunnelNames(rules)), ct.state("established", "related"), accept()),
    rule(iifname(tunnelNames(rules)), drop()),
  ];
}
