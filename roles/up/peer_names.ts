/**
 * What the peers of a network on this machine are called, by their ids: each gets its keys before it starts, so that it is
 * known when a page names it.
 */

import { hostPrimitives } from "../../net/host_primitives.ts";
import { loadOrCreateIdentity } from "../identity_store.ts";
import type { RoleContext } from "../role.ts";
import { StateDirectory } from "../state.ts";

export class PeerNames<Name extends string> {
  readonly #names = new Map<string, Name>();
  readonly #context: Pick<RoleContext, "random" | "clock" | "signal">;

  constructor(context: Pick<RoleContext, "random" | "clock" | "signal">) {
    this.#context = context;
  }

  /** Makes the keys of a peer that will keep its state there, or reads them. */
  async add(name: Name, stateDir: string): Promise<void> {
    const { random, clock, signal } = this.#context;
    const state = await StateDirectory.open(stateDir);
    const { identity } = await loadOrCreateIdentity(state, { random, primitives: hostPrimitives(), clock, signal });
    this.#names.set(identity.peerId, name);
  }

  nameOf(peerId: string): Name | undefined {
    return this.#names.get(peerId);
  }

  peerIdOf(name: Name): string | undefined {
    return [...this.#names].find(([, named]) => named === name)?.[0];
  }
}
