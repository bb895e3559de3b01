import { assertEquals, assertStringIncludes } from "@std/assert";
import fc from "fast-check";
import {
  available,
  type Balance,
  type LedgerAccountId,
  MAX_OPEN_PENDING,
  type StoredTransfer,
  type Transfer,
  type TransferSet,
} from "./ledger.ts";
import { problemOfSet } from "./ledger_form.ts";
import {
  addBalances,
  expirySetId,
  LedgerBatch,
  type LedgerPast,
  neededBy,
  type Pending,
  zeroBalance,
} from "./ledger_machine.ts";

const NOW_MS = 1000;

/** What has happened, as the tests' batches have left it. */
class Past implements LedgerPast {
  readonly balances = new Map<LedgerAccountId, Balance>();
  readonly pendings = new Map<string, Pending>();
  readonly sets = new Map<string, readonly StoredTransfer[]>();
  transfers = 0;

  balance(account: LedgerAccountId): Balance {
    return this.balances.get(account) ?? zeroBalance(account);
  }

  pending(id: string): Pending | undefined {
    return this.pendings.get(id);
  }

  openPending(account: LedgerAccountId): number {
    return this.pendings.values().filter(({ debit, left }) => debit === account && left > 0n).toArray().length;
  }

  set(id: string): readonly StoredTransfer[] | undefined {
    return this.sets.get(id);
  }

  batch(atMs = NOW_MS): LedgerBatch {
    return new LedgerBatch(this, { atMs, nextSequence: this.transfers });
  }

  keep({ balances, pendings, sets, transfers }: LedgerBatch): void {
    for (const [account, balance] of balances) this.balances.set(account, balance);
    for (const [id, pending] of pendings) this.pendings.set(id, pending);
    for (const [id, set] of sets) this.sets.set(id, set);
    this.transfers += transfers.length;
  }

  /** The outcomes' statuses, each set in a batch of its own or all in one. */
  apply(sets: readonly TransferSet[], { inOne = true, atMs = NOW_MS } = {}): string[] {
    const batches = inOne ? [sets] : sets.map((set) => [set]);
    return batches.flatMap((sets) => {
      const batch = this.batch(atMs);
      const outcomes = sets.map((set) => batch.apply(set));
      this.keep(batch);
      return outcomes.map(({ status }) => status);
    });
  }
}

type Named<T> = T extends { readonly id: string } ? Omit<T, "id"> : never;

function setOf(id: string, ...transfers: readonly Named<Transfer>[]): TransferSet {
  return { id, transfers: transfers.map((transfer, at) => ({ ...transfer, id: `${id}/${at}` }) as Transfer) };
}

const topup = (amount: bigint) =>
  ({ phase: "posted", debit: "payments:x", credit: "client:a", amount, reason: "topup" }) as const;
const pay = (amount: bigint) =>
  ({ phase: "posted", debit: "client:a", credit: "operator:b", amount, reason: "traffic" }) as const;
const hold = (amount: bigint, expiresAtMs = NOW_MS + 1) =>
  ({ phase: "pending", debit: "client:a", credit: "holds", amount, reason: "hold", expiresAtMs }) as const;
const take = (pendingId: string, amount: bigint, closes = false) =>
  ({ phase: "post", debit: "client:a", credit: "operator:b", amount, reason: "traffic", pendingId, closes }) as const;
const giveBack = (pendingId: string) =>
  ({ phase: "void", debit: "client:a", credit: "holds", reason: "hold", pendingId }) as const;

Deno.test("ledger machine: a batch sees what its own earlier sets did", () => {
  const past = new Past();
  const sets = [
    setOf("t", topup(10n)),
    setOf("h", hold(8n)),
    setOf("s", pay(3n)),
    setOf("p", take("h/0", 5n)),
    setOf("v", giveBack("h/0")),
    setOf("u", pay(5n)),
    setOf("t", topup(10n)),
  ];
  assertEquals(past.apply(sets), [
    ...["applied", "applied", "insufficient", "applied", "applied", "applied", "exists"],
  ]);
  assertEquals([available(past.balance("client:a")), available(past.balance("operator:b"))], [0n, 10n]);
});

Deno.test("ledger machine: what is refused leaves nothing in the batch, not even of its first transfers", () => {
  const past = new Past();
  past.apply([setOf("t", topup(10n)), setOf("h", hold(4n))]);
  const batch = past.batch();
  const set = setOf("s", take("h/0", 4n), hold(3n), pay(2n), pay(100n));
  const { status, detail } = batch.apply(set);
  assertEquals(status, "insufficient");
  assertStringIncludes(detail ?? "", "s/3");
  assertEquals([batch.transfers, [...batch.sets]], [[], []]);
  past.keep(batch);
  assertEquals([past.balance("client:a").debitsPending, past.pending("h/0")?.left], [4n, 4n]);
  assertEquals(past.openPending("client:a"), 1);
  assertEquals(past.apply([setOf("s", take("h/0", 4n))]), ["applied"]);
});

Deno.test("ledger machine: sequences follow each other, also over what was refused between", () => {
  const past = new Past();
  past.transfers = 7;
  const batch = past.batch();
  for (const set of [setOf("t", topup(1n), topup(1n)), setOf("s", pay(9n)), setOf("u", pay(2n))]) batch.apply(set);
  assertEquals(batch.transfers.map(({ id, sequence, atMs }) => [id, sequence, atMs]), [
    ...[["t/0", 7, NOW_MS], ["t/1", 8, NOW_MS], ["u/0", 9, NOW_MS]],
  ]);
});

Deno.test("ledger machine: what a hold's end makes of it", () => {
  const rows: readonly [name: string, set: TransferSet, atMs: number, status: string, left: bigint][] = [
    ["taken from", setOf("s", take("h/0", 2n)), NOW_MS, "applied", 2n],
    ["taken whole", setOf("s", take("h/0", 4n)), NOW_MS, "applied", 0n],
    ["closed", setOf("s", take("h/0", 1n, true)), NOW_MS, "applied", 0n],
    ["taken too much from", setOf("s", take("h/0", 5n)), NOW_MS, "insufficient", 4n],
    ["given back", setOf("s", giveBack("h/0")), NOW_MS, "applied", 0n],
    ["taken from too late", setOf("s", take("h/0", 1n)), NOW_MS + 1, "not_pending", 4n],
    ["given back too late", setOf("s", giveBack("h/0")), NOW_MS + 1, "not_pending", 4n],
    ["closed twice", setOf("s", take("h/0", 1n, true), take("h/0", 1n)), NOW_MS, "not_pending", 4n],
    ["unknown", setOf("s", take("g/0", 1n)), NOW_MS, "no_pending", 4n],
    ["taken by somebody else", setOf("s", { ...take("h/0", 1n), debit: "client:c" }), NOW_MS, "malformed", 4n],
    ["given back elsewhere", setOf("s", { ...giveBack("h/0"), credit: "fees" }), NOW_MS, "malformed", 4n],
  ];
  for (const [name, set, atMs, status, left] of rows) {
    const past = new Past();
    past.apply([setOf("t", topup(10n)), setOf("h", hold(4n))]);
    assertEquals(past.apply([set], { atMs }), [status], name);
    assertEquals([past.pending("h/0")?.left, past.balance("client:a").debitsPending], [left, left], name);
    assertEquals(past.openPending("client:a"), left > 0n ? 1 : 0, name);
  }
});

Deno.test("ledger machine: a hold that is over already is not taken, and one too many is refused", () => {
  const past = new Past();
  const holds = Array.from({ length: MAX_OPEN_PENDING + 1 }, (_, at) => setOf(`h${at}`, hold(1n)));
  const statuses = past.apply([setOf("t", topup(100n)), setOf("late", hold(1n, NOW_MS)), ...holds]);
  assertEquals(statuses, ["applied", "not_pending", ...Array(MAX_OPEN_PENDING).fill("applied"), "insufficient"]);
});

Deno.test("ledger machine: what has expired is given back once, as a set of its own", () => {
  const past = new Past();
  past.apply([setOf("t", topup(10n)), setOf("h", hold(4n)), setOf("s", take("h/0", 1n))]);
  assertEquals(past.batch().expire("h/0"), false);
  const batch = past.batch(NOW_MS + 1);
  assertEquals([batch.expire("h/0"), batch.expire("h/0"), batch.expire("g/0")], [true, false, false]);
  const [transfer] = batch.transfers;
  assertEquals([transfer?.setId, transfer?.phase, transfer?.amount], [expirySetId("h/0"), "void", 3n]);
  // Nobody can send it: an id has no spaces.
  assertEquals(problemOfSet({ id: expirySetId("h/0"), transfers: [transfer as Transfer] }) === undefined, false);
  past.keep(batch);
  assertEquals([available(past.balance("client:a")), past.balance("holds").creditsPending], [9n, 0n]);
});

Deno.test("ledger machine: what a store must know of the sets", () => {
  const needed = neededBy([setOf("t", topup(1n)), setOf("s", take("h/0", 1n), giveBack("g/0"))]);
  assertEquals([...needed.setIds], ["t", "s"]);
  assertEquals([...needed.pendingIds], ["h/0", "g/0"]);
  assertEquals([...needed.accounts].sort(), ["client:a", "holds", "operator:b", "payments:x"]);
  assertEquals([...needed.debited].sort(), ["client:a", "payments:x"]);
});

interface Deal {
  readonly id: number;
  readonly kinds: readonly { readonly kind: number; readonly amount: bigint; readonly of: number }[];
}

const deals: fc.Arbitrary<Deal[]> = fc.array(fc.record({
  id: fc.nat(12),
  kinds: fc.array(fc.record({ kind: fc.nat(5), amount: fc.bigInt(1n, 9n), of: fc.nat(12) }), {
    minLength: 1,
    maxLength: 4,
  }),
}));

function setOfDeal({ id, kinds }: Deal): TransferSet {
  return setOf(
    `${id}`,
    ...kinds.map(({ kind, amount, of }) => {
      const pendingId = `${of}/0`;
      return [
        topup(amount),
        pay(amount),
        hold(amount),
        take(pendingId, amount),
        take(pendingId, amount, true),
        giveBack(pendingId),
      ][kind]!;
    }),
  );
}

Deno.test("ledger machine: in one batch or in one for each, the same comes of it, and it is sound", () => {
  fc.assert(fc.property(deals, (deals) => {
    const [one, other] = [new Past(), new Past()];
    const sets = deals.map(setOfDeal);
    assertEquals(one.apply(sets), other.apply(sets, { inOne: false }));
    assertEquals([one.balances, one.sets], [other.balances, other.sets]);
    const sum = [...one.balances.values()].reduce(addBalances, zeroBalance("all"));
    assertEquals([sum.debitsPosted, sum.debitsPending], [sum.creditsPosted, sum.creditsPending]);
    for (const person of ["client:a", "operator:b"]) {
      assertEquals(available(one.balance(person)) >= 0n, true, person);
    }
    const held = one.pendings.values().reduce((sum, { left }) => sum + left, 0n);
    assertEquals([one.balance("client:a").debitsPending, one.balance("holds").creditsPending], [held, held]);
  }));
});
