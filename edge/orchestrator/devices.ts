/** Changes to the records of nodes, which others change as well: each is decided anew from what is there. */

import type { Table } from "../../kv/sharing/table.ts";
import { CulvertError } from "../../protocol/errors.ts";
import type { Device } from "../../protocol/sharing/records.ts";
import type { Problem } from "../problem.ts";

const TRIES = 16;

/** What became of it; undefined when there is no such node. */
export async function changeDevice(
  devices: Table<Device>,
  nodeId: string,
  decide: (device: Device) => Device | Problem,
): Promise<Device | Problem | undefined> {
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const found = await devices.get(nodeId);
    if (!found) return undefined;
    const decided = decide(found.record);
    if (!("nodeId" in decided) || await devices.replace(found, decided)) return decided;
  }
  throw new CulvertError("store_contended", "Cannot change a node: others must not be in the way; try again");
}

/** What became of it, or why it stayed; undefined when there is no such node. */
export async function removeDevice(
  devices: Table<Device>,
  nodeId: string,
  check: (device: Device) => Problem | undefined,
): Promise<Device | Problem | undefined> {
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const found = await devices.get(nodeId);
    if (!found) return undefined;
    const problem = check(found.record);
    if (problem) return problem;
    if (await devices.remove(found)) return found.record;
  }
  throw new CulvertError("store_contended", "Cannot remove a node: others must not be in the way; try again");
}
