import { assert, assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { relay } from "../../kv/fixtures/records.ts";
import { createMemoryRelays } from "../../kv/relays.ts";
import { RELAY_KINDS, type RelayQuery, relayQuerySchema, type RelayRecord } from "../../protocol/directory.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { RelayListing } from "./relay_listing.ts";

class Rig {
  readonly clock = new FakeClock();
  readonly store = createMemoryRelays(this.clock);
  reads = 0;
  fault: Error | undefined;
  readonly listing = new RelayListing({
    store: {
      list: () => {
        this.reads++;
        return this.fault ? Promise.reject(this.fault) : this.store.list();
      },
    },
    shown: (records) => Promise.resolve(records),
    clock: this.clock,
  });

  /** All pages, as one would ask for them. */
  async all(query: RelayQuery): Promise<RelayRecord[][]> {
    const pages: RelayRecord[][] = [];
    let after: string | undefined;
    for (;;) {
      const { relays, next } = await this.listing.page(relayQuerySchema.parse({ ...query, ...(after && { after }) }));
      pages.push(relays);
      if (next === undefined) return pages;
      after = next;
    }
  }
}

Deno.test("a thousand who ask at once cost one reading of the store, and those of the next second another", async () => {
  const rig = new Rig();
  await rig.store.register(relay(1));
  await Promise.all(Array.from({ length: 1000 }, (_, at) => rig.listing.page({ region: `r${at}` })));
  rig.clock.advance(999);
  assertEquals((await rig.listing.page({})).relays.length, 1);
  assertEquals(rig.reads, 1);
  rig.clock.advance(1);
  await rig.listing.page({});
  assertEquals(rig.reads, 2);
});

Deno.test("a store that has failed is asked again by whoever comes next", async () => {
  const rig = new Rig();
  rig.fault = new Error("locked");
  await assertRejects(() => rig.listing.page({}), Error, "locked");
  rig.fault = undefined;
  assertEquals(await rig.listing.page({}), { relays: [] });
});

Deno.test("the pages together are the list: each relay once, in its order, of the kind and region asked for", async () => {
  const some = fc.record({
    kind: fc.constantFrom(...RELAY_KINDS),
    region: fc.constantFrom("eu", "us"),
    load: fc.oneof(fc.constantFrom(0, 0.5, 1), fc.double({ min: 0, max: 1, noNaN: true })),
    bandwidthMbps: fc.option(fc.double({ min: 0, max: 100_000, noNaN: true }), { nil: undefined }),
  });
  const asked = fc.record({ kind: fc.constantFrom(...RELAY_KINDS), region: fc.constantFrom("eu", "us") }, {
    requiredKeys: [],
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(some, { maxLength: 30 }),
      asked,
      fc.integer({ min: 1, max: 9 }),
      async (all, query, count) => {
        const rig = new Rig();
        for (const [at, { bandwidthMbps, ...rest }] of all.entries()) {
          await rig.store.register(relay(at, { ...rest, ...(bandwidthMbps !== undefined && { bandwidthMbps }) }));
        }
        const pages = await rig.all({ ...query, count });
        assertEquals(pages.flat(), await rig.store.list(query));
        for (const page of pages.slice(0, -1)) assertEquals(page.length, count);
      },
    ),
    { numRuns: 50 },
  );
});

Deno.test("any cursor that is let through gives a page", async () => {
  const rig = new Rig();
  await rig.store.register(relay(1));
  const text = fc.oneof(fc.string(), fc.stringMatching(/^[0-9.e+-]{1,5}_[0-9.e+-]{1,5}_[a-z]{1,9}_[a-z2-7]{26}$/));
  await fc.assert(fc.asyncProperty(text, async (after) => {
    const query = relayQuerySchema.safeParse({ after });
    if (query.success) assert((await rig.listing.page(query.data)).relays.length <= 1);
  }));
});
