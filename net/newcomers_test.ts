import { assertEquals } from "@std/assert";
import { FakeClock } from "../testing/fake_clock.ts";
import { Newcomers } from "./newcomers.ts";

class Caller {
  isClosed = false;

  close(): void {
    this.isClosed = true;
  }
}

function fullHouse() {
  const clock = new FakeClock();
  const drops: string[] = [];
  const newcomers = new Newcomers({
    clock,
    timeoutMs: 10_000,
    max: 2,
    maxPerAddress: 100,
    onDrop: (reason) => drops.push(reason),
  });
  const callers = [new Caller(), new Caller()];
  for (const caller of callers) newcomers.arrived(caller, "192.0.2.1");
  return { clock, newcomers, callers, drops };
}

/** Whether it has settled once every turn that was due has been taken. */
async function hasSettled(promise: Promise<void>): Promise<boolean> {
  let settled = false;
  promise.then(() => settled = true);
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
  return settled;
}

Deno.test("with room there is a place at once", async () => {
  const { newcomers, callers } = fullHouse();
  using _newcomers = newcomers;
  newcomers.settled(callers[0]!);
  assertEquals(await hasSettled(newcomers.place()), true);
});

Deno.test("without room the next waits until one is through, and nobody is dropped", async () => {
  const { clock, newcomers, callers, drops } = fullHouse();
  using _newcomers = newcomers;
  const place = newcomers.place();
  clock.advance(1_999);
  assertEquals(await hasSettled(place), false);
  newcomers.requested(callers[1]!);
  assertEquals(await hasSettled(place), true);
  newcomers.arrived(new Caller(), "192.0.2.2");
  assertEquals(drops, []);
});

Deno.test("who dawdles while others wait loses its place", async () => {
  const { clock, newcomers, callers, drops } = fullHouse();
  using _newcomers = newcomers;
  const place = newcomers.place();
  clock.advance(2_000);
  assertEquals(await hasSettled(place), true);
  newcomers.arrived(new Caller(), "192.0.2.2");
  assertEquals(callers.map(({ isClosed }) => isClosed), [true, false]);
  assertEquals(drops, ["too_many"]);
});

Deno.test("nobody waits for a place where everything ends", async () => {
  const { newcomers } = fullHouse();
  const place = newcomers.place();
  newcomers[Symbol.dispose]();
  assertEquals(await hasSettled(place), true);
});

Deno.test("one who has asked already and is dropped for its address makes no room among those who have not", () => {
  const clock = new FakeClock();
  const drops: string[] = [];
  const onDrop = (reason: string) => void drops.push(reason);
  using newcomers = new Newcomers({ clock, timeoutMs: 10_000, max: 2, maxPerAddress: 1, onDrop });
  const [asked, ...others] = Array.from({ length: 4 }, () => new Caller());
  newcomers.arrived(asked!, "192.0.2.1");
  newcomers.requested(asked!);
  for (const [at, other] of others.entries()) newcomers.arrived(other, `192.0.2.${3 - at}`);
  assertEquals(drops, ["too_many_of_address", "too_many"]);
  assertEquals(others.map(({ isClosed }) => isClosed), [true, false, false]);
});

Deno.test("who comes after the end is closed at once", () => {
  const { newcomers } = fullHouse();
  newcomers[Symbol.dispose]();
  const late = new Caller();
  newcomers.arrived(late, "192.0.2.2");
  assertEquals(late.isClosed, true);
});
