/**
 * The ledger's records as stores keep them and read them back; where each lies on Deno KV is in
 * `kv/sharing/ledger_keys.ts`. They leave out what the key says, or what is the same for a whole set: there are very many.
 *
 * Those that every set writes are JSON as bytes, with money as decimal digits: that takes a fifth of the time and half the
 * room of V8's own serialisation, and their weight is known before a commit.
 */

import { z } from "zod";
import { countSchema, timeSchema } from "../fields.ts";
import {
  type Balance,
  MAX_OPEN_PENDING,
  MAX_SET_TRANSFERS,
  type StoredTransfer,
  transferId,
  transferReasons,
} from "./ledger.ts";
import type { Pending } from "./ledger_machine.ts";

const accountSchema = z.string().max(128);
const idSchema = z.string().max(256);
const sumSchema = z.string().regex(/^-?\d{1,32}$/).transform(BigInt);
const amountSchema = z.string().regex(/^[1-9]\d{0,31}$/).transform(BigInt);

/** What is kept as bytes of JSON. */
function inJson<S extends z.ZodType>(schema: S) {
  return z.instanceof(Uint8Array).transform((bytes, context): unknown => {
    try {
      return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    } catch {
      context.addIssue({ code: "custom", message: "must be JSON" });
      return z.NEVER;
    }
  }).pipe(schema);
}

function jsonBytes(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

/** In order, because names would take a third of the room: name in the set, phase, debit, credit, amount, reason. */
const setRecordTransferSchema = z.tuple([
  z.string().max(64),
  z.enum(["posted", "pending", "post", "void"]),
  accountSchema,
  accountSchema,
  amountSchema,
  z.enum(transferReasons),
  z.object({
    memo: z.record(z.string(), z.union([z.string(), z.number()])).optional(),
    pendingId: idSchema.optional(),
    expiresAtMs: timeSchema.optional(),
    closes: z.boolean().optional(),
  }),
]);

/** A set that was applied: time, sequence of its first transfer, transfers. */
export const setRecordSchema = inJson(z.tuple([
  timeSchema,
  countSchema,
  z.array(setRecordTransferSchema).min(1).max(MAX_SET_TRANSFERS),
]));
export type SetRecord = z.infer<typeof setRecordSchema>;

export function encodeSet(transfers: readonly StoredTransfer[]): Uint8Array {
  const { atMs, sequence } = transfers[0]!;
  return jsonBytes([
    atMs,
    sequence,
    transfers.map(({ id, setId, phase, debit, credit, amount, reason, memo, pendingId, expiresAtMs, closes }) => {
      // JSON leaves out what is undefined.
      const rest = { memo, pendingId, expiresAtMs, closes };
      return [id.slice(setId.length + 1), phase, debit, credit, amount.toString(), reason, rest];
    }),
  ]);
}

export function transfersOf(setId: string, [atMs, sequence, transfers]: SetRecord): StoredTransfer[] {
  return transfers.map(([name, phase, debit, credit, amount, reason, rest], at) => ({
    ...{ id: transferId(setId, name), setId, phase, debit, credit, amount, reason },
    ...rest,
    ...{ atMs, sequence: sequence + at },
  }));
}

/** So many sets an account's own record names; then they move to an entry. */
export const MAX_RECENT_SETS = 16;
/** So many are in one entry, which is one value. */
export const MAX_ENTRY_SETS = 400;

/** The sequence of a set's first transfer, and its id. */
const setPlaceSchema = z.tuple([countSchema, idSchema]);
export type SetPlace = z.infer<typeof setPlaceSchema>;

/** Sets that touch an account, in order. */
export const entrySchema = inJson(z.array(setPlaceSchema).min(1).max(MAX_ENTRY_SETS));

export function encodeEntry(places: readonly SetPlace[]): Uint8Array {
  return jsonBytes(places);
}

/** In order: id, credit, reason, sequence, time of expiry, what is left. Its debit account is whose record it is in. */
const pendingSchema = z.tuple([
  idSchema,
  accountSchema,
  z.enum(transferReasons),
  countSchema,
  timeSchema,
  amountSchema,
]);

const accountTupleSchema = z.tuple([
  accountSchema,
  z.tuple([sumSchema, sumSchema, sumSchema, sumSchema]),
  z.array(pendingSchema).max(MAX_OPEN_PENDING),
  z.array(setPlaceSchema).max(MAX_RECENT_SETS),
]);

/** All that changes of an account. */
export interface AccountRecord {
  readonly balance: Balance;
  /** Pending transfers that debit it. */
  readonly open: readonly Pending[];
  /** The sets of late, after those of its entries. */
  readonly recent: readonly SetPlace[];
}

export const accountRecordSchema = inJson(accountTupleSchema).transform(
  ([account, [debitsPosted, creditsPosted, debitsPending, creditsPending], open, recent]): AccountRecord => ({
    balance: { account, debitsPosted, creditsPosted, debitsPending, creditsPending },
    open: open.map(([id, credit, reason, sequence, expiresAtMs, left]) => (
      { id, debit: account, credit, reason, sequence, expiresAtMs, left }
    )),
    recent,
  }),
);

export function encodeAccount({ balance, open, recent }: AccountRecord): Uint8Array {
  const { account, debitsPosted, creditsPosted, debitsPending, creditsPending } = balance;
  return jsonBytes([
    account,
    [`${debitsPosted}`, `${creditsPosted}`, `${debitsPending}`, `${creditsPending}`],
    open.map((
      { id, credit, reason, sequence, expiresAtMs, left },
    ) => [id, credit, reason, sequence, expiresAtMs, left.toString()]),
    recent,
  ]);
}

/** How far a ledger has come: the next transfer's sequence, and the last one's time. */
export const headSchema = z.object({ sequence: countSchema, atMs: timeSchema });
export type Head = z.infer<typeof headSchema>;

export const sequenceSchema = countSchema;
