/**
 * What a peer server tells its owner alone, in JSON: other peers, and what was sent to them. `docs/peer-server.md`.
 *
 *   GET /api/peers            those that are known of
 *   POST /api/peers/ID/open   a URL of this machine that leads to one of them
 *   GET /api/transfers        what was sent of late, the newest first
 *   POST /api/streams         a port of its own for one file
 *
 * Each `transfer` event carries one of the last.
 */

import { z } from "zod";
import { countSchema, millisecondsSchema, nameSchema, peerIdSchema, timeSchema } from "../fields.ts";
import { peerLabelSchema } from "../peers/card.ts";
import { MAX_PATH_BYTES } from "./listing.ts";

const waySchema = z.enum(["direct", "relayed"]);

export const otherPeerSchema = z.object({
  peerId: peerIdSchema,
  label: peerLabelSchema,
  region: nameSchema.optional(),
  capabilities: z.array(nameSchema).max(16),
  /** Whether a tracker has heard of it lately, or there is a connection. */
  isOnline: z.boolean(),
  seenAtMs: timeSchema.optional(),
  /** While there is a connection: how it goes. */
  way: waySchema.optional(),
  /** The address, or the relay's URL. */
  via: z.string().max(512).optional(),
  rttMs: millisecondsSchema.optional(),
});
export type OtherPeer = z.infer<typeof otherPeerSchema>;

export const otherPeersSchema = z.object({ peers: z.array(otherPeerSchema).max(1000) });

export const bridgeSchema = z.object({
  /** On this machine. */
  url: z.string().max(64).regex(/^http:\/\/127(?:\.\d{1,3}){3}:\d{1,5}\/$/),
  way: waySchema,
});
export type Bridge = z.infer<typeof bridgeSchema>;

export const sentSchema = z.object({
  peerId: peerIdSchema,
  way: waySchema,
  path: z.string().max(MAX_PATH_BYTES),
  /** How many bytes of it went out. */
  bytes: countSchema,
  size: countSchema,
  /** Whether all that was asked for was sent. */
  isWhole: z.boolean(),
  atMs: timeSchema,
});
export type Sent = z.infer<typeof sentSchema>;

export const transfersSchema = z.object({ transfers: z.array(sentSchema).max(100) });

export const streamWantedSchema = z.object({ path: z.string().min(1).max(MAX_PATH_BYTES) });
export type StreamWanted = z.infer<typeof streamWantedSchema>;
