/**
 * The clock on the wall of this machine: its time zone, summer time too.
 */

import type { Calendar } from "../../protocol/sharing/calendar.ts";

export const localCalendar: Calendar = {
  read(atMs) {
    const date = new Date(atMs);
    return {
      year: date.getFullYear(),
      month: date.getMonth() + 1,
      day: date.getDate(),
      weekday: (date.getDay() + 6) % 7,
      minute: date.getHours() * 60 + date.getMinutes(),
    };
  },
  timeOf: ({ year, month, day, minute }) => new Date(year, month - 1, day, 0, minute).getTime(),
};
