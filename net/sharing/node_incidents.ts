/**
 * Which ends of nodes' tunnels are worth a line in the audit log: those that somebody was to blame for. Of one kind and one
 * node or address a few in a minute are told, so that a flood of them is not one of lines.
 */

import { BurstTable } from "../../protocol/control/burst_table.ts";
import type { Random } from "../../protocol/random.ts";
import type { NodeRefusal } from "../../protocol/sharing/node_messages.ts";

export interface NodeIncident {
  readonly code: NodeRefusal;
  readonly reason: string;
  readonly address: string;
  /** Known once it has shown who it is. */
  readonly nodeId: string | undefined;
}

const RATE = { perSecond: 1 / 20, burst: 3 };
const WORTH_TELLING: ReadonlySet<NodeRefusal> = new Set<NodeRefusal>([
  "malformed",
  "too_large",
  "unexpected",
  "flooded",
  "rate_limited",
  "liveness",
  "wrong_node_id",
  "bad_signature",
  "address_taken",
  "bad_code",
  "suspended",
  "banned",
]);

export class NodeIncidents {
  readonly #onIncident: (incident: NodeIncident) => void;
  readonly #told: BurstTable;

  constructor(random: Random, onIncident: (incident: NodeIncident) => void) {
    this.#onIncident = onIncident;
    this.#told = new BurstTable(random, RATE);
  }

  tell(incident: NodeIncident, nowMs: number): void {
    const { code, nodeId, address } = incident;
    if (!WORTH_TELLING.has(code) || this.#told.take(`${code} ${nodeId ?? address}`, nowMs) > 0) return;
    this.#onIncident(incident);
  }
}
