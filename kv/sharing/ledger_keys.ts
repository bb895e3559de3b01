/**
 * Where the ledger's records (`protocol/sharing/ledger_records.ts`) lie on Deno KV:
 *
 *   <space> "ledger" "head"                        Head; changes with every commit
 *   <space> "ledger" "set" setId                   SetRecord: the truth that all the rest is drawn from
 *   <space> "ledger" "account" account             AccountRecord: sums, what is open, the sets of late
 *   <space> "ledger" "entry" account sequence      earlier sets of the account, from that sequence on
 *   <space> "ledger" "time" atMs                   the sequence of the first transfer of that time
 *
 * Unlike elsewhere in `kv/`, what cannot be read is an error and not absent: money must not vanish with a version.
 */

import { CulvertError } from "../../protocol/errors.ts";
import type { Parser } from "../records.ts";

/** The keys of one ledger. */
export class LedgerKeys {
  readonly #space: string;

  constructor(space: string) {
    this.#space = space;
  }

  get head(): Deno.KvKey {
    return [this.#space, "ledger", "head"];
  }

  of(kind: "set" | "account" | "entry" | "time", ...parts: readonly (string | number)[]): Deno.KvKey {
    return [this.#space, "ledger", kind, ...parts];
  }
}

/** What a record says; undefined when there is none. Throws `store_unreadable` for what does not fit. */
export function parseRecord<T>(schema: Parser<T>, { key, value }: Deno.KvEntryMaybe<unknown>): T | undefined {
  if (value === null) return undefined;
  const { success, data } = schema.safeParse(value);
  if (success) return data;
  const name = key.slice(1).join(" ");
  throw new CulvertError("store_unreadable", `Cannot read the ledger: the record at ${name} must be of this version`);
}
