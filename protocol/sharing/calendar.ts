/**
 * Days and hours as a clock on the wall shows them, for what an owner means by "at night" and "a month". Where that clock
 * hangs is the host's business (`roles/node/local_calendar.ts`); `utcCalendar` is the one that hangs nowhere.
 */

export interface WallTime {
  readonly year: number;
  /** 1 to 12. */
  readonly month: number;
  /** Of the month, from 1. */
  readonly day: number;
  /** 0 is Monday, 6 Sunday. */
  readonly weekday: number;
  /** Of the day, 0 to 1439. */
  readonly minute: number;
}

export interface Calendar {
  /** What the clock shows at a time in milliseconds since 1970. */
  read(atMs: number): WallTime;
  /** When a clock shows that. Days, months and minutes may run past their ends, as in "the 32nd of January". */
  timeOf(shown: Pick<WallTime, "year" | "month" | "day" | "minute">): number;
}

export const utcCalendar: Calendar = {
  read(atMs) {
    const date = new Date(atMs);
    return {
      year: date.getUTCFullYear(),
      month: date.getUTCMonth() + 1,
      day: date.getUTCDate(),
      weekday: (date.getUTCDay() + 6) % 7,
      minute: date.getUTCHours() * 60 + date.getUTCMinutes(),
    };
  },
  timeOf: ({ year, month, day, minute }) => Date.UTC(year, month - 1, day, 0, minute),
};
