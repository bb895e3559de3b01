/**
 * The accounts of an orchestrator: the table of users, what was lately read of it, and who is told when one changes.
 *
 *   get(userId) ─▶ read within the last 5 s, and not changed here since? ─▶ that;  else the table
 *
 * So a change that another process makes counts here after at most 5 seconds, and one made here at once. Users that do not
 * exist are remembered as well: who tries names does not get to ask the store for each. When full, those that were not
 * asked for longest are forgotten.
 */

import type { Table, Versioned } from "../../../kv/sharing/table.ts";
import type { Clock } from "../../../protocol/clock.ts";
import { CulvertError } from "../../../protocol/errors.ts";
import type { Random } from "../../../protocol/random.ts";
import type { User, UserRole } from "../../../protocol/sharing/records.ts";
import { makeRoom } from "./make_room.ts";
import { makeUserId } from "./secrets.ts";

const FRESH_MS = 5000;
const MAX_REMEMBERED = 20_000;
const CHANGE_TRIES = 16;

export interface AccountsDeps {
  readonly users: Table<User>;
  readonly clock: Clock;
  readonly random: Random;
  /** Names the column of the price list that new accounts are in. */
  readonly tier: string;
}

interface Remembered {
  readonly user: Promise<User | undefined>;
  readonly readAtMs: number;
}

export type AccountChange = (user: User) => void;

export class Accounts {
  readonly #deps: AccountsDeps;
  readonly #remembered = new Map<string, Remembered>();
  readonly #listeners = new Set<AccountChange>();

  constructor(deps: AccountsDeps) {
    this.#deps = deps;
  }

  /** As it was at most 5 seconds ago. Rejects when the store fails and it was not read lately. */
  get(userId: string): Promise<User | undefined> {
    const known = this.#remembered.get(userId);
    const nowMs = this.#deps.clock.now();
    if (known && nowMs - known.readAtMs < FRESH_MS) return known.user;
    const user = this.#deps.users.get(userId).then((found) => found?.record);
    this.#remembered.delete(userId);
    makeRoom(this.#remembered, MAX_REMEMBERED);
    const entry = { user, readAtMs: nowMs };
    this.#remembered.set(userId, entry);
    user.catch(() => {
      if (this.#remembered.get(userId) === entry) this.#remembered.delete(userId);
    });
    return user;
  }

  /** As it is now. */
  async fresh(userId: string): Promise<Versioned<User> | undefined> {
    return await this.#deps.users.get(userId);
  }

  async byTelegram(telegramId: string): Promise<User | undefined> {
    return (await this.#deps.users.find("telegram", telegramId))?.record;
  }

  async list(page: { readonly limit: number; readonly after?: string | undefined }): Promise<User[]> {
    const { limit, after } = page;
    const found = await this.#deps.users.list(undefined, { limit, ...(after !== undefined && { after }) });
    return found.map(({ record }) => record);
  }

  /** A new account; undefined when the Telegram id belongs to one already. */
  async create(
    made: Partial<User> & { readonly name: string; readonly roles: readonly UserRole[] },
  ): Promise<User | undefined> {
    const { users, clock, random, tier } = this.#deps;
    for (let attempt = 0; attempt < CHANGE_TRIES; attempt++) {
      const user: User = {
        status: "active",
        tier,
        ...made,
        roles: [...new Set<UserRole>(["user", ...made.roles])],
        userId: makeUserId(random),
        createdAtMs: clock.wallNow(),
      };
      if (await users.insert(user)) {
        this.#tell(user);
        return user;
      }
      if (user.telegramId !== undefined && await users.find("telegram", user.telegramId)) return undefined;
    }
    throw new CulvertError("store_contended", "Cannot open an account: others must not be in the way; try again");
  }

  /** Takes back an account that was made just now and is told to nobody. */
  async discard(userId: string): Promise<void> {
    const found = await this.#deps.users.get(userId);
    if (found) await this.#deps.users.remove(found);
    this.#remembered.delete(userId);
  }

  /**
   * Makes a change and gives what came of it: `decide` gives the new record, or what stands against it. Undefined when
   * there is no such account or a unique value is another's.
   */
  async change<Refusal>(userId: string, decide: (user: User) => User | { readonly refusal: Refusal }): Promise<
    User | { readonly refusal: Refusal } | undefined
  > {
    const { users } = this.#deps;
    for (let attempt = 0; attempt < CHANGE_TRIES; attempt++) {
      const found = await users.get(userId);
      if (!found) return undefined;
      const decided = decide(found.record);
      if ("refusal" in decided) return decided;
      if (await users.replace(found, decided)) {
        this.#tell(decided);
        return decided;
      }
      const isTaken = decided.telegramId !== undefined && decided.telegramId !== found.record.telegramId &&
        await users.find("telegram", decided.telegramId) !== undefined;
      if (isTaken) return undefined;
    }
    throw new CulvertError("store_contended", "Cannot change an account: others must not be in the way; try again");
  }

  /** Called with every account that is made or changed here: whoever acts on its limits or its suspension. */
  onChange(listener: AccountChange): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  #tell(user: User): void {
    this.#remembered.delete(user.userId);
    for (const listener of this.#listeners) listener(user);
  }
}
