/**
 * The invitations of a peer in its state directory, a file for each: `culvert peer share` makes them, `culvert peer` lets in
 * whoever has one and writes down who has, `culvert peer revoke` takes them away. A peer that runs follows what others do.
 *
 *   invitation-<id>.json    what it is for and a hash of its secret, never the secret
 */

import { CulvertError } from "../../protocol/errors.ts";
import { type Invitation, invitationIdSchema, invitationSchema } from "../../protocol/peers/invitations.ts";
import { corruptFile } from "../key_file.ts";
import { repeat } from "../repeating.ts";
import type { RoleContext } from "../role.ts";
import { StateDirectory } from "../state.ts";

const PREFIX = "invitation-";
const SUFFIX = ".json";
const MAX_INVITATIONS = 1000;
const LOOK_MS = 250;
/** A peer that runs knows of an invitation after so long. */
export const INVITATION_KNOWN_MS = LOOK_MS + 150;

type Tools = Pick<RoleContext, "clock" | "signal" | "stateDir">;

export class InvitationStore {
  readonly #state: StateDirectory;
  readonly #tools: Tools;
  /** Who has used which, also while that is still being written down: nobody may use one twice meanwhile. */
  readonly #usedBy = new Map<string, readonly string[]>();
  readonly #writing = new Set<Promise<void>>();

  private constructor(state: StateDirectory, tools: Tools) {
    this.#state = state;
    this.#tools = tools;
  }

  static async open(tools: Tools): Promise<InvitationStore> {
    return new InvitationStore(await StateDirectory.open(tools.stateDir), tools);
  }

  /** Those that there are, expired ones as well, the newest first. */
  async list(): Promise<Invitation[]> {
    return this.#withUses(await this.#read());
  }

  async add(invitation: Invitation): Promise<void> {
    using lock = await this.#state.lock(this.#tools);
    const nowMs = this.#tools.clock.wallNow();
    let count = 0;
    for (const { id, expiresAtMs } of await this.#read()) {
      if (nowMs >= (expiresAtMs ?? Infinity)) await this.#remove(id);
      else count++;
    }
    if (count >= MAX_INVITATIONS) {
      throw new CulvertError("busy", `Cannot invite: there are ${count} invitations; revoke some of them`);
    }
    await lock.create(nameOf(invitation.id), encode(invitation));
  }

  /** Somebody has used it. Nothing is written when it was revoked meanwhile. */
  update(invitation: Invitation): Promise<void> {
    this.#usedBy.set(invitation.id, this.#usedByOf(invitation));
    const writing = this.#replace(invitation.id);
    this.#writing.add(writing);
    return writing.finally(() => this.#writing.delete(writing));
  }

  /** Writes who has used it by the time of the writing: of several that wait for the lock any may be the last. */
  async #replace(id: string): Promise<void> {
    using lock = await this.#state.lock(this.#tools);
    const name = nameOf(id);
    const bytes = await this.#state.read(name);
    if (bytes) await lock.replace(name, encode(this.#withUses([this.#parse(bytes, name)])[0]!));
  }

  /** False when there is none. */
  async revoke(id: string): Promise<boolean> {
    if (!invitationIdSchema.safeParse(id).success) return false;
    using _lock = await this.#state.lock(this.#tools);
    return await this.#remove(id);
  }

  /** Calls back with all of them whenever they have changed, until it is disposed, which waits for what is being read and written. */
  follow(
    onChange: (invitations: readonly Invitation[]) => void,
    { clock, log }: Pick<RoleContext, "clock" | "log">,
  ): AsyncDisposable {
    let last = "";
    let seen = { atMs: NaN, looks: 0 };
    let looking: Promise<void> = Promise.resolve();
    const writing = this.#writing;
    const look = async (signal: AbortSignal) => {
      // What is put into a directory or taken from it shows in its time; once more, lest it was in the same instant.
      const atMs = (await Deno.stat(this.#state.path)).mtime?.getTime() ?? NaN;
      seen = { atMs, looks: atMs === seen.atMs ? seen.looks + 1 : 0 };
      if (seen.looks > 1) return;
      const invitations = this.#withUses(await this.#read());
      const text = JSON.stringify(invitations);
      if (signal.aborted || text === last) return;
      last = text;
      onChange(invitations);
    };
    const repeating = repeat({
      clock,
      everyMs: LOOK_MS,
      look: (signal) => looking = look(signal),
      onProblem: (error) => log.warn("Invitations could not be read: those before stay", { error }),
    });
    return {
      async [Symbol.asyncDispose]() {
        repeating[Symbol.dispose]();
        await Promise.allSettled([looking, ...writing]); // who has begun it hears of its failure
      },
    };
  }

  /** As the files have them. */
  async #read(): Promise<Invitation[]> {
    const invitations: Invitation[] = [];
    for (const name of await this.#state.names()) {
      if (!name.startsWith(PREFIX) || !name.endsWith(SUFFIX)) continue;
      const bytes = await this.#state.read(name);
      if (bytes) invitations.push(this.#parse(bytes, name)); // or it has just been revoked
    }
    return invitations.sort((a, b) => b.createdAtMs - a.createdAtMs);
  }

  /** Only after all has been read: what is used while a file is read must not be missed. */
  #withUses(invitations: readonly Invitation[]): Invitation[] {
    return invitations.map((invitation) => ({ ...invitation, usedBy: this.#usedByOf(invitation) }));
  }

  #usedByOf({ id, usedBy }: Invitation): string[] {
    return [...new Set([...this.#usedBy.get(id) ?? [], ...usedBy])];
  }

  #parse(bytes: Uint8Array, name: string): Invitation {
    try {
      return invitationSchema.parse(JSON.parse(new TextDecoder().decode(bytes)));
    } catch {
      throw corruptFile(this.#state.pathOf(name), "it must be an invitation");
    }
  }

  async #remove(id: string): Promise<boolean> {
    try {
      await Deno.remove(this.#state.pathOf(nameOf(id)));
      return true;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false;
      throw error;
    }
  }
}

function nameOf(id: string): string {
  return PREFIX + id + SUFFIX;
}

function encode(invitation: Invitation): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(invitation) + "\n");
}
