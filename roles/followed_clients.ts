/**
 * Whom a server that runs lets in: those given on the command line, and those invited in the state directory, followed while
 * it runs. Somebody who was revoked and invited again has another secret, and is somebody else.
 */

import { messageOf } from "../protocol/errors.ts";
import { type NamedSecret, parseNamedSecret } from "../protocol/sealed_packets/credentials.ts";
import { ConfigError } from "./config.ts";
import { repeat } from "./repeating.ts";
import type { RoleContext } from "./role.ts";
import type { TransportClients } from "./transport_clients.ts";

/** The server, as far as it lets in and throws out. */
export interface ClientDoor {
  admit(client: NamedSecret): void | Promise<unknown>;
  revoke(name: string): void | Promise<unknown>;
}

/** How soon somebody who was invited or revoked is known. */
const LOOK_MS = 1000;

export class FollowedClients {
  readonly #store: TransportClients;
  readonly #given: readonly NamedSecret[];
  readonly #context: Pick<RoleContext, "clock" | "log">;
  #known: readonly NamedSecret[] = [];

  private constructor(store: TransportClients, given: readonly NamedSecret[], context: RoleContext) {
    this.#store = store;
    this.#given = given;
    this.#context = context;
  }

  /** `given` are texts, `name=secret`. `action` is what cannot be done when one is wrong: "start kcp-server". */
  static async open(
    store: TransportClients,
    { given, action }: { readonly given: readonly string[]; readonly action: string },
    context: RoleContext,
  ): Promise<FollowedClients> {
    const followed = new FollowedClients(store, given.map((text) => readClient(text, action)), context);
    followed.#known = await followed.#wanted();
    return followed;
  }

  /** As of the last look. */
  get list(): readonly NamedSecret[] {
    return this.#known;
  }

  /** What to say to whoever has started the server. */
  get note(): string {
    return this.#known.length === 0 ? "nobody is let in yet: culvert kcp invite NAME" : `clients ${this.#known.length}`;
  }

  /** The door is told of changes, until this is disposed. */
  follow(door: ClientDoor): Disposable {
    const { clock, log } = this.#context;
    return repeat({
      clock,
      everyMs: LOOK_MS,
      look: () => this.#look(door),
      onProblem: (error) => log.warn("Who was invited could not be read: those before stay", { error }),
    });
  }

  async #look(door: ClientDoor): Promise<void> {
    const { log } = this.#context;
    const known = this.#known;
    const wanted = await this.#wanted();
    for (const client of known) {
      if (wanted.some((other) => isSame(client, other))) continue;
      await door.revoke(client.name);
      log.info("A client was revoked", { client: client.name });
    }
    this.#known = wanted;
    for (const client of wanted) {
      if (!known.some((other) => isSame(client, other))) await this.#admit(door, client);
    }
  }

  /** One that is not taken, since another has its secret, must not keep others out. */
  async #admit(door: ClientDoor, client: NamedSecret): Promise<void> {
    const { log } = this.#context;
    try {
      await door.admit(client);
      log.info("A client was invited", { client: client.name });
    } catch (error) {
      log.warn("A client that was invited is not taken", { client: client.name, error: messageOf(error) });
    }
  }

  /** Those given come before those invited by the same name. */
  async #wanted(): Promise<readonly NamedSecret[]> {
    const names = new Set(this.#given.map(({ name }) => name));
    return [...this.#given, ...(await this.#store.list()).filter(({ name }) => !names.has(name))];
  }
}

function isSame(one: NamedSecret, other: NamedSecret): boolean {
  return one.name === other.name && one.secret.every((byte, at) => byte === other.secret[at]);
}

function readClient(text: string, action: string): NamedSecret {
  try {
    return parseNamedSecret(text);
  } catch (error) {
    throw new ConfigError(action, [`--client is of no use. ${messageOf(error)}`]);
  }
}
