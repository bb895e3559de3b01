/**
 * The parts of the small network that `culvert up` runs, and what each is told.
 *
 *   base ◀── supernode-north ══ supernode-south ──▶ base
 *               │                    │      │
 *             client               exit-1  exit-2
 *
 * The client is in the north and wants out in the south. Peers know both supernodes, their own first, so that one may fail.
 */

import type { WorkerSettings } from "./worker_role.ts";

export const PART_NAMES = ["base", "supernode-north", "supernode-south", "exit-1", "exit-2", "client"] as const;
export type PartName = typeof PART_NAMES[number];

export interface PartInfo {
  /** Of the registry. */
  readonly role: string;
  readonly region?: string;
}

export const PARTS: Readonly<Record<PartName, PartInfo>> = {
  "base": { role: "base" },
  "supernode-north": { role: "supernode", region: "north" },
  "supernode-south": { role: "supernode", region: "south" },
  "exit-1": { role: "exit", region: "south" },
  "exit-2": { role: "exit", region: "south" },
  "client": { role: "client", region: "north" },
};

/** Where the parts are that others are told of, as far as they have started. */
export type Addresses = Partial<Record<PartName, Readonly<Record<string, string>>>>;

export interface PartWishes {
  /** Where programs find the proxy. */
  readonly listen: string;
  readonly egressPolicy: string | undefined;
  readonly stateDir: string;
  readonly addresses: Addresses;
}

/** How quickly the client finds out that its exit is gone without having been told. */
const PROBES = { probeEvery: "1s", probeTimeout: "1s" };

export function settingsOf(name: PartName, { listen, egressPolicy, stateDir, addresses }: PartWishes): WorkerSettings {
  // One that is started again is found where it was.
  const here = { listen: addresses[name]?.listen ?? "127.0.0.1:0" };
  const { region } = PARTS[name];
  const supernodes = (...names: PartName[]) => names.map((each) => addresses[each]!.supernode!);
  switch (name) {
    case "base":
      return { stateDir, config: here };
    case "supernode-north":
    case "supernode-south":
      return { stateDir, config: { ...here, region, base: [`http://${addresses.base!.listen}`] } };
    case "exit-1":
    case "exit-2": {
      const supernode = supernodes("supernode-south", "supernode-north");
      return { stateDir, config: { region, supernode, ...(egressPolicy !== undefined && { egressPolicy }) } };
    }
    case "client": {
      const supernode = supernodes("supernode-north", "supernode-south");
      return {
        stateDir,
        config: { listen: addresses.client?.listen ?? listen, home: region, region: "south", supernode, ...PROBES },
      };
    }
  }
}
