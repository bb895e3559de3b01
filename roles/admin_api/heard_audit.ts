/**
 * An audit log that tells what is added to it here, for the dashboard's event log. What other processes add is not told.
 */

import type { AuditPage, AuditStore } from "../../kv/audit.ts";
import type { SourceEvent } from "../../edge/dashboard/inventory.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import type { AuditEntry, AuditEvent } from "../../protocol/stored_records.ts";

/** Of the past, whoever begins to listen is told so much. */
const PAST = 50;

export class HeardAudit implements AuditStore {
  readonly #store: AuditStore;
  readonly #log: Log;
  readonly #listeners = new Set<(entry: AuditEntry) => void>();

  constructor(store: AuditStore, log: Log) {
    this.#store = store;
    this.#log = log;
  }

  async append(event: AuditEvent): Promise<AuditEntry> {
    const entry = await this.#store.append(event);
    for (const listener of this.#listeners) listener(entry);
    return entry;
  }

  list(page?: AuditPage): Promise<AuditEntry[]> {
    return this.#store.list(page);
  }

  /** First the newest of the past, the oldest of them first, then all that is added. */
  listen(hear: (event: SourceEvent) => void): Disposable {
    const tell = (entry: AuditEntry) => hear(auditEvent(entry));
    // What is added while the past is being read comes after it, and once.
    const meanwhile: AuditEntry[] = [];
    let listener = (entry: AuditEntry): void => void meanwhile.push(entry);
    const listening = (entry: AuditEntry) => listener(entry);
    this.#listeners.add(listening);
    const begin = (past: readonly AuditEntry[]) => {
      if (!this.#listeners.has(listening)) return;
      listener = tell;
      const known = new Set(past.map(({ id }) => id));
      for (const entry of [...past.toReversed(), ...meanwhile.filter(({ id }) => !known.has(id))]) tell(entry);
    };
    this.#store.list({ limit: PAST }).then(begin, (error) => {
      this.#log.warn("Cannot read the audit log", { error: messageOf(error) });
      begin([]);
    });
    return { [Symbol.dispose]: () => void this.#listeners.delete(listening) };
  }
}

/** An entry as a line of the event log. */
export function auditEvent(
  { atMs, actor, action, subject, outcome, detail }: AuditEntry,
  nameOf: (id: string) => string = (id) => id,
): SourceEvent {
  const about = subject === undefined ? "" : ` ${nameOf(subject)}`;
  const more = detail === undefined ? "" : ` (${detail})`;
  return {
    atMs,
    kind: "audit",
    text: `${actor}: ${action.replaceAll("_", " ")}${about}: ${outcome}${more}`,
    isBad: outcome !== "done",
  };
}
