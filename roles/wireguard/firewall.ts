/**
 * Two things about a default route through a tunnel that only a firewall can do, by one table of nftables' own:
 *
 *   - Packets for the tunnel's addresses that come in by another interface are dropped. Otherwise a neighbour could
 *     probe which connections the tunnel carries (CVE-2019-14899).
 *   - Answers to the tunnel's datagrams get their mark back from the connection, so that a strict reverse path filter
 *     looks for them where they came from.
 */

import type { InterfaceAddress } from "../../protocol/wireguard/quick_config.ts";
import { formatIp } from "../../protocol/ip.ts";
import { findProgram, runProgram } from "./programs.ts";

/** What loads the table, where it is installed. */
export function findNft(): string | undefined {
  return findProgram("nft");
}

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

export async function setFirewall(nft: string, rules: FirewallRules): Promise<void> {
  await runProgram([nft, "-f", "-"], { stdin: firewallText(rules) });
}

/** Harmless when there is none, also in a kernel that has no nftables at all. */
export async function removeFirewall(table: string): Promise<void> {
  const nft = findNft();
  if (nft === undefined) return;
  try {
    await runProgram([nft, "delete", "table", "inet", table]);
  } catch (error) {
    const isThere = await runProgram([nft, "list", "table", "inet", table]).then(() => true, () => false);
    if (isThere) throw error;
  }
}

export function firewallText({ table, interfaceName, addresses, mark }: FirewallRules): string {
  const guarded = addresses.map(({ address }) => `${address.length === 4 ? "ip" : "ip6"} daddr ${formatIp(address)}`);
  return [
    `table inet ${table} {`,
    "  chain guard {",
    "    type filter hook prerouting priority raw",
    ...guarded.map((match) => `    iifname != "${interfaceName}" ${match} fib saddr type != local drop`),
    "  }",
    "  chain recall {",
    "    type filter hook prerouting priority mangle",
    `    meta l4proto udp ct mark ${mark} meta mark set ct mark`,
    "  }",
    "  chain remember {",
    "    type filter hook postrouting priority mangle",
    `    meta l4proto udp meta mark ${mark} ct mark set meta mark`,
    "  }",
    "}",
    "",
  ].join("\n");
}
