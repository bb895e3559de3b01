/**
 * What the machine's packet filter does for an exit, in one table of nftables of its own, put in place as a whole:
 *
 *   clients ─▶ gateway            ping, probes, names; nothing else of this machine. As few connections as elsewhere
 *   clients ─▶ other interface    within their rate; where the egress policy allows; from the exit's address (masquerade)
 *   clients ─▶ clients            closed
 *   other interface ─▶ clients    only what belongs to a connection that a client has begun
 *   neighbours ─▶ gateway         closed, whichever interface they try it on
 *   clients' addresses            from nowhere but the tunnel: no neighbour is taken for a client, and no packet passes
 *                                 beside these rules when the interface is given another name
 *
 * Segments of TCP are made to fit the way, both ways. That a client sends from its own addresses only is WireGuard's
 * doing. Packets that do not come from or go to the tunnel are left alone. Pure.
 */

import type { EgressPolicy } from "../../../protocol/egress_policy.ts";
import type { Cidr, IpAddress } from "../../../protocol/ip.ts";
import {
  ct,
  family,
  fib,
  icmp,
  icmpv6,
  iifname,
  ip,
  ip6,
  ipOf,
  l4proto,
  not,
  oifname,
  tcp,
  udp,
} from "../../../protocol/nftables/fields.ts";
import { type Clause, comment, type Rule, rule } from "../../../protocol/nftables/rule.ts";
import type { NamedSet } from "../../../protocol/nftables/sets.ts";
import {
  accept,
  clampMss,
  connections,
  counter,
  drop,
  goto,
  limit,
  masquerade,
  meter,
  reject,
} from "../../../protocol/nftables/statements.ts";
import { type BaseChain, type Chain, Priority, type Table } from "../../../protocol/nftables/table.ts";
import { GATEWAY_PORT } from "../../../protocol/packets/gateway.ts";
import { firewallTableOf } from "../../machine/firewall.ts";
import { closedPorts, type EgressStep, egressSteps } from "./egress_steps.ts";

export const DNS_PORT = 53;

const ECHO_REQUEST = 8;
const ECHO_REQUEST_V6 = 128;

/** The kernel hands packets of one flow on in one piece, which a slow client's allowance for a second may not hold. */
const LARGEST_BYTES = 65_536;

/** A client may begin so many connections a second, after a pause more; browsers begin some tens. */
const NEW_PER_SECOND = 200;
const NEW_BURST = 1000;

/** And so many may be there: the kernel's table of connections is for all of them, and often has room for 262,144. */
const MAX_CONNECTIONS = 4096;

/** More clients than these have no rate held against them; an exit serves fewer. */
const MAX_METERED = 131_072;
/** A client that sends nothing for so long begins with a fresh allowance. */
const METER_TIMEOUT_MS = 60_000;

/** What is held against each client. Who has connections is not forgotten before they are. */
const METERS = {
  sent: METER_TIMEOUT_MS,
  received: METER_TIMEOUT_MS,
  begun: METER_TIMEOUT_MS,
  kept: undefined,
} as const;
type Meter = keyof typeof METERS;

export interface PacketTableOptions {
  readonly interfaceName: string;
  readonly pools: readonly { readonly network: Cidr; readonly gateway: IpAddress }[];
  readonly policy: EgressPolicy;
  /** What each client may send, and receive, in bytes a second; unlimited when left out. */
  readonly clientBytesPerSecond?: number;
  /** Addresses behind which there are many clients, so that what holds for one is not held against them. */
  readonly shared?: readonly IpAddress[];
}

/** The addresses of `shared`, which changes while the table stays. */
export const SHARED = {
  4: { name: "shared4", key: "ipv4_addr" },
  16: { name: "shared6", key: "ipv6_addr" },
} as const;

export function packetTableName(interfaceName: string): string {
  return firewallTableOf(`exit_${interfaceName}`);
}

export function packetTable(options: PacketTableOptions): Table {
  const { interfaceName, pools, shared = [] } = options;
  const leaving = pools.map(({ network }) =>
    rule(ipOf(network).saddr(network), oifname(not(interfaceName)), counter(), comment("connections"), masquerade())
  );
  const fitting = [iifname, oifname].map((side) => rule(side(interfaceName), clampMss("route")));
  const guarding = pools.flatMap(({ network }) =>
    (["daddr", "saddr"] as const).map((side) =>
      rule(iifname(not(interfaceName)), ipOf(network)[side](network), fib.saddr(not("local")), counter(), drop())
    )
  );
  return {
    name: packetTableName(interfaceName),
    comment: "clients of a culvert exit",
    sets: [
      ...([4, 16] as const).map((bytes) => ({
        ...SHARED[bytes],
        elements: shared.filter(({ length }) => length === bytes),
      })),
      ...(Object.keys(METERS) as Meter[]).flatMap(meterSets),
    ],
    chains: [
      { name: "refused", rules: [rule(counter(), reject("admin-prohibited"))] },
      { name: "begins", rules: beginning() },
      { name: "out", rules: goingOut(options) },
      { name: "to_gateway", rules: toGateway(pools.map(({ gateway }) => gateway)) },
      { name: "guard", base: filter("prerouting", Priority.raw), rules: guarding },
      { name: "input", base: filter("input"), rules: [rule(iifname(interfaceName), goto("to_gateway"))] },
      { name: "fit", base: filter("forward", Priority.mangle), rules: fitting },
      { name: "forward", base: filter("forward"), rules: forwarding(options) },
      { name: "leave", base: { type: "nat", hook: "postrouting", priority: Priority.srcnat }, rules: leaving },
    ],
  };
}

function filter(hook: BaseChain["hook"], priority: number = Priority.filter): Chain["base"] & object {
  return { type: "filter", hook, priority };
}

function meterSets(meter: Meter): NamedSet[] {
  const timeoutMs = METERS[meter];
  const dynamic = { maxElements: MAX_METERED, ...timeoutMs !== undefined && { timeoutMs } };
  return [
    { name: `${meter}4`, key: "ipv4_addr", dynamic },
    { name: `${meter}6`, key: "ipv6_addr", dynamic },
  ];
}

/** A rule for each family about the address of the client that a packet is from, or for. */
function perClient(name: Meter, side: "saddr" | "daddr", each: Clause, ...around: readonly Clause[]): Rule[] {
  const [own4, own6] = [ip[side], ip6[side]];
  const dropping = [counter(), comment(`too much ${name}`), drop()];
  return [
    rule(...around, own4(not({ inSet: SHARED[4].name })), meter(`${name}4`, own4, each), ...dropping),
    rule(...around, own6(not({ inSet: SHARED[16].name })), meter(`${name}6`, own6, each), ...dropping),
  ];
}

function forwarding({ interfaceName, clientBytesPerSecond }: PacketTableOptions): Rule[] {
  const [fromClients, toClients] = [iifname(interfaceName), oifname(interfaceName)];
  const rate = clientBytesPerSecond === undefined
    ? undefined
    : limit({ bytes: clientBytesPerSecond, burst: LARGEST_BYTES, per: "second", over: true });
  return [
    rule(fromClients, toClients, goto("refused")),
    ...rate
      ? [...perClient("sent", "saddr", rate, fromClients), ...perClient("received", "daddr", rate, toClients)]
      : [],
    rule(fromClients, goto("out")),
    rule(toClients, ct.state("established", "related"), accept()),
    rule(toClients, counter(), drop()),
  ];
}

/** What is known already passes, unless a new policy is to hold for it too. Without a known connection there is no NAT. */
function goingOut({ policy }: PacketTableOptions): Rule[] {
  const closed = closedPorts(policy);
  const { v4, v6 } = egressSteps(policy);
  return [
    ...policy.closeOnReload ? [] : [rule(ct.state("established", "related"), accept())],
    rule(ct.state("invalid"), drop()),
    rule(tcp.dport(closed), goto("refused")),
    rule(udp.dport(closed), goto("refused")),
    ...[...v4.map((step) => ruleOf(step, 4)), ...v6.map((step) => ruleOf(step, 6))],
  ];
}

function ruleOf({ isOpen, networks }: EgressStep, version: 4 | 6): Rule {
  const isAll = networks.some(({ bits }) => bits === 0);
  const where = isAll ? family(version) : (version === 4 ? ip : ip6).daddr(networks);
  return rule(where, goto(isOpen ? "begins" : "refused"));
}

function beginning(): Rule[] {
  const many = limit({ packets: NEW_PER_SECOND, burst: NEW_BURST, per: "second", over: true });
  return [
    rule(ct.state("established", "related"), accept()),
    ...perClient("begun", "saddr", many),
    ...perClient("kept", "saddr", connections({ over: MAX_CONNECTIONS })),
    rule(l4proto(["tcp", "udp"]), accept()),
    rule(icmp.type(ECHO_REQUEST), accept()),
    rule(icmpv6.type(ECHO_REQUEST_V6), accept()),
    rule(goto("refused")),
  ];
}

function toGateway(gateways: readonly IpAddress[]): Rule[] {
  return [
    rule(ct.state("established", "related"), accept()),
    ...gateways.flatMap((gateway) => {
      const to = ipOf(gateway).daddr(gateway);
      const isV4 = gateway.length === 4;
      return [
        rule(to, isV4 ? icmp.type(ECHO_REQUEST) : icmpv6.type(ECHO_REQUEST_V6), goto("begins")),
        rule(to, udp.dport([DNS_PORT, GATEWAY_PORT]), goto("begins")),
        rule(to, tcp.dport(DNS_PORT), goto("begins")),
      ];
    }),
    rule(goto("refused")),
  ];
}
