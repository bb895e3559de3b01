import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { SeededRandom } from "../testing/seeded_random.ts";
import { MtuSearch } from "./mtu_search.ts";

/** What is found on a path where longer datagrams than `mtu` are lost, and how many were sent. */
function search(search: MtuSearch, gets: (bytes: number) => boolean): { found: number | undefined; sent: number } {
  let sent = 0;
  for (let bytes = search.next; bytes !== undefined; bytes = search.next) {
    assert(++sent < 1000);
    if (gets(bytes)) search.passed(bytes);
    else search.lost(bytes);
  }
  return { found: search.found, sent };
}

Deno.test("the usual path takes two datagrams, any other a few", () => {
  const options = { atLeast: 500, atMost: 1448 };
  assertEquals(search(new MtuSearch(options), () => true), { found: 1448, sent: 2 });
  assertEquals(search(new MtuSearch(options), () => false), { found: undefined, sent: 3 });
  const { found, sent } = search(new MtuSearch(options), (bytes) => bytes <= 1380);
  assertEquals(found, 1380);
  assert(sent <= 1 + 11 * 3);
  assertEquals(
    search(new MtuSearch({ ...options, withinBytes: 64 }), (bytes) => bytes <= 1380).found! >= 1380 - 64,
    true,
  );
});

Deno.test("whatever the path takes is found, exactly", () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 1500 }), fc.nat(1500), fc.nat(1600), (atLeast, more, mtu) => {
    const { found } = search(new MtuSearch({ atLeast, atMost: atLeast + more }), (bytes) => bytes <= mtu);
    assertEquals(found, mtu < atLeast ? undefined : Math.min(mtu, atLeast + more));
  }));
});

Deno.test("loss by chance does not mislead it", () => {
  let right = 0;
  for (let seed = 0; seed < 200; seed++) {
    const random = new SeededRandom(seed);
    const { found } = search(
      new MtuSearch({ atLeast: 500, atMost: 1448, tries: 5 }),
      (bytes) => bytes <= 1400 && random.next() > 0.05,
    );
    if (found === 1400) right++;
  }
  assert(right >= 199, `${right} of 200`);
});

Deno.test("an answer that comes late is believed", () => {
  const search = new MtuSearch({ atLeast: 100, atMost: 200, tries: 1 });
  search.passed(100);
  search.lost(200);
  assertEquals(search.next, 150);
  search.passed(200);
  assertEquals([search.next, search.found], [undefined, 200]);
  search.passed(9000);
  search.lost(150);
  assertEquals(search.found, 200);
});

Deno.test("lengths that are none are refused", () => {
  for (const [atLeast, atMost] of [[0, 10], [10, 9], [1.5, 10]] as const) {
    assertThrows(() => new MtuSearch({ atLeast, atMost }), Error, "must be whole and rise");
  }
});
