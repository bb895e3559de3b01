import { assertEquals } from "@std/assert";
import * as fc from "fast-check";
import { REJECT_AFTER_MESSAGES, REPLAY_WINDOW } from "./constants.ts";
import { ReplayWindow } from "./replay.ts";

/** One more than the window, as the kernel's self-test counts. */
const LIMIT = REPLAY_WINDOW + 1;

// The cases and sweeps of drivers/net/wireguard/selftest/counter.c in Linux.
const cases: [counter: number, isTaken: boolean][] = [
  [0, true],
  [1, true],
  [1, false],
  [9, true],
  [8, true],
  [7, true],
  [7, false],
  [LIMIT, true],
  [LIMIT - 1, true],
  [LIMIT - 1, false],
  [LIMIT - 2, true],
  [2, true],
  [2, false],
  [LIMIT + 16, true],
  [3, false],
  [LIMIT + 16, false],
  [LIMIT * 4, true],
  [LIMIT * 4 - (LIMIT - 1), true],
  [10, false],
  [LIMIT * 4 - LIMIT, false],
  [LIMIT * 4 - (LIMIT + 1), false],
  [LIMIT * 4 - (LIMIT - 2), true],
  [LIMIT * 4 + 1 - LIMIT, false],
  [0, false],
  [REJECT_AFTER_MESSAGES, false],
  [REJECT_AFTER_MESSAGES - 1, true],
  [REJECT_AFTER_MESSAGES, false],
  [REJECT_AFTER_MESSAGES - 1, false],
  [REJECT_AFTER_MESSAGES - 2, true],
  [REJECT_AFTER_MESSAGES + 1, false],
  [REJECT_AFTER_MESSAGES + 2, false],
  [REJECT_AFTER_MESSAGES - 2, false],
  [REJECT_AFTER_MESSAGES - 3, true],
  [0, false],
];

Deno.test("the window answers as the kernel's self-test wants, case by case", () => {
  const window = new ReplayWindow();
  for (const [index, [counter, isTaken]] of cases.entries()) {
    assertEquals(window.accept(counter), isTaken, `case ${index + 1}: ${counter}`);
  }
});

const up = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, index) => first + index);
const down = (first: number, last: number) => up(last, first).reverse();

const sweeps: [name: string, taken: number[], refused: number[]][] = [
  ["upwards, then 0, twice", [...up(1, REPLAY_WINDOW), 0], [0]],
  ["upwards from 2, then what is just within and just outside", [...up(2, LIMIT), 1], [0]],
  ["downwards to 0", down(REPLAY_WINDOW, 0), []],
  ["downwards to 1, then what is too old", down(LIMIT, 1), [0]],
  ["downwards to 1, then up, then what is too old", [...down(REPLAY_WINDOW, 1), LIMIT], [0]],
  ["downwards to 1, then 0, then up", [...down(REPLAY_WINDOW, 1), 0, LIMIT], []],
];

for (const [name, taken, refused] of sweeps) {
  Deno.test(`the window sweeps as the kernel's does: ${name}`, () => {
    const window = new ReplayWindow();
    assertEquals(taken.filter((counter) => !window.accept(counter)), []);
    assertEquals(refused.filter((counter) => window.accept(counter)), []);
  });
}

/** Remembers everything. */
class NaiveWindow {
  readonly #seen = new Set<number>();
  #newest = -1;

  accept(counter: number): boolean {
    if (counter >= REJECT_AFTER_MESSAGES || this.#newest - counter > REPLAY_WINDOW || this.#seen.has(counter)) {
      return false;
    }
    this.#seen.add(counter);
    this.#newest = Math.max(this.#newest, counter);
    return true;
  }
}

Deno.test("the window agrees with one that remembers everything, whatever the steps", () => {
  const step = fc.oneof(
    fc.integer({ min: -40, max: 40 }),
    fc.integer({ min: -70, max: 70 }).map((offset) => REPLAY_WINDOW + offset),
    fc.integer({ min: -70, max: 70 }).map((offset) => offset - REPLAY_WINDOW),
    fc.integer({ min: -9000, max: 20_000 }),
  );
  const start = fc.constantFrom(0, 2 ** 31 - 20_000, 2 ** 32 - 20_000, 2 ** 40, REJECT_AFTER_MESSAGES - 20_000);
  fc.assert(
    fc.property(start, fc.array(step, { minLength: 1, maxLength: 60 }), (start, steps) => {
      const window = new ReplayWindow();
      const twin = new NaiveWindow();
      let counter = start;
      for (const step of steps) {
        counter = Math.max(0, counter + step);
        assertEquals(window.accept(counter), twin.accept(counter), `${counter}`);
      }
    }),
    { numRuns: 1000 },
  );
});

Deno.test("a jump over any distance leaves nothing of the old round in the ring", () => {
  for (let distance = REPLAY_WINDOW - 100; distance < 8192 + 100; distance++) {
    const window = new ReplayWindow();
    const first = 17;
    for (const counter of up(first, first + 200)) window.accept(counter);
    const newest = first + 200 + distance;
    window.accept(newest);
    const oldest = newest - REPLAY_WINDOW;
    for (const counter of up(Math.max(oldest, first + 201), oldest + 300)) {
      if (counter < newest) assertEquals(window.accept(counter), true, `${counter} after a jump of ${distance}`);
    }
  }
});

Deno.test("what no sender can count to is refused", () => {
  const window = new ReplayWindow();
  for (const counter of [2 ** 53, 2 ** 64, Infinity, NaN]) assertEquals(window.accept(counter), false);
  assertEquals(window.accept(0), true);
});
