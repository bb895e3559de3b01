/**
 * An Ed25519 certificate that signs itself, made at a server's start, and the anchor by which a client trusts that key and no other.
 * The client needs the key alone: an anchor is a name and a key, its signature is looked at by nobody. The name ends
 * in `.invalid`, for which no authority gives certificates, so the roots that a host trusts besides cannot matter.
 *
 * X.509 v3, DER (RFC 5280 §4.1, RFC 8410), in PEM. One name, no authority over others, valid since long ago and for ever:
 * whoever hands out the key decides for how long it counts, and clocks may be wrong.
 */

import { type Bytes, KEY_BYTES, type Primitives } from "../primitives.ts";

const SIGNATURE_BYTES = 64;

export interface SelfSigned {
  readonly publicKey: Bytes;
  readonly certificatePem: string;
  readonly keyPem: string;
}

const ED25519 = [0x2b, 0x65, 0x70];
const COMMON_NAME = [0x55, 0x04, 0x03];
const BASIC_CONSTRAINTS = [0x55, 0x1d, 0x13];
const SUBJECT_ALT_NAME = [0x55, 0x1d, 0x11];

/** The server's: `secretKey` is fresh and unpredictable. */
export function selfSigned(primitives: Primitives, secretKey: Bytes, name: string): SelfSigned {
  const publicKey = primitives.ed25519PublicKey(secretKey);
  const body = certificateBody(publicKey, name);
  const privateKey = sequence(integer([0]), algorithm(), octets(octets([...secretKey])));
  return {
    publicKey,
    certificatePem: certificatePem(body, primitives.ed25519Sign(Uint8Array.from(body), secretKey)),
    keyPem: pem("PRIVATE KEY", privateKey),
  };
}

/** The client's: trusts whoever has this key under that name. */
export function anchorPem(publicKey: Uint8Array, name: string): string {
  if (publicKey.length !== KEY_BYTES) {
    throw new RangeError(`Cannot trust a key: it must be ${KEY_BYTES} bytes, got ${publicKey.length}`);
  }
  return certificatePem(certificateBody(publicKey, name), new Uint8Array(SIGNATURE_BYTES));
}

function certificatePem(body: readonly number[], signature: Uint8Array): string {
  return pem("CERTIFICATE", sequence(body, algorithm(), bits([...signature])));
}

function certificateBody(publicKey: Uint8Array, name: string): number[] {
  const names = sequence(tagged(0x31, sequence(identifier(COMMON_NAME), text(0x0c, name))));
  const validity = sequence(text(0x17, "700101000000Z"), text(0x18, "99991231235959Z"));
  const alternative = sequence(text(0x82, name));
  const extensions = sequence(
    sequence(identifier(BASIC_CONSTRAINTS), tagged(0x01, [0xff]), octets(sequence())),
    sequence(identifier(SUBJECT_ALT_NAME), octets(alternative)),
  );
  return sequence(
    tagged(0xa0, integer([2])),
    integer([1]),
    algorithm(),
    names,
    validity,
    names,
    sequence(algorithm(), bits([...publicKey])),
    tagged(0xa3, extensions),
  );
}

function algorithm(): number[] {
  return sequence(identifier(ED25519));
}

function sequence(...parts: readonly (readonly number[])[]): number[] {
  return tagged(0x30, parts.flat());
}

function integer(bytes: readonly number[]): number[] {
  return tagged(0x02, bytes);
}

function identifier(encoded: readonly number[]): number[] {
  return tagged(0x06, encoded);
}

function octets(bytes: readonly number[]): number[] {
  return tagged(0x04, bytes);
}

function bits(bytes: readonly number[]): number[] {
  return tagged(0x03, [0, ...bytes]);
}

function text(tag: number, value: string): number[] {
  return tagged(tag, [...new TextEncoder().encode(value)]);
}

function tagged(tag: number, content: readonly number[]): number[] {
  const { length } = content;
  if (length < 0x80) return [tag, length, ...content];
  return [tag, ...(length < 0x100 ? [0x81] : [0x82, length >>> 8]), length & 0xff, ...content];
}

function pem(what: string, der: readonly number[]): string {
  const lines = btoa(String.fromCharCode(...der)).replace(/(.{64})(?=.)/g, "$1\n");
  return `-----BEGIN ${what}-----\n${lines}\n-----END ${what}-----\n`;
}
