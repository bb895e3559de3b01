/**
 * The messages between an orchestrator and a node that shares its bandwidth: JSON texts of at most 64 KiB, told apart by
 * `type`, on the WebSocket whose binary messages carry the mux. docs/node-protocol.md says what they are for, one by one.
 *
 *   orchestrator                               node
 *   challenge ─────────────────────────────→           first of all
 *             ←─────────────────────────────  hello    within 24 KiB, since nobody has been identified yet
 *   welcome | refused ─────────────────────→
 *   ping ──────────────────────────────────→           every heartbeat
 *             ←─────────────────────────────  pong (status)
 *   challenge ─────────────────────────────→           now and then
 *             ←─────────────────────────────  answer
 *             ←─────────────────────────────  pause | resume | drain | update | earnings.request
 *   earnings | notice | drain | refused ───→           `refused` ends the tunnel, whenever it comes
 *
 * Unknown fields are dropped and unknown types passed over, so that either side may be newer than the other.
 * Not here: signatures (`node_auth.ts`), who may say what when (`net/sharing/node_tunnels.ts`).
 */

import { z } from "zod";
import {
  countSchema,
  ipSchema,
  keySchema,
  millisecondsSchema,
  nameSchema,
  peerIdSchema,
  remarkSchema,
  shareSchema,
  signatureSchema,
  timeSchema,
  tokenSchema,
} from "../fields.ts";
import { consentSchema, deviceInfoSchema, nodeStandings } from "./records.ts";

/** Where an orchestrator answers nodes. */
export const NODE_PATH = "/v1/node";
export const NODE_PROTOCOL_VERSION = 1;
export const MAX_NODE_MESSAGE_BYTES = 64 * 1024;
/** The longest device info with an attestation, each character escaped, is under that. */
export const MAX_HELLO_BYTES = 24 * 1024;
export const MAX_NODE_TUNNELS = 4;

/** Micros as text: JSON's numbers would round them. */
export const microsTextSchema = z.string().regex(/^-?(?:0|[1-9]\d{0,29})$/);

/** Where a node says that it is; whether that is believed is the orchestrator's affair. */
export const nodeClaimsSchema = z.object({
  country: z.string().regex(/^[a-z]{2}$/).optional(),
  region: nameSchema.optional(),
  city: nameSchema.optional(),
});
export type NodeClaims = z.infer<typeof nodeClaimsSchema>;

/** What a node's own policy lets out, so that it is not asked for the rest. */
export const egressSummarySchema = z.object({
  /** `443` or `8000-8999`, at most 32 of them. */
  ports: z.array(z.string().regex(/^\d{1,5}(?:-\d{1,5})?$/)).max(32),
  datagrams: z.boolean(),
  ipv6: z.boolean(),
});
export type EgressSummary = z.infer<typeof egressSummarySchema>;

/** First of all, to be answered with `hello`; later on, with `answer`. */
export const challengeSchema = z.object({
  type: z.literal("challenge"),
  version: z.int().min(1).max(255),
  orchestratorId: peerIdSchema,
  nonce: tokenSchema,
  timeMs: timeSchema,
});
export type Challenge = z.infer<typeof challengeSchema>;

export const helloSchema = z.object({
  type: z.literal("hello"),
  version: z.int().min(1).max(255),
  nodeId: peerIdSchema,
  publicKey: keySchema,
  /** The node's own, for the orchestrator to sign. */
  nonce: tokenSchema,
  /** Made anew whenever the node's program starts: tunnels of an earlier run are no more. */
  runId: tokenSchema,
  tunnel: z.object({
    index: z.int().min(0).max(MAX_NODE_TUNNELS - 1),
    count: z.int().min(1).max(MAX_NODE_TUNNELS),
  }),
  /** Only needed the first time: whose node this is. */
  code: z.string().regex(/^[A-Za-z0-9_-]{4,128}$/).optional(),
  consent: consentSchema,
  info: deviceInfoSchema,
  claims: nodeClaimsSchema.optional(),
  egress: egressSummarySchema,
  /** It knows the commands of docs/tunnel-protocol.md beyond smux. Left out: it does not. */
  muxExtensions: z.boolean().optional(),
  signature: signatureSchema,
});
export type Hello = z.infer<typeof helloSchema>;

/** What is paid for the bytes of this node, by its clients' tier. */
export const nodePriceSchema = z.object({
  tier: nameSchema,
  microsPerGib: microsTextSchema,
  /** Of that, in ten-thousandths, what the house keeps. */
  feeBasisPoints: z.int().min(0).max(10_000),
});
export type NodePrice = z.infer<typeof nodePriceSchema>;

export const standingNoteSchema = z.object({ standing: z.enum(nodeStandings), reason: remarkSchema.optional() });
export type StandingNote = z.infer<typeof standingNoteSchema>;

/** A heartbeat may be so short in tests, and so long where a radio has to be woken for it. */
export const heartbeatSchema = z.int().min(100).max(300_000);

export const welcomeSchema = z.object({
  type: z.literal("welcome"),
  /** Of the node's session, which lasts from its first tunnel to the end of its last. */
  sessionId: tokenSchema,
  virtualAddress: ipSchema,
  /** Where this tunnel comes from, as the orchestrator sees it. */
  address: ipSchema,
  region: nameSchema,
  country: z.string().regex(/^[a-z]{2}$/).optional(),
  heartbeatMs: heartbeatSchema,
  limits: z.object({ maxTunnels: z.int().min(1).max(MAX_NODE_TUNNELS), maxStreams: countSchema }),
  prices: z.array(nodePriceSchema).max(32),
  standing: standingNoteSchema,
  timeMs: timeSchema,
  publicKey: keySchema,
  /** The orchestrator's over the hello's nonce: it is the one that was meant. */
  signature: signatureSchema,
});
export type Welcome = z.infer<typeof welcomeSchema>;

/** Why a tunnel is not taken, or is ended. */
export const NODE_REFUSALS = [
  "malformed", // not a message, or one that is not as it should be
  "too_large",
  "unexpected", // not now, or not from a node
  "flooded", // too many messages
  "timeout", // no hello, or no sign of life
  "rate_limited",
  "busy",
  "unavailable", // it cannot be checked at present
  "draining", // the orchestrator is going down, or does not take this node's tunnels any more
  "shutdown",
  "too_many_tunnels",
  "replaced", // a newer tunnel of the same node has the place
  "liveness", // no answer to a challenge, or a wrong one
  "unsupported_version",
  "wrong_node_id", // the id is not that of the key
  "bad_signature",
  "address_taken", // another node has the virtual address
  "unknown_node", // an enrolment code is needed
  "bad_code",
  "consent_needed",
  "suspended",
  "banned",
] as const;
export const nodeRefusalSchema = z.enum(NODE_REFUSALS);
export type NodeRefusal = z.infer<typeof nodeRefusalSchema>;

/** After these a node does not come back by itself: something at the node has to be changed first. */
export const FINAL_NODE_REFUSALS: ReadonlySet<NodeRefusal> = new Set<NodeRefusal>([
  "unsupported_version",
  "wrong_node_id",
  "bad_signature",
  "address_taken",
  "unknown_node",
  "bad_code",
  "consent_needed",
]);

export const refusedSchema = z.object({
  type: z.literal("refused"),
  code: nodeRefusalSchema,
  reason: remarkSchema,
  retryAfterMs: millisecondsSchema.optional(),
});
export type Refused = z.infer<typeof refusedSchema>;

export const pauseReasons = ["owner", "schedule", "daily_cap", "monthly_cap", "battery", "metered", "other"] as const;
export const pauseReasonSchema = z.enum(pauseReasons);
export type PauseReason = z.infer<typeof pauseReasonSchema>;

/** How a node is doing, as it says. Nobody is paid by it. */
export const nodeStatusSchema = z.object({
  streams: countSchema,
  /** Since its program started, over all tunnels: towards targets, and from them. */
  upBytes: countSchema,
  downBytes: countSchema,
  load: shareSchema.optional(),
  battery: z.object({ percent: z.number().min(0).max(100), isCharging: z.boolean() }).optional(),
  network: deviceInfoSchema.shape.network,
  pausedFor: pauseReasonSchema.optional(),
  /** Until the nearer of its caps. */
  capLeftBytes: countSchema.optional(),
});
export type NodeStatus = z.infer<typeof nodeStatusSchema>;

export const pingSchema = z.object({ type: z.literal("ping"), sequence: countSchema });
export const pongSchema = z.object({
  type: z.literal("pong"),
  sequence: countSchema,
  /** A node says it; an orchestrator has nothing to say. */
  status: nodeStatusSchema.optional(),
});
export type Ping = z.infer<typeof pingSchema>;
export type Pong = z.infer<typeof pongSchema>;

/** To a later challenge. */
export const answerSchema = z.object({ type: z.literal("answer"), nonce: tokenSchema, signature: signatureSchema });
export type Answer = z.infer<typeof answerSchema>;

/** No new streams, please; those that are open go on. Holds for all tunnels of the node, as do `resume` and `update`. */
export const pauseSchema = z.object({
  type: z.literal("pause"),
  reason: pauseReasonSchema,
  untilMs: timeSchema.optional(),
});
export const resumeSchema = z.object({ type: z.literal("resume") });
/** The tunnel ends with its last stream. */
export const drainSchema = z.object({
  type: z.literal("drain"),
  reason: remarkSchema.optional(),
  /** Said by an orchestrator: when to try again. */
  retryAfterMs: millisecondsSchema.optional(),
});
export const updateSchema = z.object({
  type: z.literal("update"),
  info: deviceInfoSchema.optional(),
  claims: nodeClaimsSchema.optional(),
  egress: egressSummarySchema.optional(),
});
export type NodeUpdate = Omit<z.infer<typeof updateSchema>, "type">;

export const earningsRequestSchema = z.object({ type: z.literal("earnings.request") });

/** From the ledger, at that time: what the owner has, and what this node has brought. */
export const earningsFiguresSchema = z.object({
  asOfMs: timeSchema,
  /** The owner's account: what can be paid out, and what is being paid out. */
  balanceMicros: microsTextSchema,
  pendingMicros: microsTextSchema,
  /** This node's own, without the house's fee. */
  earnedMicros: microsTextSchema,
  earnedTodayMicros: microsTextSchema.optional(),
  paidBytes: countSchema.optional(),
});
export type EarningsFigures = z.infer<typeof earningsFiguresSchema>;
/** Without figures when the ledger cannot be asked at present. */
export const earningsSchema = z.object({ type: z.literal("earnings"), figures: earningsFiguresSchema.optional() });

/** For the node's owner. */
export const noticeSchema = z.object({
  type: z.literal("notice"),
  text: remarkSchema,
  standing: standingNoteSchema.optional(),
});

export const fromNodeSchema = z.discriminatedUnion("type", [
  helloSchema,
  pingSchema,
  pongSchema,
  answerSchema,
  pauseSchema,
  resumeSchema,
  drainSchema,
  updateSchema,
  earningsRequestSchema,
]);
export type FromNode = z.infer<typeof fromNodeSchema>;

export const fromOrchestratorSchema = z.discriminatedUnion("type", [
  challengeSchema,
  welcomeSchema,
  refusedSchema,
  pingSchema,
  pongSchema,
  drainSchema,
  earningsSchema,
  noticeSchema,
]);
export type FromOrchestrator = z.infer<typeof fromOrchestratorSchema>;

const FROM_NODE_TYPES = typesOf(fromNodeSchema);
const FROM_ORCHESTRATOR_TYPES = typesOf(fromOrchestratorSchema);

export type ParsedNodeMessage<Message> =
  | { readonly ok: true; readonly message: Message }
  /** `unknown_type` is to be passed over. */
  | { readonly ok: false; readonly reason: "malformed" | "unknown_type" };

/** Reads a text that claims to be a node's. Never throws. Its length is the carrier's affair. */
export function parseFromNode(text: string): ParsedNodeMessage<FromNode> {
  return parse(text, fromNodeSchema, FROM_NODE_TYPES);
}

/** Reads a text that claims to be an orchestrator's. Never throws. */
export function parseFromOrchestrator(text: string): ParsedNodeMessage<FromOrchestrator> {
  return parse(text, fromOrchestratorSchema, FROM_ORCHESTRATOR_TYPES);
}

export function encodeNodeMessage(message: FromNode | FromOrchestrator): string {
  return JSON.stringify(message);
}

function parse<Message>(
  text: string,
  schema: z.ZodType<Message>,
  types: ReadonlySet<string>,
): ParsedNodeMessage<Message> {
  const value = parseJson(text);
  const type = typeof value === "object" && value !== null ? (value as Record<string, unknown>)["type"] : undefined;
  if (typeof type !== "string") return { ok: false, reason: "malformed" };
  if (!types.has(type)) return { ok: false, reason: "unknown_type" };
  const parsed = schema.safeParse(value);
  return parsed.success ? { ok: true, message: parsed.data } : { ok: false, reason: "malformed" };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function typesOf(
  schema: { readonly options: readonly { readonly shape: { readonly type: { readonly value: string } } }[] },
) {
  return new Set(schema.options.map(({ shape }) => shape.type.value));
}
