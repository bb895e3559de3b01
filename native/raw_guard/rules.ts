/**
 * What is guarded, and the runs of consecutive ports that rules are made of.
 */

import type { Clock } from "../../protocol/clock.ts";
import type { IpAddress } from "../../protocol/ip.ts";
import type { Log } from "../../protocol/log.ts";
import type { NumberRange } from "../../protocol/nftables/values.ts";
import type { Libc } from "../libc.ts";

export interface GuardedPorts {
  readonly ports: readonly number[];
  readonly peer?: IpAddress;
}

/** What rules are put in place with. */
export interface RuleHost {
  readonly libc: Libc;
  readonly clock: Clock;
  readonly log: Log;
}

/** Rules that are in place, until it is disposed. */
export interface PortRules extends AsyncDisposable {
  /** How many packets have come to the ports; undefined where it cannot be told. */
  heardPackets(): number | undefined;
}

/** The same ports as few runs, in order. */
export function runsOf(ports: readonly number[]): NumberRange[] {
  const runs: { from: number; to: number }[] = [];
  for (const port of ports.toSorted((a, b) => a - b)) {
    const last = runs.at(-1);
    if (last && port <= last.to + 1) last.to = port;
    else runs.push({ from: port, to: port });
  }
  return runs;
}
