import { assertEquals } from "@std/assert";
import { sharesOf, totalOf } from "./control_peers.ts";

Deno.test("shares are as even as they can be, and together the whole", () => {
  assertEquals(sharesOf(10, 2), [5, 5]);
  assertEquals(sharesOf(11, 3), [3, 4, 4]);
  assertEquals(sharesOf(1, 2), [0, 1]);
});

Deno.test("counts of several processes add up, and of moments and round trips the last and longest stands", () => {
  const one = { open: 3, lastOpenAtMs: 5, lost: 1, failed: { busy: 2 }, worstRttMs: 0.5 };
  const other = {
    open: 4,
    lastOpenAtMs: 9,
    lost: 0,
    failed: { busy: 1, unreachable: 3 },

    worstRttMs: 0.25,
  };
  assertEquals(totalOf([one, other]), {
    open: 7,
    lastOpenAtMs: 9,
    lost: 1,
    failed: { busy: 3, unreachable: 3 },
    worstRttMs: 0.5,
  });
});
