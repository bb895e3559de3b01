/**
 * API keys: bearer tokens of programs, good until they expire or are revoked.
 *
 *   culvert_<keyId>_<secret>          the SHA-256 of the secret is kept
 *
 * A key is read from the store at most every 5 seconds, so one that another process revokes counts here as long. What it
 * may do is what it was made for, as far as its owner still may.
 */

import type { Table } from "../../../kv/sharing/table.ts";
import type { Clock } from "../../../protocol/clock.ts";
import type { Primitives } from "../../../protocol/primitives.ts";
import type { Random } from "../../../protocol/random.ts";
import type { ApiKey } from "../../../protocol/sharing/access_records.ts";
import type { UserRole } from "../../../protocol/sharing/records.ts";
import { makeRoom } from "./make_room.ts";
import { fitsHash, hashSecret, makeAccessId, makeSecret } from "./secrets.ts";

const TOKEN = /^culvert_([a-z2-7]{16})_([a-z2-7]{26})$/;
export const MAX_API_KEYS = 32;
const FRESH_MS = 5000;
const MAX_REMEMBERED = 10_000;
/** How exactly it is kept when a key was last used. */
const USE_STEP_MS = 3_600_000;

export interface ApiKeyDeps {
  readonly keys: Table<ApiKey>;
  readonly clock: Clock;
  readonly primitives: Primitives;
  readonly random: Random;
}

export interface NewApiKey {
  readonly userId: string;
  readonly label: string;
  readonly roles: readonly UserRole[];
  readonly expiresAtMs?: number | undefined;
}

export class ApiKeys {
  readonly #deps: ApiKeyDeps;
  readonly #remembered = new Map<string, { readonly key: Promise<ApiKey | undefined>; readonly readAtMs: number }>();

  constructor(deps: ApiKeyDeps) {
    this.#deps = deps;
  }

  /** Undefined when the user has too many. Two made at once may go one over. */
  async make({ userId, label, roles, expiresAtMs }: NewApiKey): Promise<
    { readonly key: ApiKey; readonly token: string } | undefined
  > {
    const { keys, clock, primitives, random } = this.#deps;
    if ((await this.list(userId)).length >= MAX_API_KEYS) return undefined;
    const secret = makeSecret(random);
    const key: ApiKey = {
      keyId: makeAccessId(random),
      userId,
      label,
      secretHash: hashSecret(secret, primitives),
      roles: [...new Set(roles)],
      createdAtMs: clock.wallNow(),
      ...(expiresAtMs !== undefined && { expiresAtMs }),
    };
    if (!await keys.insert(key)) return undefined;
    this.#remembered.delete(key.keyId);
    return { key, token: `culvert_${key.keyId}_${secret}` };
  }

  async list(userId: string): Promise<ApiKey[]> {
    const found = await this.#deps.keys.list({ index: "user", value: userId }, { limit: 2 * MAX_API_KEYS });
    return found.map(({ record }) => record);
  }

  /** Whether the text is meant to be an API key. */
  static looksLike(text: string): boolean {
    return text.startsWith("culvert_");
  }

  /** The key a token belongs to; "expired" once it counts no more, undefined when there is none. */
  async check(text: string): Promise<ApiKey | "expired" | undefined> {
    const match = TOKEN.exec(text);
    if (!match) return undefined;
    const { clock, primitives } = this.#deps;
    const key = await this.#read(match[1]!);
    if (!fitsHash(match[2]!, key?.secretHash, primitives) || !key) return undefined;
    const nowMs = clock.wallNow();
    if (key.expiresAtMs !== undefined && key.expiresAtMs <= nowMs) return "expired";
    if (nowMs - (key.lastUsedAtMs ?? 0) >= USE_STEP_MS) await this.#noteUse(key.keyId, nowMs);
    return key;
  }

  /** Whether there was such a key of that user. */
  async revoke(keyId: string, userId: string): Promise<boolean> {
    const found = await this.#deps.keys.get(keyId);
    if (!found || found.record.userId !== userId) return false;
    // A use may be noted at the same time: what matters is that it is gone.
    if (!await this.#deps.keys.remove(found)) return await this.revoke(keyId, userId);
    this.#remembered.delete(keyId);
    return true;
  }

  async #noteUse(keyId: string, nowMs: number): Promise<void> {
    const found = await this.#deps.keys.get(keyId);
    if (!found) return;
    const used = { ...found.record, lastUsedAtMs: nowMs };
    // Another may have noted it at the same time, and then that is as good.
    await this.#deps.keys.replace(found, used);
    this.#remembered.delete(keyId);
  }

  #read(keyId: string): Promise<ApiKey | undefined> {
    const nowMs = this.#deps.clock.now();
    const known = this.#remembered.get(keyId);
    if (known && nowMs - known.readAtMs < FRESH_MS) return known.key;
    const key = this.#deps.keys.get(keyId).then((found) => found?.record);
    this.#remembered.delete(keyId);
    makeRoom(this.#remembered, MAX_REMEMBERED);
    this.#remembered.set(keyId, { key, readAtMs: nowMs });
    key.catch(() => this.#remembered.delete(keyId));
    return key;
  }
}
