/**
 * Who sends packets through an exit: clients by their keys, each with its sessions and the addresses it has in the tunnel.
 *
 * A device knows a key but once, so a client with several sessions is one peer: its addresses are the same in all of them,
 * it is looked for where the newest one's relay is, and it goes with the last one. While it has any, its key is nobody
 * else's: a peer's word that a key is its own does not say that it is nobody else's, whose packets would go where it wishes.
 * Pure; what the device is told follows from `peerOf`.
 */

import { CulvertError } from "../../../protocol/errors.ts";
import { encodeBase64 } from "../../../protocol/encoding.ts";
import { contains, formatIp, type IpAddress } from "../../../protocol/ip.ts";
import type { Endpoint, Key } from "../../../protocol/wireguard/settings.ts";
import type { AddressPool } from "./address_pool.ts";

export interface ClientSession {
  readonly sessionId: string;
  /** Whose key it is; those that were stored by earlier versions do not say. */
  readonly clientPeerId?: string | undefined;
  readonly clientKey: Key;
  /** Where its supernode relays it. */
  readonly relayAt: Endpoint;
  /** The addresses it would like to have, of any family. */
  readonly wishes: readonly IpAddress[];
}

/** A client as the device is to know it. */
export interface ClientPeer {
  readonly key: Key;
  readonly addresses: readonly IpAddress[];
  readonly relayAt: Endpoint;
}

interface Client {
  /** Undefined until a session has said it. */
  peerId: string | undefined;
  readonly key: Key;
  /** One of each pool, in their order. */
  readonly addresses: readonly IpAddress[];
  /** By session, the newest last. */
  readonly relays: Map<string, Endpoint>;
}

export class ClientTable {
  readonly #pools: readonly AddressPool[];
  readonly #clients = new Map<string, Client>();
  readonly #bySession = new Map<string, Client>();
  readonly #byAddress = new Map<string, Client>();

  constructor(pools: readonly AddressPool[]) {
    this.#pools = pools;
  }

  get clientCount(): number {
    return this.#clients.size;
  }

  /** How many more clients there are addresses for. */
  get spareClients(): number {
    return Math.min(...this.#pools.map(({ spare }) => spare));
  }

  /** Takes a session in, as the newest of its client; one of that id that is there moves. Throws `no_address`, `key_in_use`. */
  add(session: ClientSession): ClientPeer {
    const { sessionId, relayAt } = session;
    const before = this.#bySession.get(sessionId);
    const client = this.#clientOf(session);
    if (before && before !== client) this.remove(sessionId);
    client.relays.delete(sessionId);
    client.relays.set(sessionId, relayAt);
    this.#bySession.set(sessionId, client);
    return peerOf(client);
  }

  /** Lets go of a session; false when there is none of that id. */
  remove(sessionId: string): boolean {
    const client = this.#bySession.get(sessionId);
    if (!client) return false;
    this.#bySession.delete(sessionId);
    client.relays.delete(sessionId);
    if (client.relays.size === 0) this.#dismiss(client);
    return true;
  }

  /** Whose session it is. */
  keyOf(sessionId: string): Key | undefined {
    return this.#bySession.get(sessionId)?.key;
  }

  /** Where a session is relayed. */
  relayOf(sessionId: string): Endpoint | undefined {
    return this.#bySession.get(sessionId)?.relays.get(sessionId);
  }

  /** What the device is to know of a client; undefined: nothing. */
  peerOf(key: Key): ClientPeer | undefined {
    const client = this.#clients.get(encodeBase64(key));
    return client && peerOf(client);
  }

  /** Whose address in the tunnel that is. */
  clientAt(address: IpAddress): ClientPeer | undefined {
    const client = this.#byAddress.get(formatIp(address));
    return client && peerOf(client);
  }

  #clientOf({ clientPeerId: peerId, clientKey, wishes }: ClientSession): Client {
    const client = this.#clients.get(encodeBase64(clientKey)) ?? this.#admit(clientKey, wishes);
    client.peerId ??= peerId;
    if (peerId === undefined || peerId === client.peerId) return client;
    throw new CulvertError("key_in_use", "Cannot take the client: its key must be its own, and another client has it");
  }

  #admit(key: Key, wishes: readonly IpAddress[]): Client {
    const addresses: IpAddress[] = [];
    for (const pool of this.#pools) {
      const address = pool.take(key, wishes.find((wish) => contains(pool.network, wish)));
      if (!address) {
        this.#release(addresses, key);
        throw new CulvertError("no_address", "Cannot take the client: every address of the pool is in use");
      }
      addresses.push(address);
    }
    const client: Client = { peerId: undefined, key: key.slice(), addresses, relays: new Map() };
    this.#clients.set(encodeBase64(key), client);
    for (const address of addresses) this.#byAddress.set(formatIp(address), client);
    return client;
  }

  #dismiss({ key, addresses }: Client): void {
    this.#clients.delete(encodeBase64(key));
    for (const address of addresses) this.#byAddress.delete(formatIp(address));
    this.#release(addresses, key);
  }

  #release(addresses: readonly IpAddress[], key: Key): void {
    addresses.forEach((address, index) => this.#pools[index]!.release(address, key));
  }
}

function peerOf({ key, addresses, relays }: Client): ClientPeer {
  return { key, addresses, relayAt: [...relays.values()].at(-1)! };
}
