/**
 * What a tunnel needs of the machine's network around its interface: addresses, MTU, name servers, routes, and for a
 * default route the rules around it. Whatever would outlive the interface is written to the journal first.
 */

import type { RtNetlink } from "../../native/rtnetlink.ts";
import { CulvertError, messageOf } from "../../protocol/errors.ts";
import { type Cidr, formatCidr, formatIp, networkOf } from "../../protocol/ip.ts";
import type { Log } from "../../protocol/log.ts";
import type { QuickConfig } from "../../protocol/wireguard/quick_config.ts";
import { dnsNameOf, findResolvconf, setDns } from "../machine/dns.ts";
import { firewallTableOf, hasNoNftables, setFirewall } from "../machine/firewall.ts";
import { changeSetting } from "../machine/kernel_setting.ts";
import { guardTable } from "./guard.ts";
import type { Journal } from "../machine/journal.ts";
import { type Family, FIRST_TABLE, type RoutePlan } from "./routing.ts";

/** Lets a marked packet's reverse path be looked up by its mark. */
const MARK_SETTING = "/proc/sys/net/ipv4/conf/all/src_valid_mark";
/** The priority of the rule that asks the main table; ours come before. */
const MAIN_PRIORITY = 32_766;

export type Network = Pick<
  RtNetlink,
  | "link"
  | "changeLink"
  | "removeLink"
  | "addAddress"
  | "addRoute"
  | "removeRoute"
  | "routes"
  | "routeTo"
  | "rules"
  | "addRule"
  | "removeRule"
>;

export interface NetworkTools {
  readonly network: Network;
  readonly journal: Pick<Journal, "record" | "othersSetting">;
  readonly log: Log;
}

/** What is to be set, once the interface is there. */
export interface NetworkSettings {
  readonly interfaceName: string;
  readonly config: QuickConfig;
  readonly mtu: number;
  readonly routes: RoutePlan;
  /** The table of the default routes, and the mark of the tunnel's own datagrams; unused without a default route. */
  readonly mark: number;
}

/** The mark of a tunnel with a default route: the configured one, or the first whose table is free. */
export function chooseMark(config: Pick<QuickConfig, "fwmark">, network: Pick<RtNetlink, "routes">): number {
  if (config.fwmark) return config.fwmark;
  for (let table = FIRST_TABLE;; table++) {
    if (network.routes({ family: 4, table }).length + network.routes({ family: 6, table }).length === 0) return table;
  }
}

/** Sets it all, in the order of wg-quick. */
export async function setNetwork(settings: NetworkSettings, tools: NetworkTools): Promise<void> {
  const { interfaceName, config, mtu, routes } = settings;
  const { network } = tools;
  const link = network.link(interfaceName);
  if (!link) {
    throw new CulvertError("removed", `Cannot set up ${interfaceName}: the interface must be there, and is gone`);
  }
  for (const { address, bits } of config.addresses) {
    telling(
      `give ${interfaceName} the address ${formatIp(address)}/${bits}`,
      () => network.addAddress({ linkIndex: link.index, address, bits }),
    );
  }
  network.changeLink(link.index, { mtu, up: true });
  await setNameServers(interfaceName, config, tools);
  for (const destination of routes.routes) {
    addRoute(destination, { linkIndex: link.index, ...routes.table !== undefined && { table: routes.table } }, network);
  }
  for (const family of routes.defaults) await setDefaultRoute(family, link.index, settings, tools);
  if (routes.defaults.length > 0) await setGuard(settings, tools);
}

async function setNameServers(
  interfaceName: string,
  config: QuickConfig,
  { journal, log }: NetworkTools,
): Promise<void> {
  if (config.dnsServers.length + config.dnsSearchDomains.length === 0) return;
  const resolvconf = findResolvconf();
  if (resolvconf === undefined) {
    log.warn(
      "The configuration's DNS is not used: there is no resolvconf to hand it to; names are looked up as before",
    );
    return;
  }
  const name = await dnsNameOf(interfaceName);
  await journal.record({ kind: "dns", name });
  await setDns(resolvconf, name, config);
}

/** The rule that passes over the main table's default route comes first, then the one to ours. */
async function setDefaultRoute(
  family: Family,
  linkIndex: number,
  { mark }: NetworkSettings,
  { network, journal }: NetworkTools,
): Promise<void> {
  addRoute(networkOf(new Uint8Array(family === 4 ? 4 : 16), 0)!, { linkIndex, table: mark }, network);
  const priorities = network.rules(family).map(({ priority = 0 }) => priority).filter((priority) => priority > 2);
  const first = Math.min(MAIN_PRIORITY, ...priorities) - 1;
  const rules = [
    { family, priority: first, table: mark, fwmark: mark, not: true },
    { family, priority: first - 1, table: 254, suppressPrefixLength: 0 },
  ];
  for (const rule of rules) {
    await journal.record({ kind: "rule", rule });
    telling("add a routing rule", () => network.addRule(rule));
  }
}

/** What a default route needs beside its rules. Without nftables it works nearly everywhere, and less safely. */
async function setGuard(settings: NetworkSettings, { journal, log }: NetworkTools): Promise<void> {
  const { interfaceName, config, mark, routes } = settings;
  if (routes.defaults.includes(4)) await changeSetting(MARK_SETTING, "1", journal);
  const table = firewallTableOf(interfaceName);
  await journal.record({ kind: "firewall", table });
  try {
    setFirewall(guardTable({ interfaceName, addresses: config.addresses, mark }));
  } catch (error) {
    if (hasNoNftables(error)) {
      log.warn("Without nftables neighbours may probe the tunnel's addresses, and a strict rp_filter drops answers");
      return;
    }
    log.warn(
      "The firewall table of the default route could not be loaded; neighbours may probe the tunnel's addresses",
      { error: messageOf(error) },
    );
  }
}

function addRoute(destination: Cidr, way: { linkIndex: number; table?: number }, network: Network): void {
  telling(`add the route to ${formatCidr(destination)}`, () => network.addRoute({ destination, ...way }));
}

/** The kernel's refusals do not say which of many it was. */
function telling(action: string, act: () => void): void {
  try {
    act();
  } catch (error) {
    throw new CulvertError("network_refused", `Cannot ${action}: ${messageOf(error)}`, { cause: error });
  }
}
