import { assertEquals, assertThrows } from "@std/assert";
import { CulvertError } from "../../protocol/errors.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { LogCollector } from "../../testing/log_collector.ts";
import { TokenGuard } from "./token_guard.ts";

const TOKEN = "ein Schlüssel aus Zürich";
const LOOPBACK = "127.0.0.1";

function makeGuard() {
  const clock = new FakeClock();
  const log = new LogCollector();
  const guard = new TokenGuard({ token: TOKEN, clock, log });
  return { clock, log, show: (token: string, address: string | undefined = LOOPBACK) => guard.show(token, address).is };
}

Deno.test("the token is right and nothing like it, whatever has a part of it", () => {
  const { show } = makeGuard();
  assertEquals(show(TOKEN), "right");
  for (const wrong of ["", TOKEN.slice(1), TOKEN.slice(0, -1), `${TOKEN}x`, `${TOKEN}\0`, `${TOKEN}${TOKEN}`]) {
    assertEquals(show(wrong), "wrong", wrong);
  }
  assertThrows(() => new TokenGuard({ token: "", clock: new FakeClock() }), CulvertError, "must not be empty");
});

Deno.test("six wrong ones from loopback make nobody wait, nor does a program that shows an old one again and again", () => {
  const { clock, show } = makeGuard();
  for (let time = 0; time < 6; time++) show("wrong");
  assertEquals(show(TOKEN), "right");
  for (let second = 0; second < 1000; second++) {
    assertEquals([show("old"), show(TOKEN)], ["wrong", "right"]);
    clock.advance(1000);
  }
});

Deno.test("who guesses as fast as they can has two a second looked at, and the right one gets in within half a second", () => {
  const { clock, log, show } = makeGuard();
  let looked = 0;
  for (let time = 0; time < 10_000; time++) {
    if (show(`guess ${time}`) === "wrong") looked++;
    clock.advance(10);
  }
  assertEquals([looked, log.lines.length], [20 + 199, 20 + 199]);
  while (show("guess") === "wrong");
  assertEquals(show(TOKEN), "not_looked_at");
  clock.advance(500);
  assertEquals(show(TOKEN), "right");
});

Deno.test("from everywhere together it is so many as well, but not for where the right one was shown", () => {
  const { clock, show } = makeGuard();
  assertEquals(show(TOKEN, "192.0.2.7"), "right");
  let looked = 0;
  for (let host = 0; host < 2000; host++) {
    if (show("guess", `2001:db8:${host.toString(16)}::1`) === "wrong") looked++;
  }
  assertEquals(looked, 100);
  assertEquals([show(TOKEN, "203.0.113.1"), show(TOKEN, undefined)], ["not_looked_at", "not_looked_at"]);
  assertEquals(show(TOKEN, "192.0.2.7"), "right");
  clock.advance(100);
  assertEquals(show(TOKEN, "203.0.113.1"), "right");
});

Deno.test("the log tells of wrong tokens from where, and never what was shown", () => {
  const { log, show } = makeGuard();
  show(`${TOKEN}, nearly`);
  const said = JSON.stringify(log.lines);
  assertEquals([said.includes(LOOPBACK), said.includes(TOKEN)], [true, false]);
});
