import { assertEquals } from "@std/assert";
import { FakeClock } from "../testing/fake_clock.ts";
import { AnswerDate } from "./answer_date.ts";

Deno.test("the date of answers is the clock's, to the second", () => {
  const clock = new FakeClock(Date.UTC(1994, 10, 6, 8, 49, 37, 990));
  const date = new AnswerDate(clock);
  assertEquals(date.text, "Sun, 06 Nov 1994 08:49:37 GMT");
  clock.advance(9);
  assertEquals(date.text, "Sun, 06 Nov 1994 08:49:37 GMT");
  clock.advance(1);
  assertEquals(date.text, "Sun, 06 Nov 1994 08:49:38 GMT");
});
