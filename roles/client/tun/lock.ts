/**
 * The kill switch: a table of nftables that lets nothing leave the machine but through the tunnel, whatever becomes of
 * the tunnel, its routes and the process that made it. Pure: what may pass in, the table out.
 *
 *   out by loopback, by a tunnel interface         passes
 *   UDP with our mark: the tunnels' own datagrams  passes
 *   TCP to a supernode's address and port          passes
 *   DHCP, neighbour discovery                      passes: without them there is no network to tunnel through
 *   to what is excluded or allowed                 passes
 *   to private networks, where those are allowed   passes, but for questions for names that the exit is to answer
 *   anything else                                  is dropped; with included networks, only what goes to those and DNS
 *
 * It looks at packets as they leave (postrouting), made here or forwarded, after every change of their address: what DNS
 * redirection has sent into the tunnel is seen where it goes. It belongs to no process: it stays when its process is
 * killed, and the next one puts its own in its place in one step. What comes in is none of its business: the answers
 * would have to leave. ARP is not IP, and passes.
 */

import { type Cidr, hostCidr, parseCidr } from "../../../protocol/ip.ts";
import { icmpv6, ipOf, l4proto, mark, oifname, tcp, udp } from "../../../protocol/nftables/fields.ts";
import { type Clause, comment, type Rule, rule } from "../../../protocol/nftables/rule.ts";
import { accept, counter, drop } from "../../../protocol/nftables/statements.ts";
import { Priority, type Table } from "../../../protocol/nftables/table.ts";
import { LOCK_TABLE } from "../../machine/firewall.ts";
import type { SupernodePlace } from "./underlay.ts";

/** Private and link-local networks, and the groups and broadcasts by which devices find each other there. */
const LAN: readonly Cidr[] = [
  "10.0.0.0/8",
  "172.16.0.0/12",
  "192.168.0.0/16",
  "169.254.0.0/16",
  "224.0.0.0/24",
  "239.255.255.250",
  "255.255.255.255",
  "fc00::/7",
  "fe80::/10",
  "ff02::/16",
].map((text) => parseCidr(text)!);

export interface LockPlan {
  readonly interfaces: readonly string[];
  /** Left out while it is not known: then there is no tunnel either. */
  readonly mark: number | undefined;
  readonly supernodes: readonly SupernodePlace[];
  /** What may go out beside the tunnel. */
  readonly open: readonly Cidr[];
  /** Also what goes to private networks. */
  readonly opensLan: boolean;
  /** Nothing but these is kept in; everything when there are none. */
  readonly include: readonly Cidr[];
  /** Whether names are to be looked up through the tunnel alone. */
  readonly keepsDns: boolean;
}

const DHCP = [{ from: 68, to: 67 }, { from: 546, to: 547 }] as const;
/** Router and neighbour solicitations and advertisements; reports of groups, which switches want before they pass them. */
const DISCOVERY = [131, 132, 133, 134, 135, 136, 143] as const;

export function lockTable(plan: LockPlan): Table {
  const { include, keepsDns, opensLan } = plan;
  const isWhole = include.length === 0;
  const kept = (...what: Clause[]) => rule(...what, counter(), comment("kept in"), drop());
  // The name server that people have is most often their router, which asks others in the open.
  const names = keepsDns && (opensLan || !isWhole) ? [udp, tcp].map(({ dport }) => kept(dport(53))) : [];
  return {
    name: LOCK_TABLE,
    comment: "kill switch of culvert client; culvert client down takes it away",
    chains: [{
      name: "out",
      base: {
        type: "filter",
        hook: "postrouting",
        priority: Priority.filter,
        policy: isWhole ? "drop" : "accept",
      },
      rules: [
        ...passing(plan),
        ...names,
        ...opensLan ? LAN.map(opened) : [],
        ...isWhole ? [kept()] : include.map((cidr) => kept(ipOf(cidr).daddr(cidr))),
      ],
    }],
  };
}

function passing({ interfaces, mark: ours, supernodes, open }: LockPlan): Rule[] {
  return [
    ...["lo", ...interfaces].map((name) => rule(oifname(name), accept())),
    // Those who may set marks may set ours: no more of theirs passes than has to.
    ...ours === undefined ? [] : [rule(l4proto("udp"), mark(ours), accept())],
    ...supernodes.map(({ address, port }) =>
      rule(ipOf(address).daddr(hostCidr(address)), tcp.dport(port), comment("supernode"), accept())
    ),
    ...DHCP.map(({ from, to }) => rule(udp.sport(from), udp.dport(to), accept())),
    rule(icmpv6.type(DISCOVERY), accept()),
    ...open.map(opened),
  ];
}

function opened(cidr: Cidr): Rule {
  return rule(ipOf(cidr).daddr(cidr), comment("open"), accept());
}
