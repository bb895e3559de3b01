/**
 * A peer's card: who it is, where it may be reached and what it offers, in its own signed words. A tracker passes cards on and
 * can change nothing in them; whoever holds one can reach the peer without a tracker.
 *
 *   signed: PEER_CARD_DOMAIN over every field, in the order of `cardFields`
 *
 * An address without a host of its own, such as `0.0.0.0:4100` or `[::]:4100`, means that port at whatever address the tracker
 * sees the peer come from. Of two cards of one peer the one issued later counts.
 */

import { z } from "zod";
import { decodeBase64, encodeBase64 } from "../encoding.ts";
import {
  certificateSchema,
  endpointSchema,
  keySchema,
  nameSchema,
  peerIdSchema,
  signatureSchema,
  timeSchema,
  urlSchema,
} from "../fields.ts";
import { type Identity, peerIdFits, verifyWireGuardBinding } from "../identity.ts";
import type { Primitives } from "../primitives.ts";
import { type Field, PEER_CARD_DOMAIN, verify } from "../signing.ts";

/** How a peer is called, for people; nothing vouches for it. */
export const peerLabelSchema = z.string().min(1).max(64).regex(/^\P{Cc}+$/u);

/** A relay where peers meet: its URL, and who answers there. */
export const meetingPlaceSchema = z.object({ relayId: peerIdSchema, url: urlSchema });
export type MeetingPlace = z.infer<typeof meetingPlaceSchema>;

const claims = {
  label: peerLabelSchema,
  region: nameSchema.optional(),
  /** Where its peer port is. */
  addresses: z.array(endpointSchema).max(8),
  /** Relays that it keeps a link to. */
  relays: z.array(meetingPlaceSchema).max(4),
  /** What it is for: `files`, `upload`, `relay`; others may be made up. */
  capabilities: z.array(nameSchema).max(16),
  /** Of a relay: where peers meet. */
  url: urlSchema.optional(),
  /** Milliseconds since 1970. */
  issuedAtMs: timeSchema,
};

export const peerCardSchema = z.object({
  peerId: peerIdSchema,
  publicKey: keySchema,
  /** X25519: to whom streams are sealed. Signed as a WireGuard key is. */
  sealingKey: keySchema,
  sealingKeySignature: signatureSchema,
  ...claims,
  certificate: certificateSchema.optional(),
  signature: signatureSchema,
});
export type PeerCard = z.infer<typeof peerCardSchema>;

/** What a peer says of itself; its keys come from its identity. */
export type PeerClaims = z.infer<z.ZodObject<typeof claims>> & Pick<PeerCard, "certificate">;

export type CardRefusal = "malformed" | "wrong_peer_id" | "bad_binding" | "bad_signature";

export function makeCard(identity: Identity, { certificate, ...said }: PeerClaims): PeerCard {
  const { peerId, publicKey, wireguardKey, signature } = identity.wireguardBinding();
  const card = {
    peerId,
    publicKey: encodeBase64(publicKey),
    sealingKey: encodeBase64(wireguardKey),
    sealingKeySignature: encodeBase64(signature),
    ...said,
  };
  const signed = identity.sign({ domain: PEER_CARD_DOMAIN, fields: cardFields(card) });
  return { ...card, ...certificate !== undefined && { certificate }, signature: encodeBase64(signed) };
}

/** Why a card cannot be believed, or undefined. Never throws. Whether its certificate is good is for whoever needs one. */
export function refusalOfCard(card: PeerCard, primitives: Primitives): CardRefusal | undefined {
  const [publicKey, wireguardKey] = [decodeBase64(card.publicKey), decodeBase64(card.sealingKey)];
  const [binding, signature] = [decodeBase64(card.sealingKeySignature), decodeBase64(card.signature)];
  if (!publicKey || !wireguardKey || !binding || !signature) return "malformed";
  const { peerId } = card;
  if (!peerIdFits(peerId, publicKey, primitives)) return "wrong_peer_id";
  if (!verifyWireGuardBinding({ peerId, publicKey, wireguardKey, signature: binding }, primitives)) {
    return "bad_binding";
  }
  const statement = { domain: PEER_CARD_DOMAIN, fields: cardFields(card) };
  return verify(statement, { signature, publicKey }, primitives) ? undefined : "bad_signature";
}

/** Left out: keys that have a signature of their own, and the certificate, which is bound to the peer id. */
function cardFields(card: Omit<PeerCard, "signature">): Field[] {
  return [
    card.peerId,
    card.label,
    card.region ?? "",
    card.addresses,
    card.relays.map(({ relayId, url }) => `${relayId} ${url}`),
    card.capabilities,
    card.url ?? "",
    card.issuedAtMs,
  ];
}
