/**
 * How much may still be shared today and this month. Pure: it counts and says what must be on the disk before more may
 * pass; `roles/node/usage.ts` writes that there.
 *
 *   plan() ─▶ written to the disk ─▶ covered(plan) ─▶ take(n) take(n) … until what was written is used up ─▶ plan() …
 *
 * What is written is what was used **and** a block that may be used next. Whoever is killed at any moment therefore finds
 * at least as much written as has passed: no cap is ever exceeded, and at most one block, a hundredth of the smallest cap but
 * 256 KiB to 16 MiB, counts as used that was not. A clean end writes the exact figure.
 *
 * A new day or month begins by the calendar. When the clock is put back, what was used stays used.
 */

import { z } from "zod";
import { countSchema } from "../fields.ts";
import type { Calendar } from "./calendar.ts";

export interface CapLimits {
  readonly dayBytes?: number | undefined;
  readonly monthBytes?: number | undefined;
  /** On which day months begin, 1 to 28. Default 1. */
  readonly monthDay?: number | undefined;
}

const dateSchema = z.string().regex(/^\d{4}-\d{2}-\d{2}$/);

/** What was used, as it is written down. */
export const usageSchema = z.object({
  /** The day that `dayBytes` are of. */
  day: dateSchema,
  dayBytes: countSchema,
  /** The first day of the month that `monthBytes` are of. */
  month: dateSchema,
  monthBytes: countSchema,
  totalBytes: countSchema,
});
export type Usage = z.infer<typeof usageSchema>;

export type CapName = "day" | "month";

const SMALLEST_BLOCK_BYTES = 256 * 1024;
const LARGEST_BLOCK_BYTES = 16 * 1024 * 1024;

export interface DataCapsOptions {
  readonly calendar: Calendar;
  /** The wall clock's. */
  readonly nowMs: number;
  /** What was written last, if anything. */
  readonly usage?: Usage | undefined;
}

export class DataCaps {
  readonly limits: CapLimits;
  readonly #calendar: Calendar;
  readonly #blockBytes: number;
  #day: string;
  #dayBytes: number;
  #month: string;
  #monthBytes: number;
  #totalBytes: number;
  /** What may pass before more is written. */
  #coveredBytes = 0;
  /** The times between which `#day` and `#month` are the right ones. */
  #fromMs = 0;
  #untilMs = 0;
  #monthEndsMs = 0;

  constructor(limits: CapLimits, { calendar, nowMs, usage }: DataCapsOptions) {
    this.limits = limits;
    this.#calendar = calendar;
    const smallest = Math.min(limits.dayBytes ?? Infinity, limits.monthBytes ?? Infinity);
    this.#blockBytes = Math.max(SMALLEST_BLOCK_BYTES, Math.min(LARGEST_BLOCK_BYTES, Math.floor(smallest / 100)));
    this.#day = usage?.day ?? "";
    this.#dayBytes = usage?.dayBytes ?? 0;
    this.#month = usage?.month ?? "";
    this.#monthBytes = usage?.monthBytes ?? 0;
    this.#totalBytes = usage?.totalBytes ?? 0;
    this.roll(nowMs);
  }

  /** What was used, exactly. */
  get usage(): Usage {
    return this.#usageWith(0);
  }

  /** What the caps still allow; Infinity when there are none. */
  get leftBytes(): number {
    const { dayBytes = Infinity, monthBytes = Infinity } = this.limits;
    return Math.max(0, Math.min(dayBytes - this.#dayBytes, monthBytes - this.#monthBytes));
  }

  /** So little is covered that more should be written now, before anybody has to wait for it. */
  get isLow(): boolean {
    return this.#coveredBytes < Math.min(this.#blockBytes / 2, this.leftBytes);
  }

  /** The cap that allows no more, and when it does again. */
  get spent(): { readonly cap: CapName; readonly untilMs: number } | undefined {
    const { dayBytes = Infinity, monthBytes = Infinity } = this.limits;
    const cap = this.#monthBytes >= monthBytes ? "month" : this.#dayBytes >= dayBytes ? "day" : undefined;
    return cap && { cap, untilMs: this.endOf(cap) };
  }

  /** When the day or month of a cap ends. */
  endOf(cap: CapName): number {
    return cap === "month" ? this.#monthEndsMs : this.#untilMs;
  }

  /** Begins a new day or month when it is time; to be called before anything else that depends on the time. */
  roll(nowMs: number): void {
    if (nowMs >= this.#fromMs && nowMs < this.#untilMs) return;
    const { monthDay = 1 } = this.limits;
    const today = { ...this.#calendar.read(nowMs), minute: 0 };
    const monthStart = { ...today, day: monthDay, month: today.day < monthDay ? today.month - 1 : today.month };
    this.#fromMs = this.#calendar.timeOf(today);
    this.#untilMs = this.#calendar.timeOf({ ...today, day: today.day + 1 });
    this.#monthEndsMs = this.#calendar.timeOf({ ...monthStart, month: monthStart.month + 1 });
    const day = dateText(this.#calendar.read(this.#fromMs));
    const month = dateText(this.#calendar.read(this.#calendar.timeOf(monthStart)));
    if (day > this.#day) this.#dayBytes = 0;
    if (month > this.#month) this.#monthBytes = 0;
    this.#day = day;
    this.#month = month;
    this.#coveredBytes = 0; // what is covered by yesterday's figure does not count today
  }

  /** Uses so many bytes, if they are allowed and covered. */
  take(bytes: number): boolean {
    if (bytes > this.#coveredBytes || bytes > this.leftBytes) return false;
    this.#coveredBytes -= bytes;
    this.#add(bytes);
    return true;
  }

  /** Gives back what was taken and did not pass. It covers nothing: a day may have begun since. */
  give(bytes: number): void {
    this.#add(-bytes);
  }

  /** What to write next: what was used, and a block to come. */
  plan(): Usage {
    return this.#usageWith(Math.min(this.#blockBytes, this.leftBytes));
  }

  /** It is on the disk. Of another day than now it covers nothing. */
  covered(plan: Usage): void {
    if (plan.day !== this.#day || plan.month !== this.#month) return;
    this.#coveredBytes = Math.max(0, plan.totalBytes - this.#totalBytes);
  }

  #add(bytes: number): void {
    this.#dayBytes = Math.max(0, this.#dayBytes + bytes);
    this.#monthBytes = Math.max(0, this.#monthBytes + bytes);
    this.#totalBytes = Math.max(0, this.#totalBytes + bytes);
  }

  #usageWith(bytes: number): Usage {
    return {
      day: this.#day,
      dayBytes: this.#dayBytes + bytes,
      month: this.#month,
      monthBytes: this.#monthBytes + bytes,
      totalBytes: this.#totalBytes + bytes,
    };
  }
}

function dateText(
  { year, month, day }: { readonly year: number; readonly month: number; readonly day: number },
): string {
  return `${String(year).padStart(4, "0")}-${String(month).padStart(2, "0")}-${String(day).padStart(2, "0")}`;
}
