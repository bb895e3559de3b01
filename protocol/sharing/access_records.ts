/**
 * What an orchestrator keeps about who may do what: API keys, the families of refresh tokens, and codes that are used
 * once. Of no secret more than its SHA-256 is kept: each has at least 80 random bits, so a slow hash would add nothing.
 */

import { z } from "zod";
import { nameSchema, peerIdSchema, remarkSchema, timeSchema } from "../fields.ts";
import { userIdSchema, userRoles } from "./records.ts";

/** Names a family, an API key or a code; no secret. Base32. */
export const accessIdSchema = z.string().regex(/^[a-z2-7]{1,26}$/);

/** SHA-256 in base64url. */
export const secretHashSchema = z.string().regex(/^[A-Za-z0-9_-]{43}$/);

export const apiKeySchema = z.object({
  keyId: accessIdSchema,
  userId: userIdSchema,
  /** For people. */
  label: remarkSchema,
  secretHash: secretHashSchema,
  /** Never more than its user has at the time of use. */
  roles: z.array(z.enum(userRoles)).min(1).max(userRoles.length),
  createdAtMs: timeSchema,
  expiresAtMs: timeSchema.optional(),
  /** To the hour. */
  lastUsedAtMs: timeSchema.optional(),
});
export type ApiKey = z.infer<typeof apiKeySchema>;

/**
 * All refresh tokens that came out of one login: one counts, the one before it for a few seconds more. Nothing of the
 * tokens is kept: each is made from its family and generation with a key that is not in the store.
 */
export const refreshFamilySchema = z.object({
  familyId: accessIdSchema,
  userId: userIdSchema,
  /** Which token of the family counts: goes up with each use. */
  generation: z.int().min(0),
  rotatedAtMs: timeSchema,
  createdAtMs: timeSchema,
  expiresAtMs: timeSchema,
  /** How it began, for people: "telegram", "secret". */
  method: nameSchema,
  /** Why it counts no more, while it is still remembered. */
  revoked: z.object({ atMs: timeSchema, reason: remarkSchema }).optional(),
});
export type RefreshFamily = z.infer<typeof refreshFamilySchema>;

export const enrolmentKinds = ["account", "node"] as const;
export type EnrolmentKind = (typeof enrolmentKinds)[number];

/** A code that lets somebody open an account, or an operator add a node. Used once. */
export const enrolmentSchema = z.object({
  /** The upper 128 bits of the code's SHA-256: who has the code finds the record, and not the other way round. */
  codeId: accessIdSchema,
  kind: z.enum(enrolmentKinds),
  /** Whose node it will be; of an invitation: who invites, unless the orchestrator itself does. */
  ownerId: userIdSchema.optional(),
  label: remarkSchema,
  /** Of an invitation: what whoever takes it may do. */
  roles: z.array(z.enum(userRoles)).max(userRoles.length).optional(),
  createdAtMs: timeSchema,
  expiresAtMs: timeSchema,
  used: z.object({ atMs: timeSchema, by: z.union([userIdSchema, peerIdSchema]) }).optional(),
});
export type Enrolment = z.infer<typeof enrolmentSchema>;
