/**
 * The money of one client at one booth, between two settlements: what is held for it in the ledger, what of that may
 * still be spent, and what has to be charged. Pure: `roles/orchestrator/billing/till.ts` speaks with the ledger.
 *
 *   left = hold − set aside for reads under way − delivered and not charged yet          in units of 1/2^30 micros
 *
 * All streams of the client take from one `left`, which is a plain number: a hold is at most `MAX_HOLD_MICROS`, so every
 * sum is a safe whole number and nothing is rounded until bytes become a charge. Nobody can spend what is not held, and
 * nobody else can spend what is; so an account is never overdrawn, whatever crashes when.
 *
 * One settlement at a time: `plan` gives a set of transfers for the ledger, `settled` is told what became of it.
 *
 *   post hold → operator …   for each line with something due
 *   post hold → fees         closes the hold when it is to be replaced
 *   pending  client → holds  the next hold: what is left of the old one, and what is wanted beside it
 */

import {
  clientAccount,
  FEES_ACCOUNT,
  HOLDS_ACCOUNT,
  MAX_SET_TRANSFERS,
  operatorAccount,
  type SetStatus,
  type Transfer,
  transferId,
  type TransferSet,
} from "./ledger.ts";
import type { Micros } from "./money.ts";
import { MAX_MICROS_PER_GIB, UNITS_PER_MICRO } from "./prices.ts";
import type { Fare, Price } from "./toll.ts";
import { type LineCharge, TollLine } from "./toll_line.ts";

/** In units it is the largest number of millions of micros below 2^53. */
export const MAX_HOLD_MICROS = 8_000_000n;
/** Beside a post for each line: one for the fees, the release of the old hold, and the new one. */
const MAX_SET_LINES = MAX_SET_TRANSFERS - 3;

export interface SettlementOptions {
  /** Unique for ever. */
  readonly setId: string;
  /** By how much the hold should become larger; below 0, smaller: no further than what is left. */
  readonly growth: Micros;
  /** Whether a hold is replaced although it need not grow, so that it lives longer. */
  readonly renews?: boolean;
  /** Whether all that is not charged is given back: nobody may spend any more. */
  readonly ends?: boolean;
  /** When a new hold expires. */
  readonly expiresAtMs: number;
}

/** A set for the ledger, and what it means once it is applied. */
export interface Settlement {
  readonly set: TransferSet;
  readonly charges: readonly LineCharge[];
  readonly growth: Micros;
  readonly hold: Hold | undefined;
  /** More may be due than went into one set. */
  readonly isFull: boolean;
}

/** A pending transfer of the client's, and what is left of it. */
export interface Hold {
  readonly id: string;
  readonly micros: Micros;
  readonly expiresAtMs: number;
}

export class TollMeter {
  readonly userId: string;
  /** What may still be set aside, in units. Below 0 only after a hold was lost. */
  left = 0;
  /** What is set aside, in units. */
  aside = 0;
  /** Under way: what nobody may spend any more, since it may be given back. */
  #hold: Hold | undefined;
  readonly #lines = new Map<string, TollLine>();
  #carriedUnits = 0;

  constructor(userId: string) {
    this.userId = userId;
  }

  get hold(): Hold | undefined {
    return this.#hold;
  }

  get lines(): Iterable<TollLine> {
    return this.#lines.values();
  }

  /** The line for a stream that begins. */
  join(fare: Fare, price: Price): TollLine {
    const key = `${fare.sessionId} ${fare.nodeId} ${fare.ownerId} ${price.microsPerGib} ${price.feeBasisPoints}`;
    let line = this.#lines.get(key);
    if (!line) {
      line = new TollLine(fare, price, this.#carriedUnits);
      this.#carriedUnits = 0;
      this.#lines.set(key, line);
    }
    line.tolls++;
    return line;
  }

  /** What was delivered and is in no settlement that was applied, in units. */
  get unpaidUnits(): number {
    let units = 0;
    for (const line of this.#lines.values()) units += line.unpaidUnits;
    return units;
  }

  /** Whether something can be charged. */
  get isDue(): boolean {
    for (const line of this.#lines.values()) if (line.due()) return true;
    return false;
  }

  /** The next set for the ledger; undefined when there is nothing to do. */
  plan({ setId, growth, renews = false, ends = false, expiresAtMs }: SettlementOptions): Settlement | undefined {
    const held = this.#hold?.micros ?? 0n;
    const charges = this.#chargesWithin(held);
    const rest = held - sumOf(charges, ({ charge }) => charge);
    // One with more lines than fit goes on.
    const isFull = charges.length === MAX_SET_LINES;
    const grows = ends && !isFull ? -rest : clamp(growth, -this.#spareMicros(), MAX_HOLD_MICROS - rest);
    const replaces = grows !== 0n || (renews && rest > 0n);
    const id = transferId(setId, "hold");
    const next = replaces && rest + grows > 0n ? { id, micros: rest + grows, expiresAtMs } : undefined;
    const kept = rest > 0n ? { ...this.#hold!, micros: rest } : undefined;
    const transfers = [
      ...this.#posts(charges, { setId, closes: replaces || rest === 0n }),
      ...this.#release(charges.length === 0 && replaces, setId),
      ...this.#pending(next),
    ];
    if (transfers.length === 0) return undefined;
    // What may be given back must not be spent meanwhile.
    if (grows < 0n) this.left += unitsOf(grows);
    return { set: { id: setId, transfers }, charges, growth: grows, hold: replaces ? next : kept, isFull };
  }

  /** What the ledger said of the settlement. `lost`: there is no such hold any more, and nothing was charged. */
  settled(settlement: Settlement, status: SetStatus): "done" | "lost" | "insufficient" | "failed" {
    const { charges, growth, hold } = settlement;
    if (status === "applied" || status === "exists") {
      for (const charge of charges) charge.line.settle(charge);
      this.#hold = hold;
      if (growth > 0n) this.left += unitsOf(growth);
      this.#retire();
      return "done";
    }
    if (growth < 0n) this.left -= unitsOf(growth);
    if (status === "insufficient") return "insufficient";
    if (status !== "no_pending" && status !== "not_pending") return "failed";
    this.left -= unitsOf(this.#hold?.micros ?? 0n);
    this.#hold = undefined;
    return "lost";
  }

  /** So much may be given back, in whole micros. */
  #spareMicros(): Micros {
    return this.left <= 0 ? 0n : BigInt(Math.floor(this.left / UNITS_PER_MICRO));
  }

  /** What is due, as far as it is held: that is all of it unless a hold was lost, and the rest stays due. */
  #chargesWithin(held: Micros): LineCharge[] {
    const charges: LineCharge[] = [];
    let rest = held;
    for (const line of this.#lines.values()) {
      if (charges.length === MAX_SET_LINES) break;
      const due = line.due(rest);
      if (!due) continue;
      rest -= due.charge;
      charges.push(due);
    }
    return charges;
  }

  #posts(charges: readonly LineCharge[], { setId, closes }: { setId: string; closes: boolean }): Transfer[] {
    const post = { phase: "post", pendingId: this.#hold?.id ?? "", debit: clientAccount(this.userId) } as const;
    const posts: Transfer[] = [];
    for (const [at, { line, charge, fee, upBytes, downBytes }] of charges.entries()) {
      const { ownerId, nodeId, sessionId, region } = line.fare;
      if (charge === fee) continue;
      posts.push({
        ...post,
        id: transferId(setId, `${at}`),
        credit: operatorAccount(ownerId),
        amount: charge - fee,
        reason: "traffic",
        memo: { node: nodeId, session: sessionId, region, up: upBytes, down: downBytes },
      });
    }
    const fees = sumOf(charges, ({ fee }) => fee);
    if (fees > 0n) {
      posts.push({ ...post, id: transferId(setId, "fee"), credit: FEES_ACCOUNT, amount: fees, reason: "fee" });
    }
    const last = posts.length - 1;
    return posts.map((transfer, at) => at === last && closes ? { ...transfer, closes } as Transfer : transfer);
  }

  #release(isDue: boolean, setId: string): Transfer[] {
    if (!isDue || !this.#hold) return [];
    const accounts = { debit: clientAccount(this.userId), credit: HOLDS_ACCOUNT };
    return [{ id: transferId(setId, "void"), phase: "void", pendingId: this.#hold.id, reason: "hold", ...accounts }];
  }

  #pending(hold: Hold | undefined): Transfer[] {
    if (!hold) return [];
    const { id, micros: amount, expiresAtMs } = hold;
    const accounts = { debit: clientAccount(this.userId), credit: HOLDS_ACCOUNT };
    return [{ id, phase: "pending", amount, expiresAtMs, reason: "hold", ...accounts }];
  }

  /** Lines that no stream is on and that are charged to the last micro are forgotten. */
  #retire(): void {
    for (const [key, line] of this.#lines) {
      if (line.tolls > 0 || line.due()) continue;
      this.#carriedUnits += line.unpaidUnits;
      this.#lines.delete(key);
    }
  }
}

export function unitsOf(micros: Micros): number {
  return Number(micros) * UNITS_PER_MICRO;
}

/** So many micros are needed for so many units. */
export function microsFor(units: number): Micros {
  return BigInt(Math.ceil(units / UNITS_PER_MICRO));
}

/** Whether a byte's price is one that a meter can count with. */
export function isMeterable({ microsPerGib }: Price): boolean {
  return microsPerGib >= 0n && microsPerGib <= MAX_MICROS_PER_GIB;
}

function clamp(micros: Micros, least: Micros, most: Micros): Micros {
  return micros < least ? least : micros > most ? most : micros;
}

function sumOf(charges: readonly LineCharge[], of: (charge: LineCharge) => Micros): Micros {
  let sum = 0n;
  for (const charge of charges) sum += of(charge);
  return sum;
}
