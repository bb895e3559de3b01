/**
 * Looks once a minute at who carried what for whom, and holds the payouts of owners who seem to buy their own traffic
 * (`protocol/sharing/self_dealing.ts`) until a person has looked.
 *
 *   uses of nodes, what they carried since the last look ─▶ SelfDealing ─▶ payoutHold on the account, audit log
 */

import type { Accounts } from "../../edge/orchestrator/access/accounts.ts";
import type { ClientSession } from "../../net/sharing/client_sessions.ts";
import type { LiveNodes } from "../../net/sharing/live_nodes.ts";
import type { Clock } from "../../protocol/clock.ts";
import { messageOf } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";
import { SelfDealing, type Suspicion } from "../../protocol/sharing/self_dealing.ts";
import type { AuditEvent } from "../../protocol/stored_records.ts";
import { repeat } from "../repeating.ts";

export interface DealingWatchDeps {
  readonly accounts: Pick<Accounts, "get" | "change">;
  readonly nodes: Pick<LiveNodes, "get">;
  /** What clients use now. */
  sessions(): Iterable<ClientSession>;
  audit(event: AuditEvent): Promise<unknown>;
  readonly clock: Clock;
  readonly log: Log;
}

const LOOK_EVERY_MS = 60_000;
const HOLD_MS = 14 * 86_400_000;
/** Where clients last came from is remembered of so many. */
const MAX_ADDRESSES = 50_000;

export class DealingWatch implements Disposable {
  readonly #deps: DealingWatchDeps;
  readonly #dealing = new SelfDealing();
  readonly #addresses = new Map<string, string>();
  /** What was counted of each use so far. */
  #counted = new Map<string, number>();
  readonly #looking: Disposable;

  constructor(deps: DealingWatchDeps) {
    this.#deps = deps;
    this.#looking = repeat({
      clock: deps.clock,
      everyMs: LOOK_EVERY_MS,
      look: () => this.look(),
      onProblem: (error) => deps.log.warn("Who carried what for whom could not be looked at", { error }),
    });
  }

  /** A client has come from there. */
  seen(userId: string, address: string): void {
    this.#addresses.delete(userId);
    this.#addresses.set(userId, address);
    if (this.#addresses.size > MAX_ADDRESSES) this.#addresses.delete(this.#addresses.keys().next().value!);
  }

  async look(): Promise<void> {
    const counted = new Map<string, number>();
    for (const session of this.#deps.sessions()) {
      const { sessionId, userId, nodeId, upBytes, downBytes } = session;
      const total = upBytes + downBytes;
      const before = this.#counted.get(sessionId) ?? 0;
      const bytes = total - before;
      const node = this.#deps.nodes.get(nodeId);
      // Of a node that is away just now bytes are counted once it is back: going away for a moment hides nothing.
      counted.set(sessionId, node ? total : before);
      if (bytes <= 0 || !node) continue;
      const [user, owner] = await Promise.all([this.#deps.accounts.get(userId), this.#deps.accounts.get(node.ownerId)]);
      const suspicion = this.#dealing.note({
        userId,
        ownerId: node.ownerId,
        userTelegramId: user?.telegramId,
        ownerTelegramId: owner?.telegramId,
        clientAddress: this.#addresses.get(userId) ?? "",
        nodeAddress: node.address,
        bytes,
      }, this.#deps.clock.wallNow());
      if (suspicion) await this.#hold(suspicion);
    }
    this.#counted = counted;
  }

  [Symbol.dispose](): void {
    this.#looking[Symbol.dispose]();
  }

  async #hold({ ownerId, reason }: Suspicion): Promise<void> {
    const { accounts, audit, clock, log } = this.#deps;
    const untilMs = clock.wallNow() + HOLD_MS;
    await accounts.change(ownerId, (owner) => {
      // A longer one stays as it is.
      return owner.payoutHold && owner.payoutHold.untilMs >= untilMs
        ? owner
        : { ...owner, payoutHold: { untilMs, reason: reason.slice(0, 256) } };
    });
    log.warn("Payouts are held: traffic looks like its owner's own", { user_id: ownerId });
    await audit({ actor: "watchdog", action: "payout.held", subject: ownerId, outcome: "done", detail: reason })
      .catch((error) => log.error("A held payout could not be audited", { error: messageOf(error) }));
  }
}
