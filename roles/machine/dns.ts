/**
 * The name servers of a tunnel, handed to `resolvconf` under the interface's name: exclusive (`-x`) and first (`-m 0`),
 * as wg-quick does. `/etc/resolv.conf` is never written by us.
 */

import { formatIp } from "../../protocol/ip.ts";
import type { QuickConfig } from "../../protocol/wireguard/quick_config.ts";
import { findProgram, runProgram } from "./programs.ts";

export type Dns = Pick<QuickConfig, "dnsServers" | "dnsSearchDomains">;

const PRIORITIES = "/etc/resolvconf/interface-order";

/** What sets name servers, where it is installed. */
export function findResolvconf(): string | undefined {
  return findProgram("resolvconf");
}

/** Makes the tunnel's name servers those of the machine. */
export async function setDns(resolvconf: string, name: string, dns: Dns): Promise<void> {
  await runProgram([resolvconf, "-a", name, "-m", "0", "-x"], { stdin: dnsText(dns) });
}

/** Takes them away again; harmless when there are none. */
export async function unsetDns(name: string): Promise<void> {
  const resolvconf = findResolvconf();
  if (resolvconf !== undefined) await runProgram([resolvconf, "-d", name, "-f"]);
}

/** As in resolv.conf(5). */
export function dnsText({ dnsServers, dnsSearchDomains }: Dns): string {
  const lines = dnsServers.map((server) => `nameserver ${formatIp(server)}`);
  if (dnsSearchDomains.length > 0) lines.push(`search ${dnsSearchDomains.join(" ")}`);
  return lines.map((line) => line + "\n").join("");
}

/** The name to give to resolvconf: Debian's orders interfaces by a prefix, the first pattern being the strongest. */
export async function dnsNameOf(interfaceName: string, readTextFile = Deno.readTextFile): Promise<string> {
  const order = await readTextFile(PRIORITIES).catch(() => "");
  const prefix = /^([A-Za-z0-9-]+)\*$/m.exec(order)?.[1];
  return prefix === undefined ? interfaceName : `${prefix}.${interfaceName}`;
}
