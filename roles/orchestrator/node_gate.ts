/**
 * What a node that may come in is told and becomes: the door (`edge/orchestrator/node_door.ts`) says whether it may, the
 * quality desk begins to look at it, and prices and standing are its welcome.
 */

import type { NodeDoor } from "../../edge/orchestrator/node_door.ts";
import type { Table } from "../../kv/sharing/table.ts";
import type { Admission, NodeRefused } from "../../net/sharing/node_tunnel.ts";
import { CulvertError } from "../../protocol/errors.ts";
import type { Hello, NodeUpdate } from "../../protocol/sharing/node_messages.ts";
import type { PriceList } from "../../protocol/sharing/prices.ts";
import type { Device } from "../../protocol/sharing/records.ts";
import type { QualityDesk } from "./quality_desk.ts";

export interface NodeGateDeps {
  readonly door: Pick<NodeDoor, "admit">;
  readonly devices: Table<Device>;
  readonly desk: Pick<QualityDesk, "admit">;
  readonly prices: PriceList;
  /** Clients' tiers, for what a node is told of prices. */
  readonly tiers: readonly string[];
}

/** Others may write to the record at the same time. */
const MAX_ATTEMPTS = 8;

export class NodeGate {
  readonly #deps: NodeGateDeps;

  constructor(deps: NodeGateDeps) {
    this.#deps = deps;
  }

  async admit(hello: Hello, { address }: { readonly address: string }): Promise<Admission | NodeRefused> {
    const device = await this.#deps.door.admit(hello, { address });
    if ("code" in device) return device;
    this.#deps.desk.admit(device, address);
    const { ownerId, region, country, city, standing, reasons } = device;
    const reason = reasons[0]?.reason;
    const note = { standing, ...reason !== undefined && { reason } };
    return { ownerId, region, country, city, standing: note, prices: this.#pricesIn(region) };
  }

  /** What a node says of itself while it is connected. */
  async update(nodeId: string, { info, claims }: NodeUpdate): Promise<void> {
    const { devices } = this.#deps;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const found = await devices.get(nodeId);
      if (!found) return;
      const { region } = found.record;
      const said = { ...claims, region: claims?.region ?? region, ...info && { info } };
      if (await devices.replace(found, { ...found.record, ...said })) return;
    }
    throw new CulvertError("store_contended", "Cannot note what a node says: its record is changed all the time");
  }

  #pricesIn(region: string): Admission["prices"] {
    return this.#deps.tiers.flatMap((tier) => {
      const price = this.#deps.prices.price(region, tier);
      return price ? [{ tier, microsPerGib: String(price.microsPerGib), feeBasisPoints: price.feeBasisPoints }] : [];
    });
  }
}
