/**
 * The key that things meant for a relay or gateway are sealed to, as it is told: in base64, with the identity whose key it
 * is and that identity's signature of it, which is made as for a WireGuard key (`identity.ts`).
 */

import { decodeBase64 } from "./encoding.ts";
import { verifyWireGuardBinding } from "./identity.ts";
import type { Primitives } from "./primitives.ts";

export interface SealingKeys {
  readonly publicKey: string;
  readonly sealingKey: string;
  readonly sealingKeySignature: string;
}

/** Whether the name, the identity's key and the sealing key belong together. */
export function isOwnSealingKey(peerId: string, keys: SealingKeys, primitives: Primitives): boolean {
  const bytesOf = (text: string) => decodeBase64(text) ?? new Uint8Array();
  return verifyWireGuardBinding({
    peerId,
    publicKey: bytesOf(keys.publicKey),
    wireguardKey: bytesOf(keys.sealingKey),
    signature: bytesOf(keys.sealingKeySignature),
  }, primitives);
}
