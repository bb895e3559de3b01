/**
 * A ticket: all that is needed to fetch something from a peer that one has never heard of, as one line that may be pasted,
 * said by a QR code or clicked on.
 *
 *   culvert:<base32>         upper case for a QR code, whose alphabet for letters has no lower case (ISO/IEC 18004 §7.3.4)
 *
 *   version u8 = 1 | flags u8 | public key[32] | sealing key[32] | its signature[64] | the card's signature[64] |
 *   issued at u48 | label | n addresses | n relays: id[16], URL | n capabilities | path |
 *   then, as flags say: region (1), URL (2), certificate (4), secret[16] (8), root[32] (16), expires at u48 (32),
 *   size u48 (64) | check[4]
 *
 * Numbers are big-endian; a text is its length, as in `varint`, and UTF-8; n is u8; the check is the start of the SHA-256 of
 * all before it. The card is complete, so whoever has the ticket can remember the peer. A ticket is a secret when it
 * holds an invitation.
 */

import { z } from "zod";
import {
  decodeBase32,
  decodeBase64,
  decodeBase64Url,
  encodeBase32,
  encodeBase64,
  encodeBase64Url,
} from "../encoding.ts";
import { countSchema, timeSchema } from "../fields.ts";
import { MAX_PATH_BYTES, rootSchema } from "../files/listing.ts";
import { peerIdOf } from "../identity.ts";
import { ED25519_SIGNATURE_BYTES, KEY_BYTES, type Primitives } from "../primitives.ts";
import { concat } from "../tunnel_frame.ts";
import { peerCardSchema, refusalOfCard } from "./card.ts";
import { invitationSecretSchema } from "./knock.ts";

const SCHEME = "culvert:";
const VERSION = 1;
/** Far above the longest there can be. */
const MAX_TEXT_CHARS = 32 * 1024;
const PEER_ID_BYTES = 16;
const SECRET_BYTES = 16;
const ROOT_BYTES = 32;
const U48_BYTES = 6;
const CHECK_BYTES = 4;
const FLAG = { region: 1, url: 2, certificate: 4, invitation: 8, root: 16, expiry: 32, size: 64 } as const;

const ticketSchema = z.object({
  card: peerCardSchema,
  /** What to fetch: a folder or a file; "" is all. */
  path: z.string().max(MAX_PATH_BYTES).refine((path) => path.isWellFormed()),
  invitation: invitationSecretSchema.optional(),
  /** The tree hash of what is there, when it is one file. */
  root: rootSchema.optional(),
  /** How long that is, said only where the hash leaves it open: the shorter a ticket, the smaller its code. */
  size: countSchema.max(2 ** (8 * U48_BYTES) - 1).optional(),
  /** From when on it is of no use. */
  expiresAtMs: timeSchema.optional(),
});
export type Ticket = z.infer<typeof ticketSchema>;

/** Why a text is no ticket. */
export type TicketFault = "no_ticket" | "damaged" | "unknown_version";

/** As one line in the letters of a QR code. */
export function encodeTicket(ticket: Ticket, primitives: Primitives): string {
  const bytes = bytesOf(ticketSchema.parse(ticket));
  const check = primitives.sha256(bytes).subarray(0, CHECK_BYTES);
  return (SCHEME + encodeBase32(concat([bytes, check]))).toUpperCase();
}

/** Whether a text means to be a ticket, whole or not. */
export function looksLikeTicket(text: string): boolean {
  return text.trim().toLowerCase().startsWith(SCHEME);
}

/** The ticket, whose card may be believed; or what is wrong with it. Never throws. */
export function decodeTicket(text: string, primitives: Primitives): Ticket | TicketFault {
  const line = text.trim().toLowerCase();
  if (!line.startsWith(SCHEME) || line.length > MAX_TEXT_CHARS) return "no_ticket";
  const whole = decodeBase32(line.slice(SCHEME.length));
  if (!whole || whole.length <= CHECK_BYTES) return "damaged";
  const bytes = whole.subarray(0, -CHECK_BYTES);
  const check = primitives.sha256(bytes);
  if (whole.subarray(-CHECK_BYTES).some((byte, at) => byte !== check[at])) return "damaged";
  if (bytes[0] !== VERSION) return "unknown_version";
  const ticket = ticketSchema.safeParse(read(new Reader(bytes), primitives)).data;
  return ticket && !refusalOfCard(ticket.card, primitives) ? ticket : "damaged";
}

function bytesOf({ card, path, invitation, root, expiresAtMs, size }: Ticket): Uint8Array {
  const flags = (card.region === undefined ? 0 : FLAG.region) | (card.url === undefined ? 0 : FLAG.url) |
    (card.certificate === undefined ? 0 : FLAG.certificate) | (invitation === undefined ? 0 : FLAG.invitation) |
    (root === undefined ? 0 : FLAG.root) | (expiresAtMs === undefined ? 0 : FLAG.expiry) |
    (size === undefined ? 0 : FLAG.size);
  return concat([
    Uint8Array.of(VERSION, flags),
    ...[card.publicKey, card.sealingKey, card.sealingKeySignature, card.signature].map((each) => decodeBase64(each)!),
    u48Bytes(card.issuedAtMs),
    textBytes(card.label),
    ...listBytes(card.addresses, textBytes),
    ...listBytes(card.relays, ({ relayId, url }) => concat([decodeBase32(relayId)!, textBytes(url)])),
    ...listBytes(card.capabilities, textBytes),
    textBytes(path),
    ...[card.region, card.url, card.certificate].map((text) => text === undefined ? NOTHING : textBytes(text)),
    invitation === undefined ? NOTHING : decodeBase64Url(invitation)!,
    root === undefined ? NOTHING : Uint8Array.fromHex(root),
    expiresAtMs === undefined ? NOTHING : u48Bytes(expiresAtMs),
    size === undefined ? NOTHING : u48Bytes(size),
  ]);
}

/** What the bytes say; undefined when they do not come out even. It is for the schema to say whether that makes sense. */
function read(reader: Reader, primitives: Primitives): unknown {
  reader.byte(); // the version
  const flags = reader.byte();
  const publicKey = reader.bytes(KEY_BYTES);
  const card: Record<string, unknown> = {
    peerId: peerIdOf(publicKey, primitives),
    publicKey: encodeBase64(publicKey),
    sealingKey: encodeBase64(reader.bytes(KEY_BYTES)),
    sealingKeySignature: encodeBase64(reader.bytes(ED25519_SIGNATURE_BYTES)),
    signature: encodeBase64(reader.bytes(ED25519_SIGNATURE_BYTES)),
    issuedAtMs: reader.u48(),
    label: reader.text(),
    addresses: reader.list(() => reader.text()),
    relays: reader.list(() => ({ relayId: encodeBase32(reader.bytes(PEER_ID_BYTES)), url: reader.text() })),
    capabilities: reader.list(() => reader.text()),
  };
  const ticket: Record<string, unknown> = { card, path: reader.text() };
  if (flags & FLAG.region) card.region = reader.text();
  if (flags & FLAG.url) card.url = reader.text();
  if (flags & FLAG.certificate) card.certificate = reader.text();
  if (flags & FLAG.invitation) ticket.invitation = encodeBase64Url(reader.bytes(SECRET_BYTES));
  if (flags & FLAG.root) ticket.root = reader.bytes(ROOT_BYTES).toHex();
  if (flags & FLAG.expiry) ticket.expiresAtMs = reader.u48();
  if (flags & FLAG.size) ticket.size = reader.u48();
  const known = Object.values(FLAG).reduce((sum, flag) => sum | flag, 0);
  return reader.isAtEnd && (flags & ~known) === 0 ? ticket : undefined;
}

const NOTHING = new Uint8Array();

function listBytes<T>(items: readonly T[], encode: (item: T) => Uint8Array): Uint8Array[] {
  return [Uint8Array.of(items.length), ...items.map(encode)];
}

/** Its length, seven bits a byte and the lowest first, the highest bit saying that there is more; then UTF-8. */
function textBytes(text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  const length: number[] = [];
  for (let left = bytes.length; left > 0 || length.length === 0; left >>>= 7) length.push(left & 0x7f | 0x80);
  length.push(length.pop()! & 0x7f);
  return concat([Uint8Array.from(length), bytes]);
}

function u48Bytes(value: number): Uint8Array {
  const bytes = new Uint8Array(U48_BYTES);
  for (let at = U48_BYTES - 1, left = value; at >= 0; at--, left = Math.floor(left / 256)) bytes[at] = left % 256;
  return bytes;
}

/** Reads on and on: past the end there are no bytes, and then it is not at its end. */
class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  byte(): number {
    return this.bytes(1)[0]!;
  }

  /** So many; zeros for those that are missing. */
  bytes(count: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(count);
    bytes.set(this.#bytes.subarray(this.#at, this.#at + count));
    this.#at += count;
    return bytes;
  }

  u48(): number {
    return this.bytes(U48_BYTES).reduce((sum, byte) => sum * 256 + byte, 0);
  }

  /** Undefined when it is none. */
  text(): string | undefined {
    let length = 0;
    for (let shift = 0, byte = 0x80; byte & 0x80; shift += 7) {
      byte = this.byte();
      length |= (byte & 0x7f) << shift;
      if (shift > 14) return undefined;
    }
    if (length > this.#bytes.length - this.#at) {
      this.#at = Infinity;
      return undefined;
    }
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(this.bytes(length));
    } catch {
      return undefined;
    }
  }

  list<T>(read: () => T): T[] {
    return Array.from({ length: Math.min(this.byte(), 16) }, read);
  }
}
