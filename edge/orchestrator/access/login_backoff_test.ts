import { assert, assertEquals } from "@std/assert";
import { FakeClock } from "../../../testing/fake_clock.ts";
import { LoginBackoff } from "./login_backoff.ts";

const HERE = "192.0.2.1";
const THERE = "198.51.100.1";

/** Fails so often, waiting as long as it takes, and gives how long that was each time. */
function failures(backoff: LoginBackoff, clock: FakeClock, count: number, account = "ada", address = HERE): number[] {
  return Array.from({ length: count }, () => {
    clock.advance(backoff.waitMs(account, address));
    return backoff.fail(account, address);
  });
}

Deno.test("five failures are free, then each costs twice as long, a quarter of an hour at most", () => {
  const clock = new FakeClock();
  const waits = failures(new LoginBackoff(clock), clock, 17);
  const seconds = [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900];
  assertEquals(waits, seconds.map((each) => each * 1000));
});

Deno.test("an account that is tried from many addresses has to wait, but not where it is at home", () => {
  const clock = new FakeClock();
  const backoff = new LoginBackoff(clock);
  backoff.succeed("ada", HERE);
  for (let host = 1; host <= 20; host++) backoff.fail("ada", `198.51.100.${host}`);
  assert(backoff.waitMs("ada", "203.0.113.1") > 0);
  assertEquals(backoff.waitMs("ada", HERE), 0);
  assertEquals(backoff.waitMs("eve", "203.0.113.1"), 0);
});

Deno.test("an address that tries many accounts has to wait; the rest of its /64 with it, another network not", () => {
  const clock = new FakeClock();
  const backoff = new LoginBackoff(clock);
  for (let each = 0; each < 6; each++) backoff.fail(`account${each}`, "2001:db8::1");
  assert(backoff.waitMs("another", "2001:db8::ffff:1") > 0);
  assertEquals(backoff.waitMs("another", "2001:db8:0:1::1"), 0);
});

Deno.test("who has an account of their own guesses no faster at those of others for it", () => {
  const clock = new FakeClock();
  const backoff = new LoginBackoff(clock);
  for (let each = 0; each < 10; each++) {
    backoff.fail(`account${each}`, HERE);
    backoff.succeed("mallory", HERE);
  }
  assert(backoff.waitMs("another", HERE) > 0);
});

Deno.test("who is at home at an address does not wait for what others there fail at, but for their own failures", () => {
  const clock = new FakeClock();
  const backoff = new LoginBackoff(clock);
  backoff.succeed("ada", HERE);
  for (let each = 0; each < 20; each++) backoff.fail("eve", HERE);
  assertEquals(backoff.waitMs("ada", HERE), 0);
  assert(backoff.waitMs("bob", HERE) > 0);
  assertEquals(failures(backoff, clock, 7).at(-1), 2000);
});

Deno.test("who is right is forgiven at once, who stops is after a while", () => {
  const clock = new FakeClock();
  const backoff = new LoginBackoff(clock);
  failures(backoff, clock, 6);
  backoff.succeed("eve", HERE);
  assertEquals(backoff.waitMs("eve", HERE), 0);
  failures(backoff, clock, 6, "eve", THERE);
  clock.advance(16 * 60_000);
  assertEquals(backoff.fail("eve", THERE), 0);
});

Deno.test("what is remembered is bounded", () => {
  const clock = new FakeClock();
  const backoff = new LoginBackoff(clock);
  for (let each = 0; each < 40_000; each++) {
    backoff.fail(`account${each}`, `10.${each >> 16}.${each >> 8 & 255}.${each & 255}`);
  }
  // The first has long been forgotten, and begins anew.
  assertEquals(failures(backoff, clock, 5, "account0", "10.0.0.0"), [0, 0, 0, 0, 0]);
});
