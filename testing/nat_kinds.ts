/**
 * Makes a namespace a NAT router of one of the four kinds that matter to two hosts who want to speak directly (in the words
 * of RFC 3489 §5; in those of RFC 4787, how it maps and what it lets in again):
 *
 *   kind               one inner port is seen as         and lets in
 *   full-cone          one port for every destination    whoever sends to that port
 *   restricted         one port for every destination    addresses that the inner port has sent to
 *   port-restricted    one port for every destination    addresses and ports that the inner port has sent to
 *   symmetric          another port for each             the same
 *
 *   await becomeNat(router, { kind: "restricted", wan: "eth1" });
 *
 * What came in unasked is dropped without a word, as home routers do: a router that answers it would keep the port taken for
 * itself, and its clients would be seen under another. IPv6 is not translated; a stateful firewall guards it alike. One
 * inner host to a port: the port is kept in the mapping, which two hosts with the same one could not both have.
 */

import type { NetNamespace } from "./netns.ts";

export const NAT_KINDS = ["full-cone", "restricted", "port-restricted", "symmetric"] as const;
export type NatKind = typeof NAT_KINDS[number];

/** How long a mapping lives that nothing passes through; conntrack forgets those of one packet after 30 s. */
const MAPPING_S = 60;

export interface NatOptions {
  readonly kind: NatKind;
  /** The interface towards the internet. */
  readonly wan: string;
}

/** Forwards and translates from now on, in place of the kind of router it was before. */
export async function becomeNat(router: NetNamespace, options: NatOptions): Promise<void> {
  for (const family of ["ipv4.ip_forward", "ipv6.conf.all.forwarding"]) {
    await router.run(["sysctl", "-qw", `net.${family}=1`]);
  }
  await router.run(["nft", natRules(options)]);
}

/** The kinds between which two hosts reach each other after both have sent to where a third one sees the other. */
export function canPunch(one: NatKind, other: NatKind): boolean {
  const opensByPort = (kind: NatKind) => kind === "port-restricted" || kind === "symmetric";
  return !(one === "symmetric" && opensByPort(other)) && !(other === "symmetric" && opensByPort(one));
}

/** A script for nft, which replaces the table when it is there. */
export function natRules({ kind, wan }: NatOptions): string {
  const outside = `iifname "${wan}"`;
  const inward = {
    "full-cone": `${outside} dnat ip to udp dport map @mapped`,
    "restricted": `${outside} ip saddr . udp dport @contacted dnat ip to udp dport map @mapped`,
    "port-restricted": "",
    "symmetric": "",
  }[kind];
  return `
table inet culvert_nat
delete table inet culvert_nat
table inet culvert_nat {
  map mapped {
    type inet_service : ipv4_addr
    flags dynamic,timeout
    timeout ${MAPPING_S}s
  }
  set contacted {
    type ipv4_addr . inet_service
    flags dynamic,timeout
    timeout ${MAPPING_S}s
  }
  chain leave {
    type nat hook postrouting priority srcnat
    oifname "${wan}" meta nfproto ipv4 masquerade ${kind === "symmetric" ? "fully-random" : ""}
  }
  chain enter {
    type nat hook prerouting priority dstnat
    ${inward}
  }
  chain pass {
    type filter hook forward priority filter
    oifname "${wan}" meta nfproto ipv4 update @mapped { udp sport : ip saddr } update @contacted { ip daddr . udp sport }
    ct state established,related accept
    ct status dnat accept
    ${outside} drop
  }
  chain itself {
    type filter hook input priority filter
    ct state established,related accept
    ${outside} meta l4proto { tcp, udp } drop
  }
}`;
}
