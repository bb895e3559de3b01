/**
 * What base tells its administrators beside what all such APIs have in common (`roles/admin_api/schema.ts`).
 */

import { z } from "zod";
import { relayRecordSchema, supernodeRecordSchema } from "../../protocol/directory.ts";
import { countSchema, peerIdSchema, versionSchema } from "../../protocol/fields.ts";
import { pageAnswer } from "../admin_api/schema.ts";

export const baseStatusAnswer = z.object({
  role: z.literal("base"),
  version: versionSchema,
  upMs: countSchema,
  supernodes: countSchema,
  relays: countSchema,
  blocks: countSchema,
});
export type BaseStatusAnswer = z.infer<typeof baseStatusAnswer>;

export const supernodeView = supernodeRecordSchema.pick({
  supernodeId: true,
  region: true,
  url: true,
  maxStreams: true,
  version: true,
  status: true,
  registeredAtMs: true,
  heartbeatAtMs: true,
});
export type SupernodeView = z.infer<typeof supernodeView>;

export const relayView = relayRecordSchema.pick({
  relayId: true,
  kind: true,
  region: true,
  url: true,
  load: true,
  bandwidthMbps: true,
  version: true,
  registeredAtMs: true,
}).extend({
  /** Those that can be reached through it. */
  gateways: z.array(peerIdSchema),
});
export type RelayView = z.infer<typeof relayView>;

export const supernodesAnswer = z.object({ ...pageAnswer, supernodes: z.array(supernodeView) });
export const relaysAnswer = z.object({ ...pageAnswer, relays: z.array(relayView) });
