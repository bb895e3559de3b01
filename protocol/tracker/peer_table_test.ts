import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { SeededRandom } from "../../testing/seeded_random.ts";
import { CulvertError } from "../errors.ts";
import { peerCardSchema } from "../peers/card.ts";
import { cardOf, entryOf, idOf, tokenOf } from "./fixtures/entries.ts";
import type { PeerQuery } from "./messages.ts";
import { cardText, PeerTable } from "./peer_table.ts";

const TTL_MS = 6400;

function tableOf(count: number, maxPeers = 100_000): PeerTable {
  const table = new PeerTable({ ttlMs: TTL_MS, maxPeers, nowMs: 0 });
  for (let number = 0; number < count; number++) table.put(entryOf(number), 0);
  return table;
}

/** All pages, as one would ask for them. */
function allPages(table: PeerTable, query: PeerQuery): string[][] {
  const pages: string[][] = [];
  let after = query.after;
  do {
    const page = table.page({ ...query, after });
    pages.push(page.peers.map(({ peerId }) => peerId));
    after = page.next;
  } while (after !== undefined);
  return pages;
}

Deno.test("a card is kept as ASCII that reads as the same card", () => {
  const labels = fc.string({ unit: "binary", minLength: 1, maxLength: 30 });
  fc.assert(fc.property(labels, (label) => {
    const text = cardText(cardOf(1, { label }));
    assert(/^[ -~]*$/.test(text));
    assert(text.startsWith(`{"peerId":"${idOf(1)}"`));
    assertEquals(JSON.parse(text), JSON.parse(JSON.stringify(cardOf(1, { label }))));
  }));
  assertEquals(peerCardSchema.safeParse(JSON.parse(cardText(cardOf(1)))).success, true);
});

Deno.test("a peer is there with what it said last, until it is silent for too long", () => {
  const table = tableOf(0);
  assertEquals(table.put(entryOf(1), 100), "joined");
  assertEquals(table.put(entryOf(1), 200), "same");
  assertEquals(table.put(entryOf(1, { label: "new" }), 300), "changed");
  assertEquals(table.touch(idOf(1), 400, { load: 0.25 }), true);
  assertEquals(table.touch(idOf(1), 500, { left: 7 }), true);
  assertEquals(table.touch(idOf(2), 500), false);
  const { card, observedAddress } = entryOf(1, { label: "new" });
  const expected = { peerId: idOf(1), card, observedAddress, seenMs: 500, load: 0.25, left: 7 };
  assertEquals(table.find(idOf(1)), expected);
  assertEquals(table.expire(500 + TTL_MS - 1), []);
  const gone = table.expire(500 + TTL_MS + table.tickMs);
  assertEquals(gone, [{ peerId: idOf(1), region: "eu", capabilities: ["files"] }]);
  assertEquals([table.size, table.find(idOf(1))], [0, undefined]);
});

Deno.test("a token is known by its mark, and once it was shown by itself, until there is another", () => {
  const table = tableOf(2);
  const { mark } = entryOf(1);
  assertEquals([table.hasMark(idOf(1), mark), table.hasMark(idOf(0), mark)], [true, false]);
  assertEquals([table.hasMark(idOf(2), mark), table.hasShown(idOf(2), tokenOf(2))], [undefined, undefined]);
  assertEquals(table.hasShown(idOf(1), tokenOf(1)), false, "it was not shown yet");
  table.remember(idOf(1), tokenOf(1));
  table.put(entryOf(1, { label: "other" }), 0);
  assertEquals([table.hasShown(idOf(1), tokenOf(1)), table.hasShown(idOf(1), tokenOf(0))], [true, false]);
  table.put({ ...entryOf(1), mark: entryOf(0).mark }, 0);
  assertEquals([table.hasShown(idOf(1), tokenOf(1)), table.hasMark(idOf(1), mark)], [false, false]);
  table.put(entryOf(1), 0);
  table.remember(idOf(1), tokenOf(1));
  table.delete(idOf(1));
  table.put(entryOf(1), 0);
  assertEquals(table.hasShown(idOf(1), tokenOf(1)), false, "nor by who is there again");
});

Deno.test("what was heard late does not make a peer older than it is", () => {
  const table = tableOf(0);
  table.put(entryOf(1), 1000);
  table.touch(idOf(1), 500);
  table.put(entryOf(1), 400);
  assertEquals(table.find(idOf(1))!.seenMs, 1000);
});

Deno.test("when there is no room, those who are there stay and are renewed", () => {
  const table = tableOf(3, 3);
  assertEquals(assertThrows(() => table.put(entryOf(3), 0), CulvertError).code, "store_full");
  assertEquals(table.put(entryOf(2), 1), "same");
  assert(table.delete(idOf(1)));
  assertEquals(table.put(entryOf(3), 0), "joined");
  assertEquals(table.size, 3);
});

Deno.test("the pages together are all that match, each once, in the order of their ids", () => {
  const regions = ["eu", "us", undefined];
  const capabilities = [[], ["files"], ["files", "relay"], ["relay"]];
  fc.assert(
    fc.property(
      fc.array(fc.record({ region: fc.constantFrom(...regions), capabilities: fc.constantFrom(...capabilities) }), {
        maxLength: 60,
      }),
      fc.record({ region: fc.constantFrom(...regions), capability: fc.constantFrom("files", "relay", undefined) }),
      fc.integer({ min: 1, max: 9 }),
      (peers, filter, limit) => {
        const table = tableOf(0);
        for (const [number, peer] of peers.entries()) table.put(entryOf(number, peer), 0);
        const wanted = peers.flatMap((peer, number) => {
          const fits = (filter.region ?? peer.region) === peer.region &&
            (filter.capability === undefined || peer.capabilities.includes(filter.capability));
          return fits ? [idOf(number)] : [];
        }).sort();
        assertEquals(allPages(table, { ...filter, limit }).flat(), wanted);
        assertEquals(table.count(filter), wanted.length);
      },
    ),
  );
});

Deno.test("what comes and goes between two pages moves nothing else", () => {
  const table = tableOf(500);
  const before = allPages(table, {}).flat();
  const first = table.page({ limit: 20 });
  for (let number = 0; number < 500; number += 3) table.delete(idOf(number));
  for (let number = 500; number < 700; number++) table.put(entryOf(number, { capabilities: [] }), 0);
  const seen = [...first.peers.map(({ peerId }) => peerId), ...allPages(table, { after: first.next }).flat()];
  assertEquals(new Set(seen).size, seen.length);
  const stayed = before.filter((id) => table.find(id));
  assertEquals(stayed.filter((id) => !seen.includes(id)), []);
});

Deno.test("a page of what is rare among many is whole, and one of what is common too", () => {
  const table = tableOf(10_000);
  for (let number = 0; number < 20; number++) table.put(entryOf(number, { capabilities: ["relay"] }), 0);
  assertEquals(table.page({ capability: "relay" }).peers.length, 20);
  assertEquals(table.page({ capability: "files", region: "eu" }).peers.length, 50);
  assertEquals(table.page({ capability: "files", region: "mars" }), { peers: [] });
});

Deno.test("a sample names as many as are asked for, none twice, and not who asks", () => {
  const table = tableOf(1000);
  const random = new SeededRandom(5);
  const counts = new Map<string, number>();
  for (let turn = 0; turn < 400; turn++) {
    const ids = table.sample(25, random, idOf(7)).map(({ peerId }) => peerId);
    assert(ids.length === 25 && new Set(ids).size === ids.length && !ids.includes(idOf(7)));
    for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  assertEquals(counts.size, 999);
  assert(Math.max(...counts.values()) < 40, "about ten each");
  assertEquals(table.sample(0, random), []);
  assertEquals(tableOf(3).sample(50, random, idOf(1)).map(({ peerId }) => peerId).sort(), [idOf(0), idOf(2)].sort());
});

Deno.test("a sample is whole also when nearly all have left", () => {
  const table = tableOf(20_000);
  for (let number = 0; number < 20_000; number++) if (number % 1000 !== 7) table.delete(idOf(number));
  const ids = table.sample(15, new SeededRandom(6), idOf(7)).map(({ peerId }) => peerId);
  assertEquals([ids.length, new Set(ids).size, ids.includes(idOf(7))], [15, 15, false]);
  assertEquals(table.sample(50, new SeededRandom(7), idOf(7)).length, 19);
});

/** What the table does, on a map. */
class SlowTable {
  readonly peers = new Map<string, number>();

  expire(nowMs: number): void {
    for (const [id, seenMs] of this.peers) if (seenMs + TTL_MS <= nowMs) this.peers.delete(id);
  }
}

Deno.test("whatever happens in whatever order, the table knows who is there as a plain map does", () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constantFrom("put", "touch", "delete"), number: fc.nat(40) }),
    fc.record({ kind: fc.constant("wait"), number: fc.integer({ min: 1, max: 2 * TTL_MS }) }),
  );
  fc.assert(fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
    const table = tableOf(0);
    const slow = new SlowTable();
    let nowMs = 0;
    for (const { kind, number } of steps) {
      const id = idOf(number);
      if (kind === "wait") {
        nowMs += number;
        // A peer may be forgotten a tick late, so time is let pass until that makes no difference.
        table.expire(nowMs);
        table.expire(nowMs += table.tickMs);
        slow.expire(nowMs);
        for (const id of [...slow.peers.keys()]) assert(table.find(id), "nobody is forgotten early");
        for (const id of allPages(table, {}).flat()) if (!slow.peers.has(id)) table.delete(id);
      } else if (kind === "put") {
        table.put(entryOf(number), nowMs);
        slow.peers.set(id, nowMs);
      } else if (kind === "touch") {
        assertEquals(table.touch(id, nowMs), slow.peers.has(id));
        if (slow.peers.has(id)) slow.peers.set(id, nowMs);
      } else {
        assertEquals(table.delete(id) !== undefined, slow.peers.delete(id));
      }
      assertEquals(table.size, slow.peers.size);
    }
    assertEquals(allPages(table, {}).flat(), [...slow.peers.keys()].sort());
  }));
});

Deno.test("nobody is forgotten more than a tick late, and after a long sleep everybody at once", () => {
  const table = tableOf(100);
  for (let nowMs = 0; nowMs < TTL_MS; nowMs += 50) assertEquals(table.expire(nowMs), []);
  assertEquals(table.expire(TTL_MS + table.tickMs).length, 100);
  const asleep = tableOf(100);
  assertEquals(asleep.expire(1000 * TTL_MS).length, 100);
  asleep.put(entryOf(1), 1000 * TTL_MS);
  assertEquals(asleep.expire(1001 * TTL_MS + asleep.tickMs).length, 1);
});
