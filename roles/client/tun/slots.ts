/**
 * The two interfaces that a client's tunnels have in turn. The one in use is never given away; the other is, and whoever
 * still drains there ends.
 */

import { orAborted } from "../../../protocol/abort.ts";
import { CulvertError } from "../../../protocol/errors.ts";
import { type Slot, SLOTS } from "./plan.ts";

/** Who has an interface. */
export interface Tenant {
  close(): void;
  closed(): Promise<void>;
}

export class Slots {
  readonly #tenants = new Map<Slot, Tenant>();
  #inUse: Tenant | undefined;

  /** The one that traffic goes through from now on. */
  use(tenant: Tenant): void {
    this.#inUse = tenant;
  }

  /** An interface that is free, or made free. */
  async take(tenant: Tenant, signal: AbortSignal): Promise<Slot> {
    signal.throwIfAborted();
    const slot = SLOTS.find((one) => !this.#tenants.has(one)) ??
      SLOTS.find((one) => this.#tenants.get(one) !== this.#inUse);
    if (slot === undefined) throw new CulvertError("busy", "Cannot open a tunnel: both interfaces are in use");
    const before = this.#tenants.get(slot);
    this.#tenants.set(slot, tenant);
    if (before) {
      before.close();
      await orAborted(before.closed(), signal);
    }
    return slot;
  }

  /** Gives it back, once nothing of it is left. */
  leave(tenant: Tenant): void {
    for (const [slot, one] of this.#tenants) if (one === tenant) this.#tenants.delete(slot);
    if (this.#inUse === tenant) this.#inUse = undefined;
  }
}
