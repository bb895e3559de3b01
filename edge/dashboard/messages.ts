/**
 * The schemas of what goes between page and server (`api.ts` has the types): what comes is checked with them, and what goes is
 * described by them.
 */

import { z } from "zod";
import { countSchema, peerIdSchema, remarkSchema, timeSchema, tokenSchema } from "../../protocol/fields.ts";
import { SESSION_STATES } from "../../protocol/session.ts";
import type * as api from "./api.ts";
import type { Deed } from "./inventory.ts";
import { MAX_NAME } from "./plain.ts";
import { MAX_ROWS, PEER_COLUMNS, SESSION_COLUMNS } from "./rows.ts";

const MAX_TOKEN = 1024;
const MAX_SEARCH = 128;
const MAX_OFFSET = 10_000_000;

const text = z.string().max(MAX_NAME);
const number = z.number();
const states = ["good", "draining", "failing", "silent", "gone", "blocked"] as const;
const peerRoles = ["client", "exit", "relay", "upstream", "downstream", "central", "gateway"] as const;
const nodeKinds = ["supernode", ...peerRoles] as const;
export const DEED_KINDS = [
  "kill_part",
  "start_part",
  "drain",
  "undrain",
  "revoke",
  "unrevoke",
  "block",
  "unblock",
  "end_session",
  "push",
] as const satisfies Deed["kind"][];

export const loginBody = z.object({ token: z.string().min(1).max(MAX_TOKEN) });
export const loginSchema = z.object({ session: z.string().max(128), expiresAtMs: timeSchema }) satisfies z.ZodType<
  api.Login
>;
export const doneSchema = z.object({ ok: z.literal(true) });

const partDeed = { name: z.string().min(1).max(MAX_NAME) };
const peerDeed = { peerId: peerIdSchema };
const supernodeDeed = { supernodeId: peerIdSchema };
const reason = { reason: remarkSchema.optional() };
export const deedSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.enum(["kill_part", "start_part"]), ...partDeed }),
  z.object({ kind: z.enum(["drain", "undrain"]), ...supernodeDeed }),
  z.object({ kind: z.enum(["revoke", "unrevoke"]), ...peerDeed, ...reason }),
  z.object({ kind: z.enum(["block", "unblock"]), ...supernodeDeed, ...reason }),
  z.object({ kind: z.literal("end_session"), sessionId: tokenSchema }),
  z.object({ kind: z.literal("push"), ...peerDeed, order: z.record(z.string(), z.unknown()) }),
]) satisfies z.ZodType<Deed>;
export const deedAnswerSchema = z.object({ text: z.string() }) satisfies z.ZodType<api.DeedAnswer>;

export const nodeSchema = z.object({
  id: text,
  kind: z.enum(nodeKinds),
  label: text,
  region: text,
  at: text.optional(),
  state: z.enum(states),
  load: number.optional(),
  sessions: countSchema,
  streams: number.optional(),
  rttMs: number.optional(),
  cpuPct: number.optional(),
  part: text.optional(),
}) satisfies z.ZodType<api.NodeView>;
export const groupSchema = z.object({
  id: z.string(),
  role: z.enum(peerRoles),
  region: text,
  at: text.optional(),
  count: countSchema,
  sessions: countSchema,
  load: number.optional(),
  failing: countSchema,
}) satisfies z.ZodType<api.GroupView>;
export const routeSchema = z.object({
  via: z.array(z.string()),
  sessions: countSchema,
  sessionId: text.optional(),
  isMoving: z.boolean(),
}) satisfies z.ZodType<api.RouteView>;
export const partSchema = z.object({
  name: text,
  role: text,
  region: text.optional(),
  peerId: text.optional(),
  isRunning: z.boolean(),
}) satisfies z.ZodType<api.PartView>;
export const blockedSchema = z.object({
  id: text,
  label: text,
  isSupernode: z.boolean(),
}) satisfies z.ZodType<api.BlockedView>;
export const totalsSchema = z.object({
  regions: countSchema,
  supernodes: countSchema,
  exits: countSchema,
  clients: countSchema,
  relays: countSchema,
  sessions: countSchema,
  failing: countSchema,
  blocked: countSchema,
}) satisfies z.ZodType<api.Totals>;
export const viewSchema = z.object({
  title: text,
  kind: z.enum(["up", "supernode", "base"]),
  version: text,
  deeds: z.array(z.enum(DEED_KINDS)),
  regions: z.array(text),
  nodes: z.array(nodeSchema),
  groups: z.array(groupSchema),
  links: z.array(z.object({ from: text, to: text })),
  routes: z.array(routeSchema),
  parts: z.array(partSchema),
  blocked: z.array(blockedSchema),
  totals: totalsSchema,
}) satisfies z.ZodType<api.NetworkView>;

export const pointSchema = z.object({
  atMs: timeSchema,
  rxMbps: number.nullable(),
  txMbps: number.nullable(),
  rttP50Ms: number.nullable(),
  rttP95Ms: number.nullable(),
  sessions: countSchema,
  peers: countSchema,
}) satisfies z.ZodType<api.Point>;
export const lineSchema = z.object({
  id: countSchema,
  atMs: timeSchema,
  tone: z.enum(["good", "warn", "bad", "info"]),
  text: z.string(),
}) satisfies z.ZodType<api.LogLine>;

/** Data of the events, each beside its name. */
export const eventSchemas = {
  view: z.object({ view: viewSchema }),
  history: z.object({ points: z.array(pointSchema) }),
  point: z.object({ point: pointSchema }),
  log: z.object({ lines: z.array(lineSchema) }),
  trouble: z.object({ text: z.string() }),
  bye: z.object({}),
} satisfies { readonly [Type in api.ServerEvent["type"]]: z.ZodType };

/** With a hyphen before it, the largest first. */
function sortedBy(columns: readonly string[]): z.ZodType<string> {
  return z.enum(columns.flatMap((column) => [column, `-${column}`]));
}

const query = {
  search: z.string().max(MAX_SEARCH).optional(),
  limit: z.int().min(1).max(MAX_ROWS).optional(),
  offset: z.int().min(0).max(MAX_OFFSET).optional(),
};
export const peerQuery = z.object({ ...query, sort: sortedBy(PEER_COLUMNS).optional() });
export const sessionQuery = z.object({ ...query, sort: sortedBy(SESSION_COLUMNS).optional() });

export const peerRowSchema = z.object({
  kind: z.enum(["peer", "supernode"]),
  role: z.enum(nodeKinds),
  peerId: text,
  name: text.optional(),
  region: text,
  state: z.enum(states),
  supernodeId: text.optional(),
  supernodeName: text.optional(),
  version: text.optional(),
  connectedAtMs: number.optional(),
  heardAtMs: number.optional(),
  rttMs: number.optional(),
  load: number.optional(),
  txMbps: number.optional(),
  rxMbps: number.optional(),
  sessions: number.optional(),
  isDraining: z.boolean().optional(),
  isFailing: z.boolean().optional(),
  isBlocked: z.boolean(),
  part: text.optional(),
}) satisfies z.ZodType<api.PeerRow>;
export const sessionRowSchema = z.object({
  sessionId: text,
  state: z.enum(SESSION_STATES),
  clientPeerId: text,
  clientName: text.optional(),
  clientSupernodeId: text,
  exitPeerId: text.optional(),
  exitName: text.optional(),
  exitSupernodeId: text.optional(),
  exitRegion: text.optional(),
  carries: z.enum(["streams", "packets"]),
  relay: z.enum(["blind", "terminate"]).optional(),
  isStatic: z.boolean().optional(),
  previousSessionId: text.optional(),
  createdAtMs: number,
  expiresAtMs: number,
}) satisfies z.ZodType<api.SessionRow>;
export const peerPageSchema = z.object({ rows: z.array(peerRowSchema).readonly(), total: countSchema });
export const sessionPageSchema = z.object({ rows: z.array(sessionRowSchema).readonly(), total: countSchema });
