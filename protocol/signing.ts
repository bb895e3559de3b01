/**
 * What a signature covers, to the byte. A statement is a domain, which names the kind of statement and its version so
 * that a signature made for one purpose is worth nothing for another, and its fields in a fixed order:
 *
 *   u32 length ‖ domain ‖ (u32 length ‖ field)*          lengths are big-endian
 *
 *   string  UTF-8            bytes  as they are            number  a whole number ≥ 0 as u64, big-endian
 *   list    (u32 length ‖ UTF-8)*, itself one field
 *
 * The lengths make the encoding injective: "ab","c" and "a","bc" give different bytes. The types are not written,
 * since the domain fixes how many fields there are and of which type. Every domain is named here.
 */

import { CulvertError } from "./errors.ts";
import type { Bytes, Primitives } from "./primitives.ts";

/** What a peer signs to be let in by a supernode (`control/auth.ts`). */
export const AUTH_DOMAIN = "culvert/auth/v1";
/** What the supernode signs in answer. */
export const AUTH_ANSWER_DOMAIN = "culvert/auth-answer/v1";
/** What an identity signs of its WireGuard key (`identity.ts`). */
export const WIREGUARD_KEY_DOMAIN = "culvert/wireguard-key/v1";
/** What a network's key signs of a peer (`certificate.ts`). */
export const CERTIFICATE_DOMAIN = "culvert/certificate/v1";
/** What nodes that share bandwidth sign, and what they are answered (`sharing/node_auth.ts`). */
export const NODE_HELLO_DOMAIN = "culvert/node-hello/v1";
/** The orchestrator's answer to a hello. */
export const NODE_WELCOME_DOMAIN = "culvert/node-welcome/v1";
/** A node's word that it is still there. */
export const NODE_LIVENESS_DOMAIN = "culvert/node-liveness/v1";
/** A node's word that its owner agrees to share. */
export const NODE_CONSENT_DOMAIN = "culvert/node-consent/v1";
/** What a peer says of itself to whoever wants to meet it (`peers/card.ts`). */
export const PEER_CARD_DOMAIN = "culvert/peer-card/v1";
/** Not signed: what the sealed streams between peers begin with. */
export const PEER_STREAM_DOMAIN = "culvert/peer-stream/v1";
/** Not signed: what is hashed of an invitation's secret (`peers/invitations.ts`). */
export const PEER_INVITATION_DOMAIN = "culvert/peer-invitation/v1";
/** Not signed: what a session's sealed streams begin with. */
export const SESSION_DOMAIN = "culvert/session/v1";
/** Not signed: what the hops between relays and central begin with. */
export const HOP_DOMAIN = "culvert/hop/v1";
/** Not signed: what the openings of fragment sessions begin with. */
export const FRAGMENTS_DOMAIN = "culvert/fragments/v1";
/** Not signed: what sealed hellos begin with, and what their keys are derived under. */
export const SEALED_HELLO_DOMAIN = "culvert/sealed-hello/v1";
/** Not signed: what the tokens of admitted clients of vtcp are derived under. */
export const VTCP_DOMAIN = "culvert/vtcp/v1";

/** A field of a statement; its type follows from the domain. */
export type Field = string | number | Uint8Array | readonly string[];

/** What is signed. */
export interface Statement {
  /** What kind of statement it is, such as `AUTH_DOMAIN`. */
  readonly domain: string;
  /** In the order that the domain fixes. */
  readonly fields: readonly Field[];
}

/** A signature and the key it claims to be from. */
export interface Signed {
  /** 64 bytes, from whoever they are. */
  readonly signature: Uint8Array;
  /** The Ed25519 key. */
  readonly publicKey: Uint8Array;
}

/** The Ed25519 signature over a statement. */
export function sign(statement: Statement, secretKey: Uint8Array, primitives: Primitives): Bytes {
  return primitives.ed25519Sign(signedBytes(statement.domain, statement.fields), secretKey);
}

/** Whether the key signed this statement; false, never an error, for whatever a stranger may put in it. */
export function verify(statement: Statement, signed: Signed, primitives: Primitives): boolean {
  if (!statement.fields.every(isEncodable)) return false;
  return primitives.ed25519Verify(
    signed.signature,
    signedBytes(statement.domain, statement.fields),
    signed.publicKey,
  );
}

/** The bytes that are signed. Throws `invalid_field` for a number or a string that has no encoding. */
export function signedBytes(domain: string, fields: readonly Field[]): Bytes {
  const invalid = fields.findIndex((field) => !isEncodable(field));
  if (invalid >= 0) {
    throw new CulvertError(
      "invalid_field",
      `Cannot sign: field ${invalid} of ${domain} must be well-formed text, bytes or a whole number ≥ 0`,
    );
  }
  return lengthPrefixed([encodeField(domain), ...fields.map(encodeField)]);
}

/** The fields of the first message on a control stream (design §4), in the order in which they are signed. */
export interface AuthFields {
  /** Who wants to be let in. */
  readonly peerId: string;
  /** As what. */
  readonly role: string;
  /** Where it is. */
  readonly region: string;
  /** Of this message alone. */
  readonly nonce: Uint8Array;
  /** Milliseconds since 1970. */
  readonly timestampMs: number;
  /** The peer's X25519 key. */
  readonly wireguardKey: Uint8Array;
  /** The supernode the message is meant for, so that it cannot pass it on to another as its own. */
  readonly supernodeId: string;
}

/** `peerId ‖ role ‖ region ‖ nonce ‖ timestampMs ‖ wireguardKey ‖ supernodeId`, for `AUTH_DOMAIN`. */
export function authFields(auth: AuthFields): Field[] {
  return [auth.peerId, auth.role, auth.region, auth.nonce, auth.timestampMs, auth.wireguardKey, auth.supernodeId];
}

/**
 * Splits what `signedBytes` made back into the encoded domain and fields; undefined unless the lengths fill `bytes`
 * exactly. The parts are views into `bytes`. There are never more than `maxParts`.
 */
export function splitSignedBytes(bytes: Uint8Array, maxParts: number): Uint8Array[] | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const parts: Uint8Array[] = [];
  for (let at = 0; at < bytes.length;) {
    if (parts.length === maxParts || bytes.length - at < 4) return undefined;
    const length = view.getUint32(at);
    at += 4;
    if (length > bytes.length - at) return undefined;
    parts.push(bytes.subarray(at, at + length));
    at += length;
  }
  return parts;
}

/** A lone surrogate has no UTF-8 of its own: two texts would share one signature. */
function isEncodable(field: Field): boolean {
  if (typeof field === "number") return Number.isSafeInteger(field) && field >= 0;
  if (typeof field === "string") return field.isWellFormed();
  return field instanceof Uint8Array || field.every((item) => item.isWellFormed());
}

function encodeField(field: Field): Uint8Array {
  if (typeof field === "string") return new TextEncoder().encode(field);
  if (field instanceof Uint8Array) return field;
  if (typeof field !== "number") return lengthPrefixed(field.map(encodeField));
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(field));
  return bytes;
}

function lengthPrefixed(parts: readonly Uint8Array[]): Bytes {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + 4 + part.length, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const part of parts) {
    view.setUint32(at, part.length);
    bytes.set(part, at + 4);
    at += 4 + part.length;
  }
  return bytes;
}
