import { assertEquals, assertStringIncludes } from "@std/assert";
import fc from "fast-check";
import {
  MAX_AMOUNT,
  MAX_MEMO_BYTES,
  MAX_MEMOS_BYTES,
  MAX_SET_ID,
  MAX_SET_TRANSFERS,
  MAX_TRANSFER_NAME,
  type Memo,
  type Transfer,
  type TransferSet,
} from "./ledger.ts";
import { isPersonal, malformedOutcome, problemOfSet } from "./ledger_form.ts";

const posted = {
  ...{ id: "s/x", phase: "posted", debit: "client:a", credit: "operator:b", amount: 1n, reason: "traffic" },
} satisfies Transfer;
const pending = {
  ...{ id: "s/x", phase: "pending", debit: "client:a", credit: "holds", amount: 1n, reason: "hold", expiresAtMs: 1 },
} satisfies Transfer;
const { amount: _, ...voided } = { ...posted, phase: "void", pendingId: "h/hold" } as const;

function setOf(...transfers: readonly Transfer[]): TransferSet {
  return { id: "s", transfers };
}

function numbered(count: number, of: (at: number) => Partial<Transfer> = () => ({})): TransferSet {
  return setOf(...Array.from({ length: count }, (_, at) => ({ ...posted, ...of(at), id: `s/${at}` }) as Transfer));
}

/** Of so many bytes as JSON. */
function memoOf(bytes: number): Memo {
  return { note: "x".repeat(bytes - '{"note":""}'.length) };
}

Deno.test("ledger form: what is well formed", () => {
  const rows: readonly [name: string, set: TransferSet][] = [
    ["one transfer", setOf(posted)],
    ["the longest ids", {
      id: "s".repeat(MAX_SET_ID),
      transfers: [{ ...posted, id: `${"s".repeat(MAX_SET_ID)}/${"n".repeat(MAX_TRANSFER_NAME)}` }],
    }],
    ["a set's id with slashes in it", { id: "a/b", transfers: [{ ...posted, id: "a/b/c" }] }],
    ["as many transfers as there may be", numbered(MAX_SET_TRANSFERS)],
    ["the largest amount", setOf({ ...posted, amount: MAX_AMOUNT })],
    ["what is held for the house", setOf(pending)],
    ["a void without an amount", setOf(voided)],
    ["the largest memo", setOf({ ...posted, memo: memoOf(MAX_MEMO_BYTES) })],
    ["the largest memos", numbered(MAX_MEMOS_BYTES / MAX_MEMO_BYTES, () => ({ memo: memoOf(MAX_MEMO_BYTES) }))],
    ["each account of the house", {
      id: "s",
      transfers: ["fees", "payouts", "promotions", "holds", "payments:stripe"].map((credit) => (
        { ...posted, id: `s/${credit}`, credit }
      )),
    }],
  ];
  for (const [name, set] of rows) assertEquals(problemOfSet(set), undefined, name);
});

Deno.test("ledger form: what is not, and what is said of it", () => {
  const rows: readonly [set: TransferSet, says: string][] = [
    [{ id: "", transfers: [posted] }, "a set's id must be"],
    [{ id: "a b", transfers: [{ ...posted, id: "a b/x" }] }, "without spaces"],
    [{ id: "ü", transfers: [{ ...posted, id: "ü/x" }] }, "ASCII"],
    [{ id: "s".repeat(MAX_SET_ID + 1), transfers: [posted] }, `1 to ${MAX_SET_ID} characters`],
    [setOf(), "must have 1 to 64 transfers, got 0"],
    [numbered(MAX_SET_TRANSFERS + 1), "got 65"],
    [setOf({ ...posted, id: "t/x" }), "t/x: its id must be its set's"],
    [setOf({ ...posted, id: "s/" }), "a name of 1 to 32"],
    [setOf({ ...posted, id: "s" }), "its id must be its set's"],
    [setOf({ ...posted, id: "s/x/y" }), "its id must be its set's"],
    [setOf({ ...posted, id: `s/${"n".repeat(MAX_TRANSFER_NAME + 1)}` }), "a name of 1 to 32"],
    [setOf(posted, { ...posted, amount: 2n }), "s/x: two of the set have this id"],
    [setOf({ ...posted, debit: "client:" }), "no account such as client:"],
    [setOf({ ...posted, credit: "client:a b" }), "no account such as client:a b"],
    [setOf({ ...posted, credit: `client:${"a".repeat(65)}` }), "no account such as"],
    [setOf({ ...posted, credit: "bank" }), "no account such as bank"],
    [setOf({ ...posted, credit: "client:a" }), "between two accounts"],
    [setOf({ ...posted, reason: "whim" as "gift" }), "no reason such as whim"],
    [setOf({ ...posted, amount: 0n }), "its amount must be"],
    [setOf({ ...posted, amount: -1n }), "its amount must be"],
    [setOf({ ...posted, amount: MAX_AMOUNT + 1n }), "its amount must be"],
    [setOf({ ...posted, amount: 1 as unknown as bigint }), "its amount must be"],
    [setOf({ ...pending, credit: "operator:b" }), "must credit an account of the house"],
    [setOf({ ...pending, debit: "promotions" }), "must debit somebody's account"],
    [setOf({ ...pending, expiresAtMs: 0.5 }), "whole milliseconds"],
    [setOf({ ...pending, expiresAtMs: NaN }), "whole milliseconds"],
    [setOf({ ...voided, pendingId: "" }), "it must name a transfer"],
    [setOf({ ...posted, phase: "post", pendingId: "a b/c" }), "it must name a transfer"],
    [setOf({ ...posted, memo: { "a-b": 1 } }), "names must be words, got a-b"],
    [setOf({ ...posted, memo: { a: Infinity } }), "and a is not"],
    [setOf({ ...posted, memo: { a: "\0" } }), "and a is not"],
    [setOf({ ...posted, memo: { a: "\ud800" } }), "and a is not"],
    [setOf({ ...posted, memo: { a: null as unknown as string } }), "and a is not"],
    [setOf({ ...posted, memo: memoOf(MAX_MEMO_BYTES + 1) }), "a memo must be at most 1024 bytes"],
    [
      numbered(MAX_MEMOS_BYTES / MAX_MEMO_BYTES + 1, () => ({ memo: memoOf(MAX_MEMO_BYTES) })),
      "a set's memos must be at most 8192 bytes",
    ],
  ];
  for (const [set, says] of rows) assertStringIncludes(problemOfSet(set) ?? "well formed", says);
  assertEquals(malformedOutcome(setOf()), {
    ...{ setId: "s", status: "malformed", detail: "a set must have 1 to 64 transfers, got 0" },
  });
  assertEquals(malformedOutcome(setOf(posted)), undefined);
});

Deno.test("ledger form: a memo's weight is counted in bytes of UTF-8, not in characters", () => {
  const memo = { note: "é".repeat(MAX_MEMO_BYTES / 2) };
  assertStringIncludes(problemOfSet(setOf({ ...posted, memo })) ?? "", "1024 bytes");
});

Deno.test("ledger form: only clients and operators are people", () => {
  const people = ["client:a", "operator:b"];
  for (const account of people) assertEquals(isPersonal(account), true, account);
  for (const account of ["fees", "holds", "payments:client:a", "clients"]) {
    assertEquals(isPersonal(account), false, account);
  }
});

Deno.test("ledger form: whatever texts there are, the answer is a sentence or nothing", () => {
  const text = fc.oneof(fc.string(), fc.constantFrom("s/x", "client:a", "holds", "h/hold"));
  const transfers = fc.array(fc.record({
    ...{ id: text, debit: text, credit: text, reason: text, pendingId: text, amount: fc.bigInt() },
    ...{ phase: fc.constantFrom("posted", "pending", "post", "void"), expiresAtMs: fc.double() },
    memo: fc.dictionary(text, fc.oneof(text, fc.double())),
  }));
  fc.assert(fc.property(text, transfers, (id, transfers) => {
    const problem = problemOfSet({ id, transfers: transfers as Transfer[] });
    assertEquals(problem === undefined || problem.length > 0, true);
  }));
});
