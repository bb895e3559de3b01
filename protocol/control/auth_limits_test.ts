import { assert, assertEquals, assertGreater, assertLess, assertLessOrEqual, assertThrows } from "@std/assert";
import { CulvertError } from "../errors.ts";
import { parseIp } from "../ip.ts";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { AuthLimits } from "./auth_limits.ts";
import { BurstTable } from "./burst_table.ts";

function limitsOf(perSecond: number, burst: number): AuthLimits {
  const options = { perSecond, burst };
  return new AuthLimits(new SeededRandom(1), { address: options, peer: options });
}

Deno.test("a burst goes through, then the rate, and the wait that is told is the right one", () => {
  const limits = limitsOf(2, 3);
  const address = parseIp("192.0.2.1")!;
  for (let at = 0; at < 3; at++) assertEquals(limits.takeAddress(address, 0), 0);
  const waitMs = limits.takeAddress(address, 0);
  assertEquals(waitMs, 500);
  assertGreater(limits.takeAddress(address, waitMs - 1), 0);
  assertEquals(limits.takeAddress(address, waitMs), 0);
  for (let at = 0; at < 3; at++) {
    assertEquals(limits.takeAddress(address, 10_000), 0, "after a rest there is a burst again");
  }
});

Deno.test("addresses count by what one person has: one IPv4 address, one IPv6 /64", () => {
  const rows: { name: string; one: string; other: string; shared: boolean }[] = [
    { name: "two IPv4 addresses", one: "192.0.2.1", other: "192.0.2.2", shared: false },
    { name: "one /64", one: "2001:db8::1", other: "2001:db8::ffff:ffff:ffff:ffff", shared: true },
    { name: "two /64", one: "2001:db8::1", other: "2001:db8:0:1::1", shared: false },
    { name: "an IPv4 address, mapped", one: "192.0.2.1", other: "::ffff:192.0.2.1", shared: true },
  ];
  for (const { name, one, other, shared } of rows) {
    const limits = limitsOf(1, 1);
    limits.takeAddress(parseIp(one)!, 0);
    assertEquals(limits.takeAddress(parseIp(other)!, 0) > 0, shared, name);
  }
});

Deno.test("peers count by their id, apart from addresses", () => {
  const limits = limitsOf(1, 1);
  assertEquals(limits.takePeer("a", 0), 0);
  assertEquals(limits.takePeer("b", 0), 0);
  assertGreater(limits.takePeer("a", 0), 0);
  assertEquals(limits.takeAddress(parseIp("192.0.2.1")!, 0), 0);
});

Deno.test("ten thousand different keys at once hardly get in each other's way", () => {
  const table = new BurstTable(new SeededRandom(2), { perSecond: 1, burst: 4 });
  let refused = 0;
  for (let at = 0; at < 10_000; at++) if (table.take(`peer ${at}`, 0) > 0) refused++;
  assertLess(refused, 100);
});

Deno.test("a flood of made-up keys cannot get more than there are slots, nor throw, and passes", () => {
  const table = new BurstTable(new SeededRandom(3), { perSecond: 1, burst: 1, slots: 64 });
  let taken = 0;
  for (let at = 0; at < 10_000; at++) {
    const waitMs = table.take(`flood ${at}`, 0);
    if (waitMs === 0) taken++;
    else assert(waitMs > 0 && waitMs <= 1000);
  }
  assertLessOrEqual(taken, 64);
  assertEquals(table.take("someone", 1001), 0);
});

Deno.test("limits that are none are refused", () => {
  const random = new SeededRandom(1);
  for (
    const options of [{ perSecond: 0, burst: 1 }, { perSecond: 1, burst: 0 }, { perSecond: 1, burst: 1, slots: 100 }]
  ) {
    assertThrows(() => new BurstTable(random, options), CulvertError, "Cannot limit a rate");
  }
});
