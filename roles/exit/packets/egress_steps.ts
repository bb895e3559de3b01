/**
 * The egress policy as a packet filter can follow it: for each family a row of steps, of which the first that holds a
 * packet's destination decides, and the ports that are closed.
 *
 *   denied networks ─▶ IPv4 addresses inside opened IPv6 ones ─▶ opened networks ─▶ classes, the most specific first
 *
 * It says the same as `EgressPolicy.checkAddress`, save that it opens no IPv6 address with an IPv4 one at its end that no
 * prefix tells apart (Teredo), and that this machine's own addresses are not its business: what goes there is not passed
 * on. Rules about hosts cannot hold for packets, which name none: where the file denies every host that it does not name,
 * everything is closed.
 */

import type { EgressPolicy } from "../../../protocol/egress_policy.ts";
import { type Cidr, contains, parseCidr } from "../../../protocol/ip.ts";
import { CLASS_ROWS, type IpClass } from "../../../protocol/ip_class.ts";
import type { NumberRange } from "../../../protocol/nftables/values.ts";

export interface EgressStep {
  readonly isOpen: boolean;
  readonly networks: readonly Cidr[];
}

export interface EgressSteps {
  readonly v4: readonly EgressStep[];
  readonly v6: readonly EgressStep[];
}

/** In IPv6 addresses of these classes an IPv4 address lies right behind the prefix; `embeddedIpv4` takes it out. */
const EMBEDDING: readonly IpClass[] = ["v4-mapped", "v4-translated", "v4-compatible", "nat64", "6to4"];
const TEREDO = parseCidr("2001::/32")!;

const EVERYTHING_CLOSED: EgressSteps = {
  v4: [{ isOpen: false, networks: [parseCidr("0.0.0.0/0")!] }],
  v6: [{ isOpen: false, networks: [parseCidr("::/0")!] }],
};

export function egressSteps(policy: Pick<EgressPolicy, "addressRules" | "deniedHosts">): EgressSteps {
  if (policy.deniedHosts === "all") return EVERYTHING_CLOSED;
  const { openNetworks, openClasses, deniedNetworks } = policy.addressRules;
  const isOpenClass = (ipClass: IpClass) => ipClass === "public" || openClasses.has(ipClass);
  const of = (bytes: number, networks: readonly Cidr[]) => networks.filter(({ address }) => address.length === bytes);
  const stepsOf = (bytes: 4 | 16, between: readonly EgressStep[]) =>
    merged([
      { isOpen: false, networks: of(bytes, deniedNetworks) },
      ...between,
      { isOpen: true, networks: of(bytes, openNetworks) },
      ...CLASS_ROWS.filter(({ prefix }) => prefix.address.length === bytes)
        .map(({ prefix, class: ipClass }) => ({ isOpen: isOpenClass(ipClass), networks: [prefix] })),
    ]);
  const v4 = stepsOf(4, []);
  const own6 = of(16, openNetworks);
  const carrying = CLASS_ROWS.filter((row) => EMBEDDING.includes(row.class)).flatMap(({ prefix, class: ipClass }) =>
    embeddedSteps(v4, prefix, [...own6, ...openClasses.has(ipClass) ? [prefix] : []])
  );
  // `::` and `::1` look as if they carried an IPv4 address, and do not.
  const single = CLASS_ROWS.filter(({ prefix }) => prefix.bits === 128).map(({ prefix, class: ipClass }) => ({
    isOpen: isOpenClass(ipClass) || own6.some((network) => contains(network, prefix.address)),
    networks: [prefix],
  }));
  return { v4, v6: stepsOf(16, [{ isOpen: false, networks: [TEREDO] }, ...single, ...carrying]) };
}

/** What holds for IPv4 addresses, said of the IPv6 addresses that carry them, as far as those are opened. */
function embeddedSteps(v4: readonly EgressStep[], prefix: Cidr, openings: readonly Cidr[]): EgressStep[] {
  return v4.map(({ isOpen, networks }) => ({
    isOpen,
    networks: networks.map((network) => embedded(network, prefix))
      .flatMap((network) => openings.map((opening) => common(network, opening)).filter((both) => both !== undefined)),
  }));
}

function embedded({ address, bits }: Cidr, prefix: Cidr): Cidr {
  const inside = prefix.address.slice();
  inside.set(address, prefix.bits / 8);
  return { address: inside, bits: prefix.bits + bits };
}

/** The smaller of two networks if it lies in the other. */
function common(one: Cidr, other: Cidr): Cidr | undefined {
  const [small, large] = one.bits >= other.bits ? [one, other] : [other, one];
  return contains(large, small.address) ? small : undefined;
}

/** Steps that follow each other and say the same are one. */
function merged(steps: readonly EgressStep[]): EgressStep[] {
  const all: EgressStep[] = [];
  for (const { isOpen, networks } of steps) {
    if (networks.length === 0) continue;
    const last = all.at(-1);
    if (last?.isOpen === isOpen) all[all.length - 1] = { isOpen, networks: [...last.networks, ...networks] };
    else all.push({ isOpen, networks });
  }
  return all;
}

const LAST_PORT = 65_535;

/** In order, and none touches the next. */
export function closedPorts(policy: Pick<EgressPolicy, "isPortOpen">): NumberRange[] {
  const closed: { from: number; to: number }[] = [];
  for (let port = 0; port <= LAST_PORT; port++) {
    if (policy.isPortOpen(port)) continue;
    const last = closed.at(-1);
    if (last?.to === port - 1) last.to = port;
    else closed.push({ from: port, to: port });
  }
  return closed;
}
