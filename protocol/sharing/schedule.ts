/**
 * When sharing is allowed: weekdays and times, as an owner writes them.
 *
 *   "mon-fri 22:00-06:00"   from Monday evening to Tuesday morning, … , from Friday evening to Saturday morning
 *   "sat,sun 00:00-24:00"   the whole weekend
 *   "daily 01:30-07:00"     every night
 *
 * The days are those on which a span begins. Several spans add up; none at all means always. A span holds from its first
 * minute to the one before its last. The times are those of the clock on the wall (`calendar.ts`): when that is put forward or
 * back, a span begins and ends by what it shows.
 */

import type { Calendar } from "./calendar.ts";

const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const DAY_MINUTES = 24 * 60;
/** One more than a week: a span that begins today may be the next to begin, a week from now. */
const DAYS_AHEAD = 8;

/** A span that begins on each of some weekdays. `endMinute` beyond 1440 is on the day after. */
export interface ScheduleSpan {
  /** 0 is Monday. */
  readonly weekdays: ReadonlySet<number>;
  readonly startMinute: number;
  readonly endMinute: number;
}

/** Reads one span; undefined when it is none. */
export function parseSpan(text: string): ScheduleSpan | undefined {
  const match = /^(\S{3,40}) +(\d{2}):(\d{2})-(\d{2}):(\d{2})$/.exec(text.trim().toLowerCase());
  if (!match) return undefined;
  const weekdays = parseDays(match[1]!);
  const startMinute = minuteOf(match[2]!, match[3]!);
  const endMinute = minuteOf(match[4]!, match[5]!);
  if (!weekdays || startMinute === undefined || endMinute === undefined) return undefined;
  if (startMinute === DAY_MINUTES || startMinute === endMinute) return undefined;
  return { weekdays, startMinute, endMinute: endMinute > startMinute ? endMinute : endMinute + DAY_MINUTES };
}

/** As `parseSpan` reads it. */
export function formatSpan({ weekdays, startMinute, endMinute }: ScheduleSpan): string {
  const days = weekdays.size === DAYS.length ? "daily" : DAYS.filter((_, day) => weekdays.has(day)).join(",");
  const end = endMinute > DAY_MINUTES ? endMinute - DAY_MINUTES : endMinute;
  return `${days} ${formatMinute(startMinute)}-${formatMinute(end)}`;
}

/** Whether sharing is allowed, and until when that stays so; without a time it stays so for ever. */
export interface ScheduleState {
  readonly isOpen: boolean;
  readonly untilMs?: number;
}

export class Schedule {
  readonly spans: readonly ScheduleSpan[];
  readonly #calendar: Calendar;

  constructor(spans: readonly ScheduleSpan[], calendar: Calendar) {
    this.spans = spans;
    this.#calendar = calendar;
  }

  at(nowMs: number): ScheduleState {
    if (this.spans.length === 0) return { isOpen: true };
    const pieces = this.#piecesAround(nowMs);
    let endMs: number | undefined;
    for (const { startMs, stopMs } of pieces) {
      const isNow = startMs <= (endMs ?? nowMs) && stopMs > nowMs;
      if (isNow) endMs = Math.max(endMs ?? 0, stopMs);
    }
    if (endMs === undefined) return { isOpen: false, untilMs: pieces.find(({ startMs }) => startMs > nowMs)!.startMs };
    return endMs >= pieces.at(-1)!.stopMs && this.#isWholeWeek() ? { isOpen: true } : { isOpen: true, untilMs: endMs };
  }

  /** The spans as times, from yesterday's to those a week from now, by when they begin. */
  #piecesAround(nowMs: number): { readonly startMs: number; readonly stopMs: number }[] {
    const today = this.#calendar.read(nowMs);
    const pieces = [];
    for (let ahead = -1; ahead <= DAYS_AHEAD; ahead++) {
      const weekday = (today.weekday + ahead + 7) % 7;
      const day = { ...today, day: today.day + ahead };
      for (const { weekdays, startMinute, endMinute } of this.spans) {
        if (!weekdays.has(weekday)) continue;
        pieces.push({
          startMs: this.#calendar.timeOf({ ...day, minute: startMinute }),
          stopMs: this.#calendar.timeOf({ ...day, minute: endMinute }),
        });
      }
    }
    return pieces.sort((a, b) => a.startMs - b.startMs);
  }

  #isWholeWeek(): boolean {
    const open = new Uint8Array(7 * DAY_MINUTES);
    for (const { weekdays, startMinute, endMinute } of this.spans) {
      for (const weekday of weekdays) {
        for (let minute = startMinute; minute < endMinute; minute++) {
          open[(weekday * DAY_MINUTES + minute) % open.length] = 1;
        }
      }
    }
    return open.every((minute) => minute === 1);
  }
}

function parseDays(text: string): ReadonlySet<number> | undefined {
  const days = new Set<number>();
  if (text === "daily") return new Set(DAYS.keys());
  for (const part of text.split(",")) {
    const match = /^([a-z]{3})(?:-([a-z]{3}))?$/.exec(part);
    const first = DAYS.indexOf(match?.[1] ?? "");
    const last = DAYS.indexOf(match?.[2] ?? match?.[1] ?? "");
    if (first < 0 || last < 0) return undefined;
    for (let day = first; day !== last; day = (day + 1) % 7) days.add(day); // fri-mon goes over Sunday
    days.add(last);
  }
  return days;
}

function minuteOf(hours: string, minutes: string): number | undefined {
  const minute = Number(hours) * 60 + Number(minutes);
  return Number(minutes) < 60 && minute <= DAY_MINUTES ? minute : undefined;
}

function formatMinute(minute: number): string {
  return `${String(Math.floor(minute / 60)).padStart(2, "0")}:${String(minute % 60).padStart(2, "0")}`;
}
