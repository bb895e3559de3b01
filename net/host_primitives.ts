/**
 * The primitives of a host that has `node:crypto` (OpenSSL): the same answers as `portablePrimitives`, several times
 * faster, which a supernode feels when thousands of peers come back at once. Keys are wrapped in the fixed DER
 * prefixes of RFC 8410, the only form in which `node:crypto` takes raw ones everywhere. Reading that form takes as long as
 * signing, so the key that was used last is kept read: one identity signs all the time, and what a peer has signed comes
 * in twos.
 */

import {
  createHash,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  type KeyObject,
  sign,
  verify,
} from "node:crypto";
import { isStrictEd25519Key } from "../protocol/ed25519_keys.ts";
import { type Bytes, ED25519_SIGNATURE_BYTES, KEY_BYTES, type Primitives } from "../protocol/primitives.ts";

/** RFC 8410 §7 and §4: everything before the 32 bytes of the key; the last byte of the identifier is the algorithm. */
const PKCS8_PREFIX = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65];
const PKCS8_WRAP = [0x04, 0x22, 0x04, 0x20];
const SPKI_PREFIX = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65];
const SPKI_WRAP = [0x03, 0x21, 0x00];
const X25519 = 0x6e;
const ED25519 = 0x70;

/** The cryptography of this host: hashes, signatures and key agreement. */
export function hostPrimitives(): Primitives {
  const signingKey = lastUsed((secretKey) => secretKeyObject(secretKey, ED25519));
  const verifyingKey = lastUsed((publicKey) => publicKeyObject(publicKey, ED25519));
  return {
    sha256: (data) => bytesOf(createHash("sha256").update(data).digest()),
    ed25519PublicKey: (secretKey) => publicKeyOf(secretKey, ED25519),
    ed25519Sign: (message, secretKey) => bytesOf(sign(null, message, signingKey(secretKey))),
    ed25519Verify(signature, message, publicKey) {
      if (signature.length !== ED25519_SIGNATURE_BYTES || !isStrictEd25519Key(publicKey)) return false;
      const key = verifyingKey(publicKey);
      return key !== undefined && verify(null, message, key, signature);
    },
    x25519PublicKey: (secretKey) => publicKeyOf(secretKey, X25519),
    x25519(secretKey, publicKey) {
      const own = secretKeyObject(secretKey, X25519);
      const other = publicKey.length === KEY_BYTES ? publicKeyObject(publicKey, X25519) : undefined;
      return other && agree(own, other);
    },
  };
}

/** `read` with the last answer kept, for as long as the bytes are the same. */
function lastUsed<Key>(read: (bytes: Uint8Array) => Key): (bytes: Uint8Array) => Key {
  let last: { readonly bytes: Uint8Array; readonly key: Key } | undefined;
  return (bytes) => {
    if (!last || !isSame(last.bytes, bytes)) last = { key: read(bytes), bytes: bytes.slice() };
    return last.key;
  };
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  if (one.length !== other.length) return false;
  let difference = 0;
  for (let at = 0; at < one.length; at++) difference |= one[at]! ^ other[at]!;
  return difference === 0;
}

function agree(privateKey: KeyObject, publicKey: KeyObject): Bytes | undefined {
  try {
    const secret = bytesOf(diffieHellman({ privateKey, publicKey }));
    return secret.some((byte) => byte !== 0) ? secret : undefined;
  } catch {
    return undefined; // OpenSSL refuses to hand out the all-zero secret
  }
}

function secretKeyObject(secretKey: Uint8Array, algorithm: number): KeyObject {
  if (secretKey.length !== KEY_BYTES) {
    throw new RangeError(`Cannot use a secret key: it must be ${KEY_BYTES} bytes, got ${secretKey.length}`);
  }
  const key = Uint8Array.of(...PKCS8_PREFIX, algorithm, ...PKCS8_WRAP, ...secretKey);
  return createPrivateKey({ key: key as never, format: "der", type: "pkcs8" });
}

/** Undefined when OpenSSL will not take the key, as for a y that is not on the curve. */
function publicKeyObject(publicKey: Uint8Array, algorithm: number): KeyObject | undefined {
  const key = Uint8Array.of(...SPKI_PREFIX, algorithm, ...SPKI_WRAP, ...publicKey);
  try {
    return createPublicKey({ key: key as never, format: "der", type: "spki" });
  } catch {
    return undefined;
  }
}

function publicKeyOf(secretKey: Uint8Array, algorithm: number): Bytes {
  const der = createPublicKey(secretKeyObject(secretKey, algorithm)).export({ format: "der", type: "spki" });
  return bytesOf(der).slice(-KEY_BYTES);
}

/** The same bytes without node's Buffer around them, whose `slice` and `toString` differ. */
function bytesOf(buffer: Uint8Array): Bytes {
  return new Uint8Array(buffer);
}
