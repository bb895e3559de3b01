/**
 * What a node says of the machine it runs on (`DeviceInfo`). An owner can see all of it with `culvert node status --json`
 * and in the consent's words: what kind of machine, connection and battery.
 */

import deno from "../../deno.json" with { type: "json" };
import type { DeviceInfo } from "../../protocol/sharing/records.ts";
import type { Battery } from "./battery.ts";
import type { Connection } from "./connection.ts";

const MIB = 1024 * 1024;
const MAX_CORES = 4096;

export function deviceInfo(
  { battery, connection, model }: {
    readonly battery: Battery | undefined;
    readonly connection: Connection | undefined;
    readonly model: string | undefined;
  },
): DeviceInfo {
  return {
    kind: Deno.build.os === "linux" ? "linux" : "other",
    agent: `culvert/${deno.version}`,
    os: `${Deno.build.os} ${Deno.osRelease()} ${Deno.build.arch}`.slice(0, 256),
    cores: Math.min(MAX_CORES, navigator.hardwareConcurrency),
    memoryMib: Math.round(Deno.systemMemoryInfo().total / MIB),
    network: connection?.kind ?? "unknown",
    ...model !== undefined && { model },
    ...battery && { battery },
  };
}

/** Whether this machine reaches IPv6 by an address of its own that is public (2000::/3). */
export function hasIpv6(addresses: readonly string[]): boolean {
  return addresses.some((address) => /^[23][0-9a-f]{3}:/i.test(address));
}
