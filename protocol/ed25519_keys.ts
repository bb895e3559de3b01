/**
 * Which 32 bytes may be an Ed25519 public key. OpenSSL verifies under keys that RFC 8032 does not decode and under the
 * eight points of small order; an implementation on top of it asks here first. @noble/curves refuses both by itself.
 *
 * A key is y in 255 bits, little-endian, and the sign of x in the top bit (RFC 8032 §5.1.2). Canonical means y < p.
 */

const P = 2n ** 255n - 19n;

/** y of every point whose order divides 8: of order 4, 1, 2, and the two of order 8 (each with both signs of x). */
const SMALL_ORDER_Y: readonly bigint[] = [
  0n,
  1n,
  P - 1n,
  0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7n,
  0x05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826n,
];

/** True unless the key is not canonical or of small order. Says nothing about y being on the curve. */
export function isStrictEd25519Key(publicKey: Uint8Array): boolean {
  if (publicKey.length !== 32) return false;
  let y = BigInt(publicKey[31]! & 0x7f);
  for (let at = 30; at >= 0; at--) y = y << 8n | BigInt(publicKey[at]!);
  return y < P && !SMALL_ORDER_Y.includes(y);
}
