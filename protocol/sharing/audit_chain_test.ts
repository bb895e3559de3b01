import { assert, assertEquals, assertNotEquals } from "@std/assert";
import fc from "fast-check";
import { portablePrimitives } from "../primitives.ts";
import type { AuditEvent } from "../stored_records.ts";
import {
  ChainCheck,
  type ChainedEntry,
  chainedEntrySchema,
  chainEntry,
  type ChainHead,
  EMPTY_CHAIN,
} from "./audit_chain.ts";

type TimedEvent = AuditEvent & { readonly atMs: number };

function chainOf(events: readonly TimedEvent[]): ChainedEntry[] {
  let head = EMPTY_CHAIN;
  return events.map((event) => head = chainEntry(portablePrimitives, head, event)) as ChainedEntry[];
}

function verdictOf(entries: readonly ChainedEntry[], anchors: readonly ChainHead[] = []) {
  const check = new ChainCheck(portablePrimitives, anchors);
  for (const entry of entries) if (!check.add(entry)) break;
  return check.end();
}

const refusal: TimedEvent = {
  actor: "192.0.2.1",
  action: "proxy",
  subject: "abc",
  outcome: "refused",
  detail: "x",
  atMs: 7,
};
const three = chainOf([refusal, { actor: "root", action: "suspend", outcome: "done", atMs: 8 }, {
  ...refusal,
  atMs: 9,
}]);

Deno.test("the hash of an entry is what anybody can compute from the layout", async () => {
  const zeros = "0".repeat(64);
  const text = `culvert-audit-v1["${zeros}",1,7,"192.0.2.1","proxy","abc","refused","x"]`;
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  assertEquals(three[0], { ...refusal, id: "1", sequence: 1, previousHash: zeros, hash: new Uint8Array(hash).toHex() });
});

Deno.test("a whole chain is whole, and so is an empty one", () => {
  const head = { sequence: 3, hash: three[2]!.hash };
  assertEquals(verdictOf(three), { isWhole: true, entries: 3, head, detail: undefined });
  assertEquals(verdictOf([]), { isWhole: true, entries: 0, head: EMPTY_CHAIN, detail: undefined });
});

Deno.test("what was done to a chain is found and named", () => {
  const [one, two, last] = three as [ChainedEntry, ChainedEntry, ChainedEntry];
  const forged = chainEntry(portablePrimitives, one, { ...two, actor: "nobody" });
  const rows: { name: string; entries: ChainedEntry[]; anchors?: ChainHead[]; entriesBefore: number; says: string }[] =
    [
      {
        name: "changed",
        entries: [one, { ...two, actor: "nobody" }, last],
        entriesBefore: 1,
        says: "entry 2 was changed",
      },
      { name: "without a detail", entries: [withoutDetail(one), two], entriesBefore: 0, says: "entry 1 was changed" },
      { name: "removed", entries: [one, last], entriesBefore: 1, says: "entry 2 is missing: 3 stands in its place" },
      { name: "the first removed", entries: [two, last], entriesBefore: 0, says: "entry 1 is missing: 2 stands" },
      { name: "reordered", entries: [one, last, two], entriesBefore: 1, says: "entry 2 is missing: 3 stands" },
      { name: "twice", entries: [one, one], entriesBefore: 1, says: "entry 2 is missing: 1 stands in its place" },
      {
        name: "renumbered",
        entries: [one, { ...last, sequence: 2 }],
        entriesBefore: 1,
        says: "entry 2 does not follow on",
      },
      { name: "hashed anew", entries: [one, forged, last], entriesBefore: 2, says: "entry 3 does not follow on" },
      {
        name: "all anew",
        entries: [one, forged],
        anchors: [two, forged],
        entriesBefore: 1,
        says: "entry 2 is not the one",
      },
      {
        name: "cut",
        entries: [one, two],
        anchors: [last],
        entriesBefore: 2,
        says: "entries up to 3 are missing at the end",
      },
    ];
  for (const { name, entries, anchors = [], entriesBefore, says } of rows) {
    const verdict = verdictOf(entries, anchors);
    assertEquals([verdict.isWhole, verdict.entries], [false, entriesBefore], name);
    assert(verdict.detail!.startsWith(says), `${name}: ${verdict.detail}`);
  }
});

function withoutDetail({ detail: _detail, ...rest }: ChainedEntry): ChainedEntry {
  return rest;
}

Deno.test("texts of any kind are chained, kept in bounds and told apart", () => {
  const text = fc.string({ unit: "binary", maxLength: 64 });
  const event = fc.record({
    actor: text,
    action: text,
    subject: text,
    outcome: fc.constantFrom("done" as const, "refused" as const, "failed" as const),
    detail: text,
    atMs: fc.nat(),
  }, { requiredKeys: ["actor", "action", "outcome", "atMs"] });
  fc.assert(fc.property(fc.array(event, { minLength: 1, maxLength: 8 }), fc.nat(), text, (events, at, other) => {
    const entries = chainOf(events as TimedEvent[]).map((entry) => chainedEntrySchema.parse(entry));
    assert(verdictOf(JSON.parse(JSON.stringify(entries))).isWhole);
    const changed = entries[at % entries.length]!;
    if (changed.actor === other) return;
    changed.actor = other;
    assert(!verdictOf(entries).isWhole);
  }));
  const [nul] = chainOf([{ ...refusal, detail: "a\0b\ud800" }]);
  assertEquals(nul!.detail, "a\ufffdb\ufffd");
  const [absent, empty] = [
    chainOf([{ actor: "a", action: "b", outcome: "done", atMs: 0 }]),
    chainOf([{ actor: "a", action: "b", outcome: "done", atMs: 0, detail: "" }]),
  ];
  assertNotEquals(absent[0]!.hash, empty[0]!.hash);
});
