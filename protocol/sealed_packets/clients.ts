/**
 * The clients that a server of sealed packets knows, found by the key that each proves itself with. They may be added and
 * revoked while it runs; a revoked one begins nothing more, and whoever asks is told so that its sessions can be ended.
 */

import { CulvertError } from "../errors.ts";
import type { NoiseKeyPair } from "../noise_ik.ts";
import type { Bytes } from "../primitives.ts";
import type { WireGuardCrypto } from "../wireguard/crypto.ts";
import { type ClientKeys, clientKeys, type NamedSecret } from "./credentials.ts";

export class KnownClient {
  readonly name: string;
  readonly presharedKey: Bytes;
  readonly publicKey: Bytes;
  /** DH of the server's key and the client's. */
  readonly shared: Bytes;
  isRevoked = false;

  constructor(name: string, { pair, presharedKey }: ClientKeys, shared: Bytes) {
    this.name = name;
    this.presharedKey = presharedKey.slice();
    this.publicKey = pair.publicKey;
    this.shared = shared;
  }
}

export class ClientTable {
  readonly #suite: WireGuardCrypto;
  readonly #server: NoiseKeyPair;
  readonly #byKey = new Map<string, KnownClient>();
  readonly #byName = new Map<string, KnownClient>();
  /** Called when a client has been revoked. */
  onRevoked: (client: KnownClient) => void = () => {};

  constructor(suite: WireGuardCrypto, server: NoiseKeyPair, clients: Iterable<NamedSecret> = []) {
    this.#suite = suite;
    this.#server = server;
    for (const client of clients) this.add(client);
  }

  get size(): number {
    return this.#byName.size;
  }

  get names(): readonly string[] {
    return [...this.#byName.keys()];
  }

  /** Throws a CulvertError `bad_option` for a name or a secret that another has. */
  add({ name, secret }: NamedSecret): KnownClient {
    using keys = clientKeys(this.#suite, secret);
    const id = nameOfKey(keys.pair.publicKey);
    if (this.#byName.has(name) || this.#byKey.has(id)) {
      throw new CulvertError("bad_option", `Cannot take the client ${name}: its name and its secret must be its own`);
    }
    const shared = this.#suite.x25519(this.#server.privateKey, keys.pair.publicKey);
    if (!shared) throw new CulvertError("bad_key", `Cannot take the client ${name}: its secret must be random`);
    const client = new KnownClient(name, keys, shared);
    this.#byName.set(name, client);
    this.#byKey.set(id, client);
    return client;
  }

  /** False when there is none of that name. */
  revoke(name: string): boolean {
    const client = this.#byName.get(name);
    if (!client) return false;
    this.#byName.delete(name);
    this.#byKey.delete(nameOfKey(client.publicKey));
    client.isRevoked = true;
    client.shared.fill(0);
    client.presharedKey.fill(0);
    this.onRevoked(client);
    return true;
  }

  find(publicKey: Bytes): KnownClient | undefined {
    return this.#byKey.get(nameOfKey(publicKey));
  }
}

function nameOfKey(publicKey: Bytes): string {
  return publicKey.toHex();
}
