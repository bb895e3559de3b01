/**
 * What a ledger on Deno KV has in memory: how far it has come, what is open, the accounts of late and the sets that were
 * looked for. The last commit may still be under way: what comes next is decided upon what it will have done, and `balance`
 * answers what was before. All of it is thrown away when a commit was not kept, or somebody else may have written.
 *
 * Bounded: accounts and sets that were not needed for the longest time are read again when they are, which is long after
 * they were committed. What is open is all here, a few for each client that is being served.
 */

import { type Balance, type LedgerAccountId, setIdOf, type StoredTransfer } from "../../protocol/sharing/ledger.ts";
import { type LedgerPast, type Pending, zeroBalance } from "../../protocol/sharing/ledger_machine.ts";
import type { AccountRecord, Head } from "../../protocol/sharing/ledger_records.ts";
import type { LedgerWrite } from "./ledger_writes.ts";

const MAX_ACCOUNTS = 100_000;
/** For what is sent again at once. More than one commit writes, and few, because what lives long is dear to collect. */
const MAX_SETS = 2000;

export interface HeadVersion {
  readonly head: Head;
  readonly versionstamp: string | null;
}

type StoredSet = readonly StoredTransfer[];

export class LedgerCache implements LedgerPast {
  #at: HeadVersion;
  readonly #open: Map<string, Pending>;
  readonly #accounts = new Map<LedgerAccountId, AccountRecord>();
  /** `absent` was looked for, and is not there. */
  readonly #sets = new Map<string, StoredSet | "absent">();
  /** Of what is being committed: the accounts as they were. */
  #before = new Map<LedgerAccountId, AccountRecord>();

  constructor(at: HeadVersion, open: Iterable<Pending>) {
    this.#at = at;
    this.#open = new Map(Array.from(open, (pending) => [pending.id, pending]));
  }

  /** The version is the last that was committed, also while the next is under way. */
  get at(): HeadVersion {
    return this.#at;
  }

  /** Everything that is pending. */
  get open(): ReadonlyMap<string, Pending> {
    return this.#open;
  }

  knowsSet(id: string): boolean {
    return this.#sets.has(id);
  }

  known(account: LedgerAccountId): AccountRecord | undefined {
    return this.#accounts.get(account);
  }

  /** As far as is known, what would survive a crash. */
  committed(account: LedgerAccountId): AccountRecord | undefined {
    return this.#before.get(account) ?? this.#accounts.get(account);
  }

  /** Throws when it was not read before: to decide upon zeros would be to give money away. */
  account(account: LedgerAccountId): AccountRecord {
    const record = this.#accounts.get(account);
    if (!record) throw new Error(`Cannot decide: the account ${account} must have been read`);
    return record;
  }

  balance(account: LedgerAccountId): Balance {
    return this.account(account).balance;
  }

  openPending(account: LedgerAccountId): number {
    return this.account(account).open.length;
  }

  pending(id: string): Pending | undefined {
    const open = this.#open.get(id);
    if (open) return open;
    const transfer = this.set(setIdOf(id) ?? "")?.find((transfer) => transfer.id === id);
    return transfer?.phase === "pending" ? { ...transfer, expiresAtMs: transfer.expiresAtMs!, left: 0n } : undefined;
  }

  set(id: string): StoredSet | undefined {
    const set = this.#sets.get(id);
    return set === "absent" ? undefined : set;
  }

  /** Takes what was read, unless something newer has been committed since. */
  addAccount(account: LedgerAccountId, record: AccountRecord | undefined): void {
    if (this.#accounts.has(account)) return;
    this.#accounts.set(account, record ?? { balance: zeroBalance(account), open: [], recent: [] });
  }

  /** The same. */
  addSet(id: string, set: StoredSet | undefined): void {
    if (!this.#sets.has(id)) this.#sets.set(id, set ?? "absent");
  }

  /** Takes what is being committed from now on. */
  addUncommitted({ batch, next, accounts }: LedgerWrite): void {
    this.#at = { head: next, versionstamp: this.#at.versionstamp };
    // To the end, also the accounts: the one that was not needed for the longest time comes first, and none of this is
    // forgotten before it is committed.
    for (const [id, set] of batch.sets) {
      this.#sets.delete(id);
      this.#sets.set(id, set);
    }
    for (const [id, pending] of batch.pendings) {
      if (pending.left > 0n) this.#open.set(id, pending);
      else this.#open.delete(id);
    }
    for (const record of accounts) {
      const { account } = record.balance;
      this.#before.set(account, this.account(account));
      this.#accounts.delete(account);
      this.#accounts.set(account, record);
    }
  }

  /** That was kept. */
  committedAs(versionstamp: string): void {
    this.#at = { head: this.#at.head, versionstamp };
    this.#before = new Map();
  }

  /** Forgets the oldest of what is too much. Not between reading and deciding. */
  trim(): void {
    shrink(this.#accounts, MAX_ACCOUNTS);
    shrink(this.#sets, MAX_SETS);
  }
}

function shrink(map: Map<string, unknown>, size: number): void {
  for (const key of map.keys()) {
    if (map.size <= size) return;
    map.delete(key);
  }
}
