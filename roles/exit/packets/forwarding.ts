/**
 * Has the machine pass packets on between its interfaces, and puts back what was before.
 *
 * The kernel does more at that word than it is asked for. A machine that forwards IPv6 takes no default route from its
 * router any more, and forgets the one it has, unless `accept_ra` is 2: so that comes first, on the interfaces that have
 * such a route. And when IPv4 forwarding ends the kernel accepts redirects again, even if they had been turned off.
 */

import type { RtNetlink } from "../../../native/rtnetlink.ts";
import { CulvertError, messageOf } from "../../../protocol/errors.ts";
import { MAIN_TABLE } from "../../../protocol/rtnetlink/route.ts";
import type { Journal } from "../../machine/journal.ts";
import { changeSetting } from "../../machine/kernel_setting.ts";

const V4 = "/proc/sys/net/ipv4";
const V6 = "/proc/sys/net/ipv6";
const FORWARD_V4 = `${V4}/ip_forward`;
const REDIRECTS_V4 = `${V4}/conf/all/accept_redirects`;
const FORWARD_V6 = `${V6}/conf/all/forwarding`;

export interface ForwardingTools {
  readonly network: Pick<RtNetlink, "routes" | "link">;
  readonly journal: Pick<Journal, "record" | "othersSetting">;
}

/** Whether the machine has IPv6 at all. */
export async function hasIpv6(): Promise<boolean> {
  return await readSetting(`${V6}/conf/all/disable_ipv6`) === "0";
}

export async function enableForwarding(families: readonly (4 | 6)[], tools: ForwardingTools): Promise<void> {
  if (families.includes(4)) await enableV4(tools);
  if (families.includes(6)) await enableV6(tools);
}

async function enableV4({ journal }: ForwardingTools): Promise<void> {
  const isOn = await readSetting(FORWARD_V4) === "1";
  if (await journal.othersSetting(REDIRECTS_V4) || (!isOn && await readSetting(REDIRECTS_V4) === "0")) {
    // Undone after forwarding, when the kernel will have made it 1.
    await journal.record({ kind: "setting", path: REDIRECTS_V4, before: "0", after: "1" });
  }
  await turnOn(FORWARD_V4, "1", journal);
}

/** Others of this machine that have turned it on may end before us, and must leave us what goes with it. */
async function enableV6({ network, journal }: ForwardingTools): Promise<void> {
  if (await readSetting(FORWARD_V6) !== "1" || await journal.othersSetting(FORWARD_V6)) {
    for (const name of defaultRouteInterfaces(network)) {
      const path = `${V6}/conf/${name}/accept_ra`;
      if (await readSetting(path) === "1" || await journal.othersSetting(path)) await turnOn(path, "2", journal);
    }
  }
  await turnOn(FORWARD_V6, "1", journal);
}

function defaultRouteInterfaces(network: ForwardingTools["network"]): Set<string> {
  const routes = network.routes({ family: 6, table: MAIN_TABLE }).filter(({ destination }) => destination.bits === 0);
  const names = routes.map(({ linkIndex }) => linkIndex === undefined ? undefined : network.link(linkIndex)?.name);
  return new Set(names.filter((name) => name !== undefined));
}

async function readSetting(path: string): Promise<string | undefined> {
  try {
    return (await Deno.readTextFile(path)).trim();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

async function turnOn(path: string, value: string, journal: ForwardingTools["journal"]): Promise<void> {
  try {
    await changeSetting(path, value, journal);
  } catch (error) {
    throw new CulvertError(
      "no_forwarding",
      `Cannot pass packets on: ${path} must be ${value}, and cannot be set (${
        messageOf(error)
      }). In a container, give ` +
        "it that setting when it is started",
      { cause: error },
    );
  }
}
