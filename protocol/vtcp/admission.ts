/**
 * What is said within the sealed hello of vtcp:
 *
 *   hello    version u8 = 1 │ resume[16]                            the same for as long as the client keeps its QUIC connections
 *   answer   version u8 = 1 │ instance[8] │ token[16] │ key[32]
 *
 *   instance  another one after a restart of the server: its QUIC connections are gone
 *   token     what every QUIC stream of this client begins with; the same for the same client, `resume` and instance
 *   key       Ed25519, of the certificate that the server proves itself with in QUIC
 */

import type { Bytes } from "../primitives.ts";

const VERSION = 1;
export const RESUME_BYTES = 16;
export const INSTANCE_BYTES = 8;
export const TOKEN_BYTES = 16;
const KEY_BYTES = 32;
const TOKEN_AT = 1 + INSTANCE_BYTES;
const KEY_AT = TOKEN_AT + TOKEN_BYTES;
export const ADMISSION_BYTES = KEY_AT + KEY_BYTES;

export interface Admission {
  readonly instance: Bytes;
  readonly token: Bytes;
  readonly certificateKey: Bytes;
}

export function encodeAdmissionRequest(resume: Bytes): Bytes {
  return Uint8Array.of(VERSION, ...resume);
}

/** The `resume` in it; undefined when it is none that we know. More may follow. */
export function parseAdmissionRequest(bytes: Bytes): Bytes | undefined {
  if (bytes.length < 1 + RESUME_BYTES || bytes[0] !== VERSION) return undefined;
  return bytes.slice(1, 1 + RESUME_BYTES);
}

export function encodeAdmission({ instance, token, certificateKey }: Admission): Bytes {
  return Uint8Array.of(VERSION, ...instance, ...token, ...certificateKey);
}

/** Undefined when it is none that we know. More may follow. */
export function parseAdmission(bytes: Bytes): Admission | undefined {
  if (bytes.length < ADMISSION_BYTES || bytes[0] !== VERSION) return undefined;
  return {
    instance: bytes.slice(1, TOKEN_AT),
    token: bytes.slice(TOKEN_AT, KEY_AT),
    certificateKey: bytes.slice(KEY_AT, ADMISSION_BYTES),
  };
}

/** The name in the certificate of a key. Nobody gives certificates for `.invalid` (RFC 6761 §6.4). */
export function certificateName(certificateKey: Uint8Array): string {
  return `${certificateKey.slice(0, 8).toHex()}.invalid`;
}
