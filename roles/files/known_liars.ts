/**
 * Peers that have sent what is provably not what they said, in the state directory: nothing is taken from them for a long
 * while, unless the owner says so.
 *
 *   peer-liars.json    peer id, when, and what; the newest `MAX_LIARS`
 */

import { z } from "zod";
import { peerIdSchema, timeSchema } from "../../protocol/fields.ts";
import { corruptFile } from "../key_file.ts";
import type { RoleContext } from "../role.ts";
import { StateDirectory } from "../state.ts";

const FILE = "peer-liars.json";
/** So that the file stays below what one of the state directory may be. */
const MAX_LIARS = 200;
/** A disk that fails gets well, or its owner buys another. */
const FORGOTTEN_AFTER_MS = 90 * 86_400_000;

const liarSchema = z.object({ peerId: peerIdSchema, atMs: timeSchema, what: z.string().max(200) });
const fileSchema = z.object({ liars: z.array(liarSchema) });
export type Liar = z.infer<typeof liarSchema>;

type Tools = Pick<RoleContext, "clock" | "signal" | "stateDir">;

export class KnownLiars {
  readonly #state: StateDirectory;
  readonly #tools: Tools;

  private constructor(state: StateDirectory, tools: Tools) {
    this.#state = state;
    this.#tools = tools;
  }

  static async open(tools: Tools): Promise<KnownLiars> {
    return new KnownLiars(await StateDirectory.open(tools.stateDir), tools);
  }

  /** Those that are remembered, the newest first. */
  async list(): Promise<readonly Liar[]> {
    const bytes = await this.#state.read(FILE);
    if (!bytes) return [];
    const liars = read(bytes);
    if (!liars) throw corruptFile(this.#state.pathOf(FILE), "it must be a list of peers");
    const sinceMs = this.#tools.clock.wallNow() - FORGOTTEN_AFTER_MS;
    return liars.filter(({ atMs }) => atMs > sinceMs);
  }

  async add(peerId: string, what: string): Promise<void> {
    const liar = { peerId, atMs: this.#tools.clock.wallNow(), what: what.slice(0, 200) };
    await this.#change((liars) => [liar, ...liars.filter((other) => other.peerId !== peerId)]);
  }

  async forget(peerId: string): Promise<void> {
    await this.#change((liars) => liars.filter((other) => other.peerId !== peerId));
  }

  async #change(change: (liars: readonly Liar[]) => readonly Liar[]): Promise<void> {
    using lock = await this.#state.lock(this.#tools);
    const liars = change(await this.list()).slice(0, MAX_LIARS);
    await lock.replace(FILE, new TextEncoder().encode(JSON.stringify({ liars }) + "\n"));
  }
}

function read(bytes: Uint8Array): readonly Liar[] | undefined {
  try {
    return fileSchema.parse(JSON.parse(new TextDecoder().decode(bytes))).liars;
  } catch {
    return undefined;
  }
}
