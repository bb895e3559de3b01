/**
 * What of access is written into the audit log. Refusals come from strangers, so they are written at a bounded rate, each
 * action's by itself: who guesses secrets all day hides nothing else by it. How many were left out is told with the next
 * one. A log that cannot be written to stops nothing that was refused; what
 * was changed is only answered once it is written down.
 */

import type { Clock } from "../../../protocol/clock.ts";
import { messageOf } from "../../../protocol/errors.ts";
import type { Log } from "../../../protocol/log.ts";
import type { AuditEvent } from "../../../protocol/stored_records.ts";
import { TokenBucket } from "../../../protocol/token_bucket.ts";

/** The part of the audit log that is written to. */
export interface AuditTrail {
  append(event: AuditEvent): Promise<unknown>;
}

export interface AccessAuditDeps {
  readonly audit: AuditTrail;
  readonly clock: Clock;
  readonly log: Log;
}

/** Of one action. */
const REFUSALS = { perSecond: 5, burst: 100 };
/** Entries that are on their way to the log, of one action. */
const MAX_UNDER_WAY = 100;

/** What was refused under one action. */
interface Refusals {
  readonly rate: TokenBucket;
  leftOut: number;
  underWay: number;
}

export class AccessAudit {
  readonly #deps: AccessAuditDeps;
  /** By action: of these the program has a handful. */
  readonly #refusals = new Map<string, Refusals>();

  constructor(deps: AccessAuditDeps) {
    this.#deps = deps;
  }

  /** What somebody did. Rejects when it cannot be written down. */
  async note(
    actor: string,
    action: string,
    about: { readonly subject?: string; readonly detail?: string },
  ): Promise<void> {
    await this.#deps.audit.append({ actor, action, outcome: "done", ...about });
  }

  /** What somebody was refused; not waited for. */
  refused(actor: string, action: string, about: { readonly subject?: string; readonly detail: string }): void {
    const refusals = this.#refusalsOf(action);
    if (refusals.underWay >= MAX_UNDER_WAY || !refusals.rate.tryTake()) {
      refusals.leftOut += 1;
      return;
    }
    const detail = refusals.leftOut === 0
      ? about.detail
      : `${about.detail}; ${refusals.leftOut} refusals were left out before`;
    refusals.leftOut = 0;
    refusals.underWay += 1;
    Promise.try(() => this.#deps.audit.append({ actor, action, outcome: "refused", ...about, detail }))
      .catch((error) => this.#deps.log.error("A refusal could not be audited", { action, error: messageOf(error) }))
      .finally(() => refusals.underWay -= 1);
  }

  #refusalsOf(action: string): Refusals {
    let refusals = this.#refusals.get(action);
    if (!refusals) {
      refusals = { rate: new TokenBucket(this.#deps.clock, REFUSALS), leftOut: 0, underWay: 0 };
      this.#refusals.set(action, refusals);
    }
    return refusals;
  }
}
