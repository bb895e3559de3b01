/**
 * What a session has that carries IP packets, by WireGuard, instead of streams. Its client and its exit each have a
 * WireGuard device; between them are supernodes that pass datagrams on.
 *
 *   client ── endpoint of the offer ──→ supernode ── far relay ──→ supernode ── relay of the setup ──→ exit
 *
 * A relay is blind unless the client wished otherwise: it cannot read what it passes on. Who hides nothing from its
 * supernode may have it terminate the tunnel: then the client's device speaks to the supernode's, and the supernode's to the
 * exit's, and when an exit fails the client need not notice.
 */

import { z } from "zod";
import { cidrSchema, countSchema, endpointSchema, ipSchema, megabitsSchema, peerKeysSchema } from "../fields.ts";

/** One of each family. */
const MAX_ADDRESSES = 2;
const MAX_NAME_SERVERS = 4;

export const CARRIES = ["streams", "packets"] as const;
export const carriesSchema = z.enum(CARRIES);
export type Carries = z.infer<typeof carriesSchema>;

export const RELAY_MODES = ["blind", "terminate"] as const;
export const relayModeSchema = z.enum(RELAY_MODES);
export type RelayMode = z.infer<typeof relayModeSchema>;

/** SETUP_EXIT: have this client's packets come in. */
export const packetSetupSchema = z.object({
  /** Where the exit's device finds the client: the port that its supernode has opened for the session. */
  relay: endpointSchema,
  /** The client's key is a supernode's, which terminates its clients' tunnels. */
  isTerminated: z.boolean().optional(),
});
export type PacketSetup = z.infer<typeof packetSetupSchema>;

/** The exit's answer: what the client's interface is to have. */
export const packetGrantSchema = z.object({
  /** The client's own, each alone (/32, /128). */
  addresses: z.array(cidrSchema).min(1).max(MAX_ADDRESSES),
  /** Of the exit, in the tunnel: there it answers probes and looks up names. One of each family the client has. */
  gateways: z.array(ipSchema).min(1).max(MAX_ADDRESSES),
  /** Name servers for the client, reached through the tunnel. */
  dns: z.array(ipSchema).max(MAX_NAME_SERVERS),
  mtu: z.int().min(576).max(65_535),
});
export type PacketGrant = z.infer<typeof packetGrantSchema>;

/** The same as the client is told of it. */
export const packetOfferSchema = packetGrantSchema.extend({
  /** Where the client's device finds the other one. */
  endpoint: endpointSchema,
  /** The supernode, when it terminates the tunnel: the client's device speaks to its key, not to the exit's. */
  terminatedBy: peerKeysSchema.optional(),
});
export type PacketOffer = z.infer<typeof packetOfferSchema>;

/** What an exit that carries packets says of it with a ping; others say nothing. */
export const packetTelemetrySchema = z.object({
  /** How many more clients it has addresses for. */
  spareClients: countSchema,
  limitMbps: megabitsSchema.optional(),
});
export type PacketTelemetry = z.infer<typeof packetTelemetrySchema>;
