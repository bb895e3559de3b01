import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { utcCalendar } from "./calendar.ts";
import { formatSpan, parseSpan, Schedule } from "./schedule.ts";

const MINUTE_MS = 60_000;
const WEEK_MINUTES = 7 * 24 * 60;

function scheduleOf(...texts: string[]): Schedule {
  return new Schedule(texts.map((text) => parseSpan(text)!), utcCalendar);
}

/** The 5th of January 2026 is a Monday. */
function at(day: number, time: string): number {
  return Date.parse(`2026-01-${String(day).padStart(2, "0")}T${time}:00Z`);
}

Deno.test("spans hold on their days, over midnight too", () => {
  const nights = scheduleOf("mon-fri 22:00-06:00", "sat,sun 00:00-24:00");
  const table: [name: string, nowMs: number, isOpen: boolean, untilMs: number][] = [
    ["Monday at noon", at(5, "12:00"), false, at(5, "22:00")],
    ["the first minute", at(5, "22:00"), true, at(6, "06:00")],
    ["after midnight", at(6, "05:59"), true, at(6, "06:00")],
    ["the minute after the last", at(6, "06:00"), false, at(6, "22:00")],
    ["Friday night runs into the weekend", at(9, "23:00"), true, at(12, "00:00")],
    ["Monday morning follows no weekday", at(12, "00:00"), false, at(12, "22:00")],
  ];
  for (const [name, nowMs, isOpen, untilMs] of table) assertEquals(nights.at(nowMs), { isOpen, untilMs }, name);
});

Deno.test("without a span, and with spans that fill the week, it is always", () => {
  assertEquals(scheduleOf().at(at(5, "12:00")), { isOpen: true });
  assertEquals(scheduleOf("daily 00:00-24:00").at(at(5, "12:00")), { isOpen: true });
  assertEquals(scheduleOf("daily 06:00-20:00", "daily 20:00-06:00").at(at(5, "12:00")), { isOpen: true });
});

Deno.test("one span a week is found from just after it", () => {
  assertEquals(scheduleOf("mon 10:00-10:01").at(at(5, "10:01")), { isOpen: false, untilMs: at(12, "10:00") });
});

Deno.test("days may be one, several, a range, or all", () => {
  const table: [text: string, shown: string | undefined][] = [
    ["mon 01:00-02:00", "mon 01:00-02:00"],
    ["Mon,WED 01:00-02:00", "mon,wed 01:00-02:00"],
    ["fri-mon 01:00-02:00", "mon,fri,sat,sun 01:00-02:00"],
    ["mon-sun 22:30-06:00", "daily 22:30-06:00"],
    ["daily 00:00-24:00", "daily 00:00-24:00"],
    ["daily 24:00-01:00", undefined],
    ["daily 12:00-12:00", undefined],
    ["daily 12:60-13:00", undefined],
    ["daily 25:00-26:00", undefined],
    ["monday 12:00-13:00", undefined],
    ["mon- 12:00-13:00", undefined],
    ["12:00-13:00", undefined],
    ["", undefined],
  ];
  for (const [text, shown] of table) {
    const span = parseSpan(text);
    assertEquals(span && formatSpan(span), shown, text);
  }
});

const spanArbitrary = fc.record({
  weekdays: fc.uniqueArray(fc.integer({ min: 0, max: 6 }), { minLength: 1 }),
  startMinute: fc.integer({ min: 0, max: 1439 }),
  lengthMinutes: fc.integer({ min: 1, max: 1440 }),
}).map(({ weekdays, startMinute, lengthMinutes }) => ({
  weekdays: new Set(weekdays),
  startMinute,
  endMinute: startMinute + lengthMinutes,
}));

Deno.test("what is formatted is read back", () => {
  fc.assert(fc.property(spanArbitrary.filter((span) => span.endMinute - span.startMinute < 1440), (span) => {
    assertEquals(parseSpan(formatSpan(span)), span);
  }));
  fc.assert(fc.property(fc.string(), (text) => void parseSpan(text)));
});

Deno.test("it is as if every minute of the week had been marked", () => {
  const minute = fc.integer({ min: 0, max: WEEK_MINUTES - 1 });
  fc.assert(fc.property(fc.array(spanArbitrary, { minLength: 1, maxLength: 4 }), minute, (spans, minute) => {
    const marked = new Uint8Array(WEEK_MINUTES);
    for (const { weekdays, startMinute, endMinute } of spans) {
      for (const day of weekdays) {
        for (let at = startMinute; at < endMinute; at++) marked[(day * 1440 + at) % WEEK_MINUTES] = 1;
      }
    }
    const nowMs = at(5, "00:00") + minute * MINUTE_MS;
    const { isOpen, untilMs } = new Schedule(spans, utcCalendar).at(nowMs);
    assertEquals(isOpen, marked[minute] === 1);
    if (untilMs === undefined) return assert(marked.every((mark) => mark === 1));
    const changes = (untilMs - at(5, "00:00")) / MINUTE_MS;
    for (let at = minute; at < changes; at++) assertEquals(marked[at % WEEK_MINUTES], marked[minute]);
    assert(marked[changes % WEEK_MINUTES] !== marked[minute]);
  }));
});
