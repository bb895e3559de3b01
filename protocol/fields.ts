/**
 * The leaves that messages and records are made of: names, keys, times, addresses. Each has one text per value and a
 * bound. They only check and never transform, so that a parsed message is what was sent, can be stored and sent on as
 * it is, and can be described in OpenAPI.
 */

import { z } from "zod";

/** Names of regions and the like: lower-case letters, digits and hyphens, as in certificates. */
export const nameSchema = z.string().regex(
  /^[a-z0-9][a-z0-9-]{0,31}$/,
  "lower-case letters, digits and hyphens, 32 at most",
);

export const peerIdSchema = z.string().regex(/^[a-z2-7]{25}[aeimquy4]$/);

/** 32 bytes in base64 with padding, as `wg` writes keys. The last character carries four bits. */
export const keySchema = z.string().regex(/^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/);

/** 64 bytes in base64 with padding. The last character carries two bits. */
export const signatureSchema = z.string().regex(/^[A-Za-z0-9+/]{85}[AQgw]==$/);

/** 16 random bytes in base64url: nonces, session ids, command ids, request ids. The last character carries two bits. */
export const tokenSchema = z.string().regex(/^[A-Za-z0-9_-]{21}[AQgw]$/);

/** A secret that its maker alone reads. */
export const secretSchema = z.string().regex(/^[A-Za-z0-9_-]{16,256}$/);

/** One line, at most as long as any certificate. `protocol/certificate.ts` reads it. */
export const certificateSchema = z.string().regex(/^culvert-cert-v1\.[A-Za-z0-9_-]{1,1920}\.[A-Za-z0-9_-]{86}$/);

/** Milliseconds since 1970. */
export const timeSchema = z.int().min(0).max(8.64e15);

export const countSchema = z.int().min(0);

/** The place of a command among those of one supernode to one peer. Far more than there will be, far less than 2^53. */
export const sequenceSchema = z.int().min(0).max(2 ** 48);

/** A share, or how well something is, from 0 to 1. */
export const shareSchema = z.number().min(0).max(1);

export const millisecondsSchema = z.number().min(0).max(86_400_000);

export const megabitsSchema = z.number().min(0).max(10_000_000);

/** Where a supernode or relay is reached: ASCII, and no user or password in it. `URL` reads it. */
export const urlSchema = z.string().max(512).regex(/^(?:https?|wss?):\/\/[A-Za-z0-9.:[\]_-]+(?:[/?#][!-~]*)?$/);

/** An IP address as text, without a zone; `protocol/ip.ts` reads it. */
export const ipSchema = z.string().max(45).regex(/^[0-9A-Fa-f:.]{2,45}$/);

/** An address, or a network with its length; `protocol/ip.ts` reads it. */
export const cidrSchema = z.string().max(49).regex(/^[0-9A-Fa-f:.]{2,45}(?:\/\d{1,3})?$/);

/** A host or address, and a UDP port: `192.0.2.1:51820`, `[2001:db8::1]:51820`, `sn.example:51820`. */
export const endpointSchema = z.string().max(261).regex(
  /^(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9][A-Za-z0-9._-]{0,252}):\d{1,5}$/,
  "an address and port such as 192.0.2.1:51820",
);

/** For people; never acted upon. One line: it may end up in a log. */
export const remarkSchema = z.string().max(256).regex(/^\P{Cc}*$/u);

export const versionSchema = z.string().regex(/^[0-9A-Za-z.+-]{1,32}$/);

/** A key that its owner's identity has signed, and what else shows who that is. */
export const peerKeysSchema = z.object({
  peerId: peerIdSchema,
  publicKey: keySchema,
  wireguardKey: keySchema,
  /** The identity's signature of the WireGuard key (`protocol/identity.ts`). */
  wireguardSignature: signatureSchema,
  certificate: certificateSchema.optional(),
});

export type PeerKeys = z.infer<typeof peerKeysSchema>;
