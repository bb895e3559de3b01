/**
 * Where the clients and exits of sessions were last heard, kept for after a restart: then their datagrams go on at once.
 */

import { Batch } from "../../kv/batch.ts";
import type { RelayAddressStore } from "../../kv/relay_addresses.ts";
import type { Clock } from "../../protocol/clock.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { RelayAddresses, SessionRecord } from "../../protocol/session.ts";
import { formatEndpoint, parseEndpoint } from "../../protocol/wireguard/endpoint.ts";
import type { Endpoint } from "../../protocol/wireguard/settings.ts";
import type { RelaySide } from "./packet_relay.ts";

export interface Places {
  readonly clientAt?: Endpoint;
  readonly exitAt?: Endpoint;
}

export class KnownPlaces implements AsyncDisposable {
  readonly #store: RelayAddressStore;
  readonly #known = new Map<string, RelayAddresses>();
  readonly #saving: Batch<RelayAddresses>;

  constructor(store: RelayAddressStore, { clock, log }: { readonly clock: Clock; readonly log: Log }) {
    this.#store = store;
    this.#saving = new Batch<RelayAddresses>({
      clock,
      write: (all) => store.save(all.filter(({ sessionId }) => this.#known.has(sessionId))),
      onError: (error) => log.warn("It is not kept where sessions are", { error: messageOf(error) }),
    });
  }

  /** Reads what was kept, of sessions that there still are. */
  async restore(isThere: (sessionId: string) => boolean): Promise<void> {
    for (const known of await this.#store.list()) {
      if (isThere(known.sessionId)) this.#known.set(known.sessionId, known);
      else await this.#store.remove(known.sessionId);
    }
  }

  of(sessionId: string): Places {
    const { clientAt, exitAt } = this.#known.get(sessionId) ?? {};
    const client = clientAt === undefined ? undefined : parseEndpoint(clientAt);
    const exit = exitAt === undefined ? undefined : parseEndpoint(exitAt);
    return { ...(client && { clientAt: client }), ...(exit && { exitAt: exit }) };
  }

  /** Written a moment later; what is known already is not. */
  learned({ sessionId, expiresAtMs }: SessionRecord, side: RelaySide, at: Endpoint): void {
    const known = this.#known.get(sessionId);
    const name = side === "client" ? "clientAt" : "exitAt";
    const text = formatEndpoint(at);
    if (known?.[name] === text && known.expiresAtMs === expiresAtMs) return;
    const now = { ...known, sessionId, [name]: text, expiresAtMs };
    this.#known.set(sessionId, now);
    this.#saving.put(sessionId, now);
  }

  async forget(sessionId: string): Promise<void> {
    if (this.#known.delete(sessionId)) await this.#store.remove(sessionId);
  }

  /** Writes what has not been written. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#saving[Symbol.asyncDispose]();
  }
}
