/**
 * Whom the servers of our own transports let in, in the state directory: the server's key, and a secret for each client.
 *
 *   transport-key.json        made on first use
 *   transport-clients.json    names and secrets; `invite` adds one, `revoke` takes one away, and servers that run follow it
 *
 * `kcp-server` and `vtcp-server` with one state directory have the same key and the same clients.
 */

import { z } from "zod";
import { encodeBase64 } from "../protocol/encoding.ts";
import { CulvertError } from "../protocol/errors.ts";
import { type Bytes, KEY_BYTES } from "../protocol/primitives.ts";
import type { NamedSecret } from "../protocol/sealed_packets/credentials.ts";
import { decodeKeyFile, encodeKeyFile, keyText } from "./key_file.ts";
import type { RoleContext } from "./role.ts";
import { StateDirectory } from "./state.ts";

const KEY_FILE = "transport-key.json";
const CLIENTS_FILE = "transport-clients.json";

const keyFile = z.object({ privateKey: keyText });
const clientName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}$/);
const clientsFile = z.object({ clients: z.record(clientName, keyText) });

type Tools = Pick<RoleContext, "clock" | "random" | "signal" | "stateDir">;

export class TransportClients {
  readonly #state: StateDirectory;
  readonly #tools: Tools;

  private constructor(state: StateDirectory, tools: Tools) {
    this.#state = state;
    this.#tools = tools;
  }

  static async open(tools: Tools): Promise<TransportClients> {
    return new TransportClients(await StateDirectory.open(tools.stateDir), tools);
  }

  /** The server's private key, made if there is none. */
  async serverKey(): Promise<Bytes> {
    const found = await this.#readKey();
    if (found) return found;
    using lock = await this.#state.lock(this.#tools);
    const meanwhile = await this.#readKey();
    if (meanwhile) return meanwhile;
    const privateKey = this.#tools.random.fill(new Uint8Array(KEY_BYTES));
    await lock.create(KEY_FILE, encodeKeyFile({ privateKey: encodeBase64(privateKey) }));
    return privateKey;
  }

  async list(): Promise<NamedSecret[]> {
    const bytes = await this.#state.read(CLIENTS_FILE);
    if (!bytes) return [];
    const { clients } = decodeKeyFile(bytes, clientsFile, this.#state.pathOf(CLIENTS_FILE));
    return Object.entries(clients).map(([name, secret]) => ({ name, secret }));
  }

  /** A client of that name: the one there is, or a new one. */
  async invite(name: string): Promise<NamedSecret> {
    if (!clientName.safeParse(name).success) {
      throw new CulvertError(
        "bad_option",
        `Cannot invite: a name must be letters, digits, _ . @ - and at most 64, got ${
          JSON.stringify(name.slice(0, 80))
        }`,
      );
    }
    using lock = await this.#state.lock(this.#tools);
    const clients = await this.list();
    const known = clients.find((client) => client.name === name);
    if (known) return known;
    const client = { name, secret: this.#tools.random.fill(new Uint8Array(KEY_BYTES)) };
    await lock.replace(CLIENTS_FILE, writeClients([...clients, client]));
    return client;
  }

  /** False when there is none of that name. */
  async revoke(name: string): Promise<boolean> {
    using lock = await this.#state.lock(this.#tools);
    const clients = await this.list();
    const left = clients.filter((client) => client.name !== name);
    if (left.length === clients.length) return false;
    await lock.replace(CLIENTS_FILE, writeClients(left));
    return true;
  }

  async #readKey(): Promise<Bytes | undefined> {
    const bytes = await this.#state.read(KEY_FILE);
    return bytes && decodeKeyFile(bytes, keyFile, this.#state.pathOf(KEY_FILE)).privateKey;
  }
}

function writeClients(clients: readonly NamedSecret[]): Bytes {
  const entries = clients.map(({ name, secret }) => [name, encodeBase64(secret)]);
  return encodeKeyFile({ clients: Object.fromEntries(entries) });
}
