/**
 * The parts of the small network that `culvert up` runs, and what each is told.
 *
 *   base ◀── supernode-north ══ supernode-south ──▶ base
 *               │                    │      │
 *             client               exit-1  exit-2
 *
 * The client is in the north and wants out in the south. Peers know both supernodes, their own first, so that one may fail.
 * With sharing there are an orchestrator and two nodes beside them (`sharing.ts`), with files a tracker and two peers that share
 * folders (`files.ts`).
 */

import { sampleFolder } from "./files.ts";
import type { WorkerSettings } from "./worker_role.ts";

export const PART_NAMES = ["base", "supernode-north", "supernode-south", "exit-1", "exit-2", "client"] as const;
export const NODE_NAMES = ["node-1", "node-2"] as const;
export const SHARING_NAMES = ["orchestrator", ...NODE_NAMES] as const;
export const PEER_NAMES = ["peer-1", "peer-2"] as const;
export const FILES_NAMES = ["tracker", ...PEER_NAMES] as const;
export type PartName = typeof PART_NAMES[number] | typeof SHARING_NAMES[number] | typeof FILES_NAMES[number];

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
  "orchestrator": { role: "orchestrator" },
  "node-1": { role: "node", region: "south" },
  "node-2": { role: "node", region: "south" },
  "tracker": { role: "tracker" },
  "peer-1": { role: "peer", region: "north" },
  "peer-2": { role: "peer", region: "south" },
};

/** Where the parts are that others are told of, as far as they have started. */
export type Addresses = Partial<Record<PartName, Readonly<Record<string, string>>>>;

export interface PartWishes {
  /** Where programs find the proxy. */
  readonly listen: string;
  readonly egressPolicy: string | undefined;
  readonly stateDir: string;
  readonly addresses: Addresses;
  /** Of the nodes, in their order. */
  readonly codes: readonly string[];
}

/** How quickly the client finds out that its exit is gone without having been told. */
const PROBES = { probeEvery: "1s", probeTimeout: "1s" };

export function settingsOf(name: PartName, wishes: PartWishes): WorkerSettings {
  const { listen, egressPolicy, stateDir, addresses } = wishes;
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
    case "orchestrator": {
      const proxyListen = addresses.orchestrator?.proxy ?? "127.0.0.1:0";
      return { stateDir, config: { ...here, proxyListen, title: "culvert up", payoutWait: "0" } };
    }
    case "node-1":
    case "node-2":
      return { stateDir, config: nodeSettings(name, wishes) };
    case "tracker":
      return { stateDir, config: here };
    case "peer-1":
    case "peer-2":
      return { stateDir, config: peerSettings(name, wishes) };
  }
}

function peerSettings(
  name: typeof PEER_NAMES[number],
  { addresses, stateDir }: PartWishes,
): Record<string, unknown> {
  return {
    folder: sampleFolder(stateDir),
    label: name,
    region: PARTS[name].region,
    tracker: [`http://${addresses.tracker!.listen}/`],
    // Nobody else comes by, and each may see what the other shares.
    listen: "127.0.0.1:0",
    open: true,
    // One that is started again is found where it was.
    ...addresses[name] && { port: Number(new URL(addresses[name].files!).port) },
  };
}

/** Whoever tries this on a laptop is asked for nothing more, and wants to see it work on batteries too. */
function nodeSettings(
  name: typeof NODE_NAMES[number],
  { egressPolicy, addresses, codes }: PartWishes,
): Record<string, unknown> {
  return {
    orchestrator: [`http://${addresses.orchestrator!.listen}/`],
    code: [codes[NODE_NAMES.indexOf(name)]],
    region: PARTS[name].region,
    yes: true,
    minBattery: 0,
    metered: "share",
    ...egressPolicy !== undefined && { egressPolicy },
  };
}
