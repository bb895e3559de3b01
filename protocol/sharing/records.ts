/**
 * What an orchestrator keeps about people and nodes beside money: the records of its tables (`kv/sharing/table.ts`), each
 * with its schema. What they travel as over HTTP is in `edge/orchestrator/api.ts`.
 */

import { z } from "zod";
import { countSchema, ipSchema, nameSchema, peerIdSchema, remarkSchema, shareSchema, timeSchema } from "../fields.ts";

/** 12 characters of base32: short enough to be typed in front of a password, and without a hyphen in it. */
export const userIdSchema = z.string().regex(/^[a-z2-7]{12}$/);

export const userRoles = ["user", "operator", "admin"] as const;
export type UserRole = (typeof userRoles)[number];

/** What one account may do at once; what is left out is the orchestrator's default. */
export const userLimitsSchema = z.object({
  maxConnections: countSchema.optional(),
  maxConnectionsPerSecond: countSchema.optional(),
  maxBytesPerSecond: countSchema.optional(),
  maxBytesPerDay: countSchema.optional(),
  maxTargetsPerMinute: countSchema.optional(),
});
export type UserLimits = z.infer<typeof userLimitsSchema>;

export const userSchema = z.object({
  userId: userIdSchema,
  name: remarkSchema,
  roles: z.array(z.enum(userRoles)),
  status: z.enum(["active", "suspended"]),
  /** For people: why it is suspended. */
  reason: remarkSchema.optional(),
  /** Names a column of the price list. */
  tier: nameSchema,
  telegramId: z.string().regex(/^\d{1,19}$/).optional(),
  /** SHA-256 in base64url of the secret that the account's owner logs in with, of 128 bits as well. */
  secretHash: z.string().max(64).optional(),
  /** SHA-256 of the proxy secret in base64url; the secret itself has 128 bits, so it needs no slow hash. */
  proxySecretHash: z.string().max(64).optional(),
  /** When given, proxy credentials count only from these addresses and networks. */
  proxyAllowed: z.array(z.string().max(49)).max(32).optional(),
  limits: userLimitsSchema.optional(),
  /** No payout before this time, and why. */
  payoutHold: z.object({ untilMs: timeSchema, reason: remarkSchema }).optional(),
  createdAtMs: timeSchema,
});
export type User = z.infer<typeof userSchema>;

/** What a node says of the machine it runs on. Claims: they lower trust at most, never raise it. */
export const deviceInfoSchema = z.object({
  kind: z.enum(["linux", "android", "other"]),
  /** Name and version of the program. */
  agent: remarkSchema,
  model: remarkSchema.optional(),
  os: remarkSchema.optional(),
  cores: z.int().min(1).max(4096).optional(),
  memoryMib: countSchema.optional(),
  network: z.enum(["wifi", "ethernet", "mobile", "unknown"]).optional(),
  battery: z.object({ percent: z.number().min(0).max(100), isCharging: z.boolean() }).optional(),
  /** What the platform attests, for `attestation` to look at; at most 8 KiB. */
  attestation: z.string().max(8192).optional(),
});
export type DeviceInfo = z.infer<typeof deviceInfoSchema>;

/** Newcomers are on probation; the rest is what the quality watchdog and admins say. */
export const nodeStandings = ["probation", "good", "flagged", "quarantined", "banned"] as const;
export type NodeStanding = (typeof nodeStandings)[number];

/** The owner's word that they know what is shared. `signature` is the node's, over version, text's hash and time. */
export const consentSchema = z.object({
  version: nameSchema,
  textHash: z.string().max(64),
  atMs: timeSchema,
  signature: z.string().max(128),
});
export type Consent = z.infer<typeof consentSchema>;

export const deviceSchema = z.object({
  nodeId: peerIdSchema,
  ownerId: userIdSchema,
  label: remarkSchema,
  /** Where its traffic comes out, as last seen or claimed. */
  country: z.string().regex(/^[a-z]{2}$/).optional(),
  region: nameSchema,
  city: nameSchema.optional(),
  info: deviceInfoSchema,
  consent: consentSchema,
  standing: z.enum(nodeStandings),
  /** Why, the newest first. */
  reasons: z.array(z.object({ atMs: timeSchema, standing: z.enum(nodeStandings), reason: remarkSchema })).max(16),
  /** When it was caught lying, of late. */
  liesAtMs: z.array(timeSchema).max(16).optional(),
  /** What the owner says against it, and what became of that. */
  appeal: z.object({ atMs: timeSchema, text: remarkSchema, answer: remarkSchema.optional() }).optional(),
  score: shareSchema,
  exitAddress: ipSchema.optional(),
  /** Of the IP address: 0 clean, 1 bad. */
  ipRisk: shareSchema.optional(),
  createdAtMs: timeSchema,
  lastSeenAtMs: timeSchema,
});
export type Device = z.infer<typeof deviceSchema>;

/** A node's tunnels from the first to the last, or a client's use of a node. */
export const sharingSessionSchema = z.object({
  sessionId: z.string().max(64),
  kind: z.enum(["node", "client"]),
  userId: userIdSchema,
  nodeId: peerIdSchema,
  virtualAddress: ipSchema,
  startedAtMs: timeSchema,
  endedAtMs: timeSchema.optional(),
  /** Why it ended. */
  end: remarkSchema.optional(),
  upBytes: countSchema,
  downBytes: countSchema,
  streams: countSchema,
});
export type SharingSession = z.infer<typeof sharingSessionSchema>;
